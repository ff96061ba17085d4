"""Run the whole product under load and faults, and audit it when every order is at rest.

    make chaos
    CHAOS_ORDERS=200 CHAOS_KILLS=100 CHAOS_SEED=1 python -m tests.chaos

When every order is placed and every kill is done, all faults end, and the bot gets time to
bring all orders to rest. What only a person may do is done by `Operator`: to resume after a
halt. Parked orders stay parked.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from mmbot_pipelines.bridge.audit.facts import Audited
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.orders import OrderKind, OrderSpec, order_spec, submit
from tests.chaos.chain_faults import alternating_recipient
from tests.chaos.faults import FaultSchedule, wait_until
from tests.chaos.faulty_stack import FaultyStack
from tests.chaos.invariants import audited, final_states, stored_facts
from tests.chaos.operator import Operator

_LOG_EVERY_SECONDS = 10.0
_MAX_STILL_SECONDS = 300.0  # without a fault: what stands still for longer is lost
_LAUNCH_EVERY_SECONDS = 15.0
_KILLS_AHEAD = 3
_KINDS = [OrderKind.GOOD] * 17 + [OrderKind.LOW_FEE, OrderKind.ABOVE_CAP, OrderKind.REJECTING]


class ChaosRun:
    """One product, its users, its faults and its operator."""

    def __init__(
        self,
        stack: FaultyStack,
        *,
        orders: int,
        kills: int,
        seed: int,
        log: Callable[[str], None],
        kill_every: float = 4.0,
    ) -> None:
        """Describe the run.

        kill_every: seconds between two kills, on average.
        """
        self._stack = stack
        self._orders = orders
        self._kills = kills
        self._rng = Random(seed)
        self._log = log
        self._began = time.monotonic()
        self._placed = 0
        self._mean_delay = kills * kill_every / orders / 2  # seconds, where kills keep pace
        self.operator = Operator(stack)
        self.faults = FaultSchedule(stack, seed=seed, seconds=kill_every, steps=self.operator.steps)

    def run(self) -> list[Audited]:
        """Place the orders, cause the faults, and return the audit once all is at rest."""
        chains = self._stack.chains()
        before = chains.snapshot()
        users = threading.Thread(target=self._place, daemon=True, name="users")
        users.start()
        self.faults.start()
        while users.is_alive() or self.faults.killed < self._kills:
            self._wait(_LOG_EVERY_SECONDS, launch=False)
        self.faults.stop()
        self.log(f"no more faults; kills: {counts(self.faults.kills)}")
        self.log(f"faults: {counts(self.faults.faults)}")
        self._await_settled()
        stored = stored_facts(self._stack.database_url)
        self.log(f"orders: {counts(final_states(stored))}")
        self.log(f"transactions: {counts(Counter(t.state for t in stored.transactions))}")
        self.log(f"halted and resumed {self.operator.resumed} times")
        return audited(chains, self._stack.database_url, before)

    def log(self, text: str) -> None:
        """Log one line, with the seconds since the start."""
        self._log(f"{time.monotonic() - self._began:6.0f} s  {text}")

    def _wait(self, seconds: float, *, launch: bool) -> None:
        """Let time pass, let the operator act, and log the progress."""
        wait_until(lambda: False, seconds=seconds)
        self.operator.resume()
        if launch:
            self.operator.launch("accepted_blocks_backfill")
            self.operator.launch("failed_orders_retry")
        self.log(
            f"placed {self._placed}/{self._orders}, kills {self.faults.killed}/{self._kills}, "
            f"faults {sum(self.faults.faults.values())}: {self.operator.summary()}"
        )

    def _await_settled(self) -> None:
        """Wait until all orders are at rest, or nothing has moved for long."""
        seen, moved = self.operator.states(), time.monotonic()
        # A user without an answer in a reorg may have placed an order twice: the escrows know.
        locked = sum(len(origin.orders()) for origin in self._stack.chains().origins)
        while not self.operator.is_settled(locked):
            self._wait(_LAUNCH_EVERY_SECONDS, launch=True)
            if (states := self.operator.states()) != seen:
                seen, moved = states, time.monotonic()
            if time.monotonic() - moved > _MAX_STILL_SECONDS:
                return

    def _place(self) -> None:
        """Place orders as users do, who do not wait for a block."""
        deployment = self._stack.deployment
        alternating = alternating_recipient(connect(deployment.l1.rpc_url))
        for number in range(self._orders):
            time.sleep(self._rng.expovariate(1 / self._mean_delay))
            self._keep_pace(number)
            kind, origin = self._rng.choice(_KINDS), self._rng.choice(self._stack.origins)
            order = order_spec(kind, deployment, self._rng, origin=origin)
            if kind is OrderKind.REJECTING and self._rng.random() < 0.5:
                order = replace(order, recipient=alternating)
            while not self._lock(order):
                time.sleep(1)
            self._placed += 1

    def _lock(self, order: OrderSpec) -> bool:
        zksync = self._stack.deployment.zksync
        try:
            if order.origin == "zksync":
                submit(connect(zksync.rpc_url), zksync, order)
            else:
                self._stack.users().place(order)
        except Exception as e:  # users retry, whatever the error of a faulty chain
            self.faults.faults[f"order not placed: {type(e).__name__}"] += 1
            return False
        return True

    def _keep_pace(self, number: int) -> None:
        """Wait while the kills are far behind the orders that they shall hit."""
        due = self._kills * number / self._orders - _KILLS_AHEAD
        wait_until(lambda: self.faults.killed >= due, seconds=_MAX_STILL_SECONDS)


def counts(counted: Mapping[Any, int]) -> str:
    """Format counts, the highest first."""
    ordered = sorted(counted.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name}" for name, count in ordered) or "nothing"
