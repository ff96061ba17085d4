"""One order's fault is stored with the order and stops none of its neighbours."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.guard import counts, guard_failures, halt_now, met_again
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.transitions import Change, change, change_all, record_error, release
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import (
    CounterpartyFault,
    Failure,
    Halts,
    OrdersFailed,
    RetryPolicy,
    RpcUnavailable,
    TryAgain,
    Waits,
)
from mmbot_pipelines.core.money import TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.core.retry import backoff
from mmbot_pipelines.core.safety import GLOBAL

# A run that was asked for and has not moved its order by then died with the process that could
# have recorded it (others are recorded at once, see `record_run_failure`). Many times a cold
# start, so that a slow machine is not given more to do; less than a minute.
ASK_AGAIN_SECONDS = 50

# While orders cannot be paid, each gets one run that logs it, and the next one after that.
HALTED_ASK_AGAIN_SECONDS = 10**9

# Orders that are decided and sent together: what is asked of a node for them at once, and how
# many signatures the wallet's lane is held for. The smallest run of several orders is one such
# part, so that all of its transactions reach the same block of L1.
BATCH_SIZE = 50

# An outage gets a moment to pass: a run that fails costs seconds of the machine. Where no node
# answered, it is shorter: no run is asked for until one does.
_AFTER_OUTAGE_SECONDS = 10
_AFTER_SILENCE_SECONDS = 2


def fault_of(order: Order, failure: Failure, step: str) -> Fault:
    """Write a failure down as an error row of the order."""
    return Fault(subject=order.key, step=step, kind=type(failure).__name__, message=str(failure))


def after_failure(bridge: Bridge, order: Order, failure: Failure) -> Order:
    """Return the order as a failure leaves it: tried later, or parked for a person."""
    later = (
        failure.retry_policy is not RetryPolicy.NEVER
        and order.failures + 1 < bridge.rules.max_attempts
    )
    wait = backoff(order.failures + 1, bridge.rules.backoff_seconds, bridge.draw())
    return order.with_failure(
        f"{type(failure).__name__}: {failure}",
        failed=True,
        next_attempt_at=bridge.clock() + timedelta(seconds=wait) if later else None,
    )


def _then(order: Order) -> str:
    at = order.next_attempt_at
    return f"next attempt at {at:%H:%M:%S} UTC" if at else "parked for a person"


def _is_own_fault(failure: Failure) -> bool:
    return not isinstance(failure, CounterpartyFault)


class Work:
    """The orders of one step of one run, and what failed among them."""

    def __init__(self, bridge: Bridge, run: Run, step: str) -> None:
        self.bridge = bridge  # with the wallet that the present slice is sent from
        self.lanes = [bridge]  # with each wallet that may send it, in turn
        self.run = run
        self.step = step
        self.failed: dict[str, Failure] = {}
        self._recorded: set[tuple[str, str]] = set()  # outages, by origin and kind
        self._left: list[str] = []  # orders that this run was kept from, to be taken again
        self._counted = False  # a failure that may call for a halt
        self._halted: set[str] = set()  # scopes, by this step
        self._unconfirmed: list[str] = []  # orders that have met what may halt for the first time

    def send_from(self, lanes: Sequence[Bridge]) -> None:
        """Send the present slice from the first of these wallets that can."""
        self.lanes = list(lanes)
        self.bridge = self.lanes[0]

    @property
    def is_last_wallet(self) -> bool:
        """Return whether no other wallet may send what this one cannot."""
        return self.bridge is self.lanes[-1]

    def due(self, keys: Sequence[str], statuses: Sequence[Status]) -> list[Order]:
        """Return the orders in these statuses that may be worked on now; log what may not.

        A run begins seconds after it was asked for: meanwhile another one may have failed.
        """
        due, now = [], self.bridge.clock()
        for order in self.bridge.store.orders.get(list(dict.fromkeys(keys))):
            if order.status is Status.DROPPED and Status.PENDING in statuses:
                self.run.log(f"{order.key}: skipped, it was dropped: {order.reason}")
            elif order.status in statuses and not order.is_due(now):
                self.run.log(f"{order.key}: skipped, it failed meanwhile; {_then(order)}")
            elif order.status in statuses:
                due.append(order)
        return due

    def fail(self, order: Order, failure: Failure) -> None:
        """Store a failure with its order and go on with the others.

        An outage is no fault of the order: its error is kept, the order stays
        healthy and is asked for again. What only waits is no failure at all.
        """
        if isinstance(failure, Halts) and met_again(order, failure.reason, self.bridge.clock()):
            self._halt(order.origin if failure.halts_origin_only else GLOBAL, failure)
        elif isinstance(failure, Halts):
            self._unconfirmed.append(order.key)
        if isinstance(failure, Waits):
            self._store_wait(order, failure)
            return
        self.failed[order.key] = failure
        failpoints.failpoint(failpoints.Point.FAILURE_SEEN)
        fault = fault_of(order, failure, self.step)
        self._counted |= counts(fault)
        if isinstance(failure, TryAgain):
            record_error(self.bridge, self.run, fault)
            self.run.log(f"{order.key}: {fault.kind}: {failure}; tried again shortly")
            return
        after = after_failure(self.bridge, order, failure)
        if change(self.bridge, self.run, order, after, fault=fault) is None:
            record_error(self.bridge, self.run, fault)
        failpoints.failpoint(failpoints.Point.FAILURE_STORED)
        self.run.log(f"{order.key}: {after.reason}; {_then(after)}")

    def _halt(self, scope: str, failure: Halts) -> None:
        if scope not in self._halted:
            self._halted.add(scope)
            halt_now(self.bridge, self.run, failure, scope)

    def roll_back(self, order: Order, back: Order, failure: Failure) -> None:
        """Store an order at an earlier state together with the failure that took it there."""
        after = after_failure(self.bridge, back, failure)
        if change(self.bridge, self.run, order, after, fault=fault_of(order, failure, self.step)):
            self.run.log(f"{order.key}: back at {after.status}, {after.reason}; {_then(after)}")

    def wait(self, order: Order, reason: str, *, searched_below: int | None = None) -> None:
        """Keep with a healthy order why it waits; what failed keeps its failure.

        searched_below: how far the search that it waits for has come.
        """
        after = order if order.failed else order.with_wait_reason(reason, at=self.bridge.clock())
        if searched_below is not None:
            after = replace(after, searched_below=searched_below)
        if after != order:
            change(self.bridge, self.run, order, after)

    def _store_wait(self, order: Order, cause: Waits) -> None:
        """Store why an order waits; an earlier failure is over, as it came as far as this."""
        self.run.log(f"{order.key}: {cause.reason} ({cause})")
        after = order.with_wait_reason(cause.reason, at=self.bridge.clock())
        if after != order:
            change(self.bridge, self.run, order, after)

    def keep(self, orders: Sequence[Order], results: Sequence[Failure | None]) -> list[Order]:
        """Return the orders without a failure and store the failures of the others."""
        outages: dict[str, tuple[list[Order], TryAgain]] = {}
        for order, result in zip(orders, results, strict=True):
            if isinstance(result, TryAgain):
                kind = f"{order.origin}: {type(result).__name__}"
                outages.setdefault(kind, ([], result))[0].append(order)
            elif result is not None:
                self.fail(order, result)
        for hit, failure in outages.values():
            self._outage(hit[0].origin, hit, failure)
        return [o for o, v in zip(orders, results, strict=True) if v is None]

    def in_batches(
        self,
        origin: str,
        orders: Sequence[Order],
        do: Callable[[list[Order]], object],
        *,
        size: int = BATCH_SIZE,
    ) -> None:
        """Work on an origin's orders, some at a time: what is done stays when a part fails.

        An outage that hits two parts ends the work: what comes after them is asked for again.
        """
        outages = 0
        for start in range(0, len(orders), size):
            part = list(orders[start : start + size])
            try:
                do(part)
                outages = 0
            except TryAgain as failure:
                self._outage(origin, part, failure)
                outages += 1  # one alone may be what a single order brings about
                if outages == 2:
                    self._left += [order.key for order in orders[start + size :]]
                    return
            except Failure as failure:
                for order in self._not_done(part):
                    self.fail(order, failure)

    def _not_done(self, part: Sequence[Order]) -> list[Order]:
        """Return the orders of a part that failed for which nothing is decided yet.

        What was dropped, sent or completed before has not failed with the others.
        """
        begun = {order.key: order.status for order in part}
        return [
            order
            for order in self.bridge.store.orders.get(list(begun))
            if order.key not in self.failed
            # accepted: decided, but nothing is signed yet
            and order.status in (begun[order.key], Status.PROCESSING)
        ]

    def _outage(self, origin: str, hit: Sequence[Order], failure: Failure) -> None:
        """Record an outage once; the orders stay healthy."""
        failpoints.failpoint(failpoints.Point.FAILURE_SEEN)
        keys = [order.key for order in hit if order.key not in self.failed]
        self.failed |= dict.fromkeys(keys, failure)
        subject = keys[0] if len(keys) == 1 else origin
        fault = Fault(
            subject=subject, step=self.step, kind=type(failure).__name__, message=str(failure)
        )
        if (origin, fault.kind) not in self._recorded:
            self._recorded.add((origin, fault.kind))
            record_error(self.bridge, self.run, fault)
        count = "1 order is" if len(keys) == 1 else f"{len(keys)} orders are"
        self.run.log(f"{subject}: {fault.kind}: {failure}; {count} tried again shortly")

    def advance(
        self,
        order: Order,
        fact: Fact,
        *,
        tx: TxHash | None = None,
        block: Block | None = None,
        refund: Wei | None = None,
        ref: str | None = None,
        reason: str | None = None,
    ) -> Order | None:
        """Store one step of one order; None when another run was faster."""
        now = self.bridge.clock()
        after = order.after(fact, at=now, tx=tx, block=block, refund=refund, ref=ref, reason=reason)
        stored = change(self.bridge, self.run, order, after, tx=tx)
        if stored is None:
            self.leave([order])
        return stored

    def advance_all(self, orders: Sequence[Order], fact: Fact) -> list[Order]:
        """Store the same step of several orders at once; return those that nobody else changed."""
        now = self.bridge.clock()
        changes = [Change(before=order, after=order.after(fact, at=now)) for order in orders]
        stored = change_all(self.bridge, self.run, changes) if changes else []
        kept = {order.key for order in stored}
        self.leave([order for order in orders if order.key not in kept])
        return stored

    def leave(self, lost: Sequence[Order]) -> None:
        """Let orders be taken again after this run that somebody else has changed.

        Where their status is as before no other run has them: their block alone is another one
        now, say. They would wait until they are asked for again by time.
        """
        before = {order.key: order.status for order in lost}
        found = self.bridge.store.orders.get([*before]) if before else []
        self._left += [order.key for order in found if order.status is before[order.key]]

    def finish(self) -> None:
        """End the step.

        Raises:
            OrdersFailed: some orders failed; each is named with its cause.
        """
        if self._counted:
            guard_failures(self.bridge, self.run)
        self._release()
        if self.failed:
            count = "1 order" if len(self.failed) == 1 else f"{len(self.failed)} orders"
            raise OrdersFailed(
                f"{self.step}: {count} failed\n" + "\n".join(self._causes()),
                is_own_fault=any(map(_is_own_fault, self.failed.values())),
            )

    def _causes(self) -> list[str]:
        """Name the orders of each failure, our own faults first.

        One line has all that the same outage hit.
        """
        keys: dict[int, list[str]] = {}
        failures = {id(failure): failure for failure in self.failed.values()}
        for key, failure in self.failed.items():
            keys.setdefault(id(failure), []).append(key)
        return [
            f"{', '.join(keys[i])}: {type(failure).__name__}: {failure}"
            for i, failure in sorted(failures.items(), key=lambda f: not _is_own_fault(f[1]))
        ]

    def _release(self) -> None:
        """Let the orders that an outage hit be asked for again when it may be over."""
        hit = {key: f for key, f in self.failed.items() if isinstance(f, TryAgain)}
        silent = [key for key, failure in hit.items() if type(failure) is RpcUnavailable]
        others = [key for key in hit if key not in silent]
        soon = [*others, *self._unconfirmed]
        for keys, pause in ((silent, _AFTER_SILENCE_SECONDS), (soon, _AFTER_OUTAGE_SECONDS)):
            if keys:
                early = timedelta(seconds=ASK_AGAIN_SECONDS - pause)
                release(self.bridge, keys, asked_at=self.bridge.clock() - early)
        if self._left:
            release(self.bridge, self._left)
