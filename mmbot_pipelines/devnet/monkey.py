"""Whoever pulls the plugs: kills processes and breaks chains, by chance that can be repeated."""

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
from mmbot_pipelines.devnet.faulty_rpc import Fault
from mmbot_pipelines.devnet.faulty_stack import DEEPEST_REORG, FaultyStack
from mmbot_pipelines.devnet.reorg import reorg

_LONGEST_FAULT = 8.0  # seconds
_STANDSTILL = 20.0  # seconds at most between two kills without a step
_REORG_SECONDS = 15.0  # to wait for blocks that are worth it
_OUTAGES = (Fault.DROP, Fault.HANG, Fault.ERROR, Fault.LIMIT, Fault.GARBAGE)


class Victim(StrEnum):
    RUN = "run"
    CODE = "code server"
    DAEMON = "daemon"
    POSTGRES = "Postgres"


# of 20: runs are what pays, and the others need half a minute to come back
_VICTIMS = [Victim.RUN] * 14 + [Victim.CODE] * 2 + [Victim.DAEMON] * 2 + [Victim.POSTGRES] * 2


class Monkey:
    """Kill every `seconds`, and break something else about as often, until stopped."""

    def __init__(
        self, stack: FaultyStack, *, seed: int, seconds: float, steps: Callable[[], int]
    ) -> None:
        """Describe what happens.

        seconds: between two kills, on average.
        steps: counts the steps that all orders have taken. The next kill waits a while for
            one more, or a slow machine would do nothing but start processes again.
        """
        self.kills = Counter[Victim]()
        self.faults = Counter[str]()
        self._stack = stack
        # One for each thread: what the one draws must not change what the other does.
        self._luck = Random(seed)  # noqa: S311  chance that can be repeated, no secret
        self._rng = Random(seed + 1)  # noqa: S311
        self._seconds = seconds
        self._steps = steps
        self._stopping = threading.Event()
        self._deeds: list[Callable[[], str]] = [
            *([self._break_node] * 4),
            self._outage,
            self._pause_messenger,
            *([self._reorg] * 2),
        ]
        self._chains = {"L1": stack.l1.url, "zksync": stack.l2.url}
        if stack.starknet is not None:
            self._chains["starknet"] = stack.starknet.rpc_url
        self._threads = [
            threading.Thread(target=self._every, args=(rng, deed), daemon=True, name=name)
            for name, rng, deed in (
                ("killer", self._luck, self._kill),
                ("breaker", self._rng, self._break),
            )
        ]

    @property
    def killed(self) -> int:
        """Count the kills so far."""
        return self.kills.total()

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, and leave everything whole."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _every(self, rng: Random, deed: Callable[[], None]) -> None:
        while not self._stopping.wait(self._seconds * rng.uniform(0.5, 1.5)):
            deed()

    def _kill(self) -> None:
        """Kill one process, if the one that chance has chosen is there."""
        victim = self._luck.choice(_VICTIMS)
        pid = self._pid(victim)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills[victim] += 1
        taken = self._steps()
        awaited(lambda: self._stopping.is_set() or self._steps() > taken, seconds=_STANDSTILL)

    def _pid(self, victim: Victim) -> int | None:
        services = self._stack.services
        match victim:
            case Victim.RUN:
                runs = run_workers(services["code"].pid)
                return self._luck.choice(runs) if runs else None
            case Victim.CODE:
                return services["code"].pid if services["code"].running else None
            case Victim.DAEMON:
                return services["daemon"].pid if services["daemon"].running else None
            case Victim.POSTGRES:
                return self._stack.postmaster

    def _break(self) -> None:
        deed = self._rng.choice(self._deeds)
        try:
            self.faults[deed()] += 1
        except (requests.RequestException, Web3Exception, RuntimeError) as e:
            self.faults[f"failed: {type(e).__name__}"] += 1

    def _break_node(self) -> str:
        """Let one node of a chain fail in one way for a while; the others are well."""
        nodes = self._stack.nodes[self._rng.choice(sorted(self._stack.nodes))]
        fault = self._rng.choice([f for f in Fault if f is not Fault.NONE])
        node = self._rng.choice(nodes)
        node.fail(fault)
        self._a_while()
        node.fail(Fault.NONE)
        return f"node {fault}"

    def _outage(self) -> str:
        """Let all nodes of a chain fail at once."""
        chain, fault = self._rng.choice(sorted(self._stack.nodes)), self._rng.choice(_OUTAGES)
        for node in self._stack.nodes[chain]:
            node.fail(fault)
        self._a_while()
        for node in self._stack.nodes[chain]:
            node.fail(Fault.NONE)
        return f"all nodes of a chain {fault}"

    def _pause_messenger(self) -> str:
        pid = self._stack.services["messenger"].pid
        os.kill(pid, signal.SIGSTOP)
        self._a_while()
        os.kill(pid, signal.SIGCONT)
        return "messenger paused"

    def _reorg(self) -> str:
        chain = self._rng.choice(sorted(self._chains))
        depth = self._rng.randint(1, DEEPEST_REORG)
        if chain == "starknet":
            ask(connect(self._chains[chain]), "devnet_reorg", depth, True)
        else:
            w3 = connect(self._chains[chain])
            awaited(lambda: self._has_transactions(w3), seconds=_REORG_SECONDS, every=0.2)
            # A user whose order does not come back has it nowhere; on L1 all is ours.
            reorg(w3, depth, self._rng, loses=chain == "L1")
        return f"reorg of {chain}"

    def _has_transactions(self, w3: Web3) -> bool:
        return self._stopping.is_set() or bool(w3.eth.get_block("latest")["transactions"])

    def _a_while(self) -> None:
        self._stopping.wait(self._rng.uniform(1, _LONGEST_FAULT))


def run_workers(code_server: int) -> list[int]:
    """Return the processes of the runs that a code server has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [
            child.pid
            for child in psutil.Process(code_server).children(recursive=True)
            if _is_run(child)
        ]
    return []


def _is_run(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return any("spawn_main" in word for word in process.cmdline())
    return False


def awaited(there: Callable[[], bool], *, seconds: float, every: float = 0.5) -> bool:
    """Wait until something is so, at most `seconds`; tell whether it is."""
    end = time.monotonic() + seconds
    while not (so := there()) and time.monotonic() < end:
        time.sleep(every)
    return so
