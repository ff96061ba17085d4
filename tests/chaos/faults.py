"""Kills and faults at random times: a seed repeats which, not exactly when."""

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from random import Random

import psutil
import requests
from web3 import Web3
from web3.exceptions import Web3Exception

from mmbot_pipelines.devnet.chain import ask, connect
from tests.chaos.chain_faults import reorg
from tests.chaos.faulty_rpc import Fault
from tests.chaos.faulty_stack import MAX_REORG_DEPTH, FaultyStack

_MAX_FAULT_SECONDS = 8.0
_MAX_IDLE_SECONDS = 20.0  # between two kills without a step
_MAX_REORG_WAIT_SECONDS = 15.0  # for blocks that have transactions
_OUTAGES = (Fault.DROP, Fault.HANG, Fault.ERROR, Fault.LIMIT, Fault.GARBAGE)


class Target(StrEnum):
    RUN = "run"
    WORKERS = "workers"
    BROKER = "broker"
    CODE = "code server"
    DAEMON = "daemon"
    POSTGRES = "Postgres"


# of 24: runs are what pays, and the others need half a minute to come back
_TARGETS = [
    *([Target.RUN] * 14),
    *([Target.WORKERS, Target.BROKER, Target.CODE, Target.DAEMON, Target.POSTGRES] * 2),
]


_SERVICES = {
    Target.WORKERS: "workers",
    Target.BROKER: "broker",
    Target.CODE: "code",
    Target.DAEMON: "daemon",
}


class FaultSchedule:
    """Kill a process every `seconds`, and cause another fault about as often, until stopped."""

    def __init__(
        self, stack: FaultyStack, *, seed: int, seconds: float, steps: Callable[[], int]
    ) -> None:
        """Describe what happens.

        seconds: between two kills, on average.
        steps: counts the steps that all orders have taken. The next kill waits a while for
            one more, or a slow machine would do nothing but start processes again.
        """
        self.kills = Counter[Target]()
        self.faults = Counter[str]()
        self._stack = stack
        # One for each thread: what the one draws must not change what the other does.
        self._kill_rng = Random(seed)
        self._fault_rng = Random(seed + 1)
        self._seconds = seconds
        self._steps = steps
        self._stopping = threading.Event()
        self._actions: list[Callable[[], str]] = [
            *([self._break_node] * 4),
            self._outage,
            self._pause_messenger,
            *([self._reorg] * 2),
        ]
        self._chains = {"L1": stack.l1.url, "zksync": stack.l2.url}
        if stack.starknet is not None:
            self._chains["starknet"] = stack.starknet.rpc_url
        self._threads = [
            threading.Thread(target=self._repeat, args=(rng, action), daemon=True, name=name)
            for name, rng, action in (
                ("killer", self._kill_rng, self._kill),
                ("faults", self._fault_rng, self._cause_fault),
            )
        ]

    @property
    def killed(self) -> int:
        """Count the kills so far."""
        return self.kills.total()

    def start(self) -> None:
        """Start both threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop; every fault is over when this returns."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, rng: Random, action: Callable[[], None]) -> None:
        while not self._stopping.wait(self._seconds * rng.uniform(0.5, 1.5)):
            action()

    def _kill(self) -> None:
        """Kill a random process, if it runs."""
        target = self._kill_rng.choice(_TARGETS)
        pid = self._pid(target)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills[target] += 1
        before = self._steps()
        wait_until(
            lambda: self._stopping.is_set() or self._steps() > before, seconds=_MAX_IDLE_SECONDS
        )

    def _pid(self, target: Target) -> int | None:
        services = self._stack.services
        match target:
            case Target.RUN:
                runs = run_processes(self._stack)
                return self._kill_rng.choice(runs) if runs else None
            case Target.POSTGRES:
                return self._stack.postmaster
            case Target.WORKERS | Target.BROKER | Target.CODE | Target.DAEMON:
                service = services[_SERVICES[target]]
                return service.pid if service.running else None

    def _cause_fault(self) -> None:
        action = self._fault_rng.choice(self._actions)
        try:
            self.faults[action()] += 1
        except (requests.RequestException, Web3Exception, RuntimeError) as e:
            self.faults[f"failed: {type(e).__name__}"] += 1

    def _break_node(self) -> str:
        """Let one node of a chain fail in one way for a while; the others stay healthy."""
        nodes = self._stack.nodes[self._fault_rng.choice(sorted(self._stack.nodes))]
        fault = self._fault_rng.choice([f for f in Fault if f is not Fault.NONE])
        node = self._fault_rng.choice(nodes)
        node.fail(fault)
        self._wait()
        node.fail(Fault.NONE)
        return f"node {fault}"

    def _outage(self) -> str:
        """Let all nodes of a chain fail at once."""
        chain, fault = (
            self._fault_rng.choice(sorted(self._stack.nodes)),
            self._fault_rng.choice(_OUTAGES),
        )
        for node in self._stack.nodes[chain]:
            node.fail(fault)
        self._wait()
        for node in self._stack.nodes[chain]:
            node.fail(Fault.NONE)
        return f"all nodes of a chain {fault}"

    def _pause_messenger(self) -> str:
        pid = self._stack.services["messenger"].pid
        os.kill(pid, signal.SIGSTOP)
        self._wait()
        os.kill(pid, signal.SIGCONT)
        return "messenger paused"

    def _reorg(self) -> str:
        chain = self._fault_rng.choice(sorted(self._chains))
        depth = self._fault_rng.randint(1, MAX_REORG_DEPTH)
        if chain == "starknet":
            ask(connect(self._chains[chain]), "devnet_reorg", depth, True)
        else:
            w3 = connect(self._chains[chain])
            wait_until(
                lambda: self._has_transactions(w3), seconds=_MAX_REORG_WAIT_SECONDS, every=0.2
            )
            # A user whose order does not come back has it nowhere; on L1 all is ours.
            reorg(w3, depth, self._fault_rng, loses=chain == "L1")
        return f"reorg of {chain}"

    def _has_transactions(self, w3: Web3) -> bool:
        return self._stopping.is_set() or bool(w3.eth.get_block("latest")["transactions"])

    def _wait(self) -> None:
        self._stopping.wait(self._fault_rng.uniform(1, _MAX_FAULT_SECONDS))


def run_processes(stack: FaultyStack) -> list[int]:
    """Return the ids of the processes that execute runs: what the workers' parent has forked."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(stack.services["workers"].pid).children()]
    return []


def wait_until(condition: Callable[[], bool], *, seconds: float, every: float = 0.5) -> bool:
    """Wait until a condition holds, at most `seconds`; return whether it does."""
    end = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < end:
        time.sleep(every)
    return holds
