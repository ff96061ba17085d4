"""CPU time and memory of the product: every process that runs, and CPU of those that ended."""

import time
from collections.abc import Collection, Iterable

import psutil

from mmbot_pipelines.devnet.stack import Stack


def pids(stack: Stack) -> list[int]:
    """Return the processes of the product; its Postgres, not the chains and the messenger."""
    ours = [service.pid for service in stack.services.services if service.name != "messenger"]
    return [*ours, stack.postmaster] if stack.postmaster else ours


def cpu_seconds(roots: Iterable[int]) -> float:
    """Return the seconds that these processes and all below them have used since they began."""
    total = 0.0
    for root in roots:
        try:
            process = psutil.Process(root)
            tree = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        for one in tree:
            try:
                spent = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += spent.user + spent.system + spent.children_user + spent.children_system
    return total


def cpu_rate(roots: Collection[int], seconds: float) -> float:
    """Return the CPU seconds that they and all below them use in a second."""
    before, begun = cpu_seconds(roots), time.monotonic()
    time.sleep(seconds)
    return (cpu_seconds(roots) - before) / (time.monotonic() - begun)


def memory_bytes(roots: Iterable[int]) -> int:
    """Return what the processes hold together; pages they share count once (PSS)."""
    total = 0
    for root in roots:
        try:
            process = psutil.Process(root)
            tree = [process, *process.children(recursive=True)]
            total += sum(one.memory_full_info().pss for one in tree)
        except psutil.NoSuchProcess:
            continue
    return total
