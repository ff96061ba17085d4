"""The whole product under fire: orders go in, plugs are pulled, nothing may be wrong after.

    make chaos
    CHAOS_ORDERS=200 CHAOS_KILLS=100 CHAOS_SEED=1 python -m mmbot_pipelines.devnet.chaos

When every order is placed and every kill is done, everything is left whole, and the bot
gets time to bring all orders to rest. Then the invariants are checked from outside. What
only a person may do is done by "the operator" here: to resume after a halt. Parked orders
stay parked.
"""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from mmbot_pipelines.devnet.bystander import Bystander
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deceiver import deceiver
from mmbot_pipelines.devnet.faulty_stack import FaultyStack
from mmbot_pipelines.devnet.invariants import Result, check, kinds_of_rest, table
from mmbot_pipelines.devnet.monkey import Monkey, awaited
from mmbot_pipelines.devnet.orders import Kind, Wish, submit, wish
from mmbot_pipelines.devnet.outside import books

_TELL_EVERY_SECONDS = 10.0
_STILL_SECONDS = 300.0  # an order that does not move for so long, without any fault, is lost
_HELP_EVERY_SECONDS = 15.0
_HALF = 0.5
_KILLS_AHEAD = 3
_KINDS = [Kind.GOOD] * 17 + [Kind.LOW_FEE, Kind.ABOVE_CAP, Kind.REJECTING]


class Chaos:
    """One run of the harness."""

    def __init__(
        self,
        stack: FaultyStack,
        *,
        orders: int,
        kills: int,
        seed: int,
        say: Callable[[str], None],
        kill_every: float = 4.0,
    ) -> None:
        """Describe the run.

        kill_every: seconds between two kills, on average.
        """
        self._stack = stack
        self._orders = orders
        self._kills = kills
        self._rng = Random(seed)  # noqa: S311  chance that can be repeated, no secret
        self._say = say
        self._began = time.monotonic()
        self._placed = 0
        self._mean_delay = kills * kill_every / orders / 2  # seconds, where kills keep pace
        self.bystander = Bystander(stack)
        steps = self.bystander.steps
        self.monkey = Monkey(stack, seed=seed, seconds=kill_every, steps=steps)

    def run(self) -> list[Result]:
        """Do it all; return the invariants, and whether all came to rest first."""
        outside = self._stack.outside()
        before = outside.mark()
        users = threading.Thread(target=self._place, daemon=True, name="users")
        users.start()
        self.monkey.start()
        while users.is_alive() or self.monkey.killed < self._kills:
            self._wait(_TELL_EVERY_SECONDS, help_too=False)
        self.monkey.stop()
        self.say(f"no more faults; killed {told(self.monkey.kills)}")
        self.say(f"broken were {told(self.monkey.faults)}")
        self._await_rest()
        kept = books(self._stack.database_url)
        self.say(f"the orders ended as {told(kinds_of_rest(kept))}")
        self.say(f"errors kept: {told(Counter(e.kind for e in kept.errors))}")
        self.say(f"transactions: {told(Counter(t.state for t in kept.transactions))}")
        self.say(f"halted and resumed {self.bystander.resumed} times")
        return check(outside, self._stack.database_url, before)

    def say(self, text: str) -> None:
        """Say something, with the seconds since the beginning."""
        self._say(f"{time.monotonic() - self._began:6.0f} s  {text}")

    def _wait(self, seconds: float, *, help_too: bool) -> None:
        """Let time pass and say how it goes; act as the operator by the way."""
        awaited(lambda: False, seconds=seconds)
        self.bystander.resume()
        if help_too:
            self.bystander.launch("accepted_blocks_backfill")
            self.bystander.launch("failed_orders_retry")
        self.say(
            f"placed {self._placed}/{self._orders}, kills {self.monkey.killed}/{self._kills}, "
            f"faults {sum(self.monkey.faults.values())}: {self.bystander.told()}"
        )

    def _await_rest(self) -> None:
        """Wait until all orders are at rest, or nothing has moved for long."""
        seen, moved = self.bystander.states(), time.monotonic()
        # Who got no answer in a reorg may have placed an order twice: the escrows know.
        locked = sum(len(side.orders()) for side in self._stack.outside().sides)
        while not self.bystander.at_rest(locked):
            self._wait(_HELP_EVERY_SECONDS, help_too=True)
            if (states := self.bystander.states()) != seen:
                seen, moved = states, time.monotonic()
            if time.monotonic() - moved > _STILL_SECONDS:
                return

    def _place(self) -> None:
        """Place orders as users do, who do not look after their blocks."""
        deployment = self._stack.deployment
        liar = deceiver(connect(deployment.l1.rpc_url))
        for number in range(self._orders):
            time.sleep(self._rng.expovariate(1 / self._mean_delay))
            self._keep_pace(number)
            kind, origin = self._rng.choice(_KINDS), self._rng.choice(self._stack.origins)
            order = wish(kind, deployment, self._rng, origin=origin)
            if kind is Kind.REJECTING and self._rng.random() < _HALF:
                order = replace(order, recipient=liar)
            while not self._lock(order):
                time.sleep(1)
            self._placed += 1

    def _lock(self, order: Wish) -> bool:
        zksync = self._stack.deployment.zksync
        try:
            if order.origin == "zksync":
                submit(connect(zksync.rpc_url), zksync, order)
            else:
                self._stack.users().place(order)
        except Exception as e:  # whatever a chain under fire answers, its users try again
            self.monkey.faults[f"order not placed: {type(e).__name__}"] += 1
            return False
        return True

    def _keep_pace(self, number: int) -> None:
        """Let no order come long before the kills that it shall survive."""
        due = self._kills * number / self._orders - _KILLS_AHEAD
        awaited(lambda: self.monkey.killed >= due, seconds=_STILL_SECONDS)


def told(counted: Mapping[Any, int]) -> str:
    """Write counts down, the highest first."""
    ordered = sorted(counted.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name}" for name, count in ordered) or "nothing"


def main() -> int:
    """Run the harness as the environment says; return the exit code."""
    orders = int(os.environ.get("CHAOS_ORDERS", "200"))
    kills = int(os.environ.get("CHAOS_KILLS", "100"))
    seed = int(os.environ.get("CHAOS_SEED", "0")) or Random().randrange(1, 10**6)  # noqa: S311
    home = Path(os.environ.get("CHAOS_HOME", ".mmbot/chaos"))

    def say(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    say(f"CHAOS_SEED={seed} CHAOS_ORDERS={orders} CHAOS_KILLS={kills} repeats this plan")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with FaultyStack(home, seed=seed) as stack:
            say(f"Dagster UI: {stack.ui}   logs: {stack.home / 'logs'}")
            results = Chaos(stack, orders=orders, kills=kills, seed=seed, say=say).run()
    except KeyboardInterrupt:
        say(f"CHAOS_SEED={seed}: stopped by hand, nothing was checked")
        return 1
    say(table(results))
    broken = sum(len(result.broken) for result in results)
    say(f"CHAOS_SEED={seed}: {broken} violations" if broken else f"CHAOS_SEED={seed}: all is well")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
