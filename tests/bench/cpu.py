"""CPU time of the product: of every process that runs, and of those that ended under it."""

from collections.abc import Iterable

import psutil


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
