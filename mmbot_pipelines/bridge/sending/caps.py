"""Which transfers may be signed now. What may not waits: it neither fails nor is dropped.

What is out is added up by one run at a time, whichever wallet's lane it holds, so that the limits
hold to the wei however many runs sign at once. Claims are never asked here.

Room that an older order of the same origin waits for is kept for it half of the time: so a
large one does not wait for ever behind a stream of small ones, nor they behind it. It is kept
for the oldest that wait for it, so that a crowd that waits costs the lane no more than a few.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.confirmations import blocks_on_top
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeUnitOfWork, Cursor
from mmbot_pipelines.core.money import Address, Wei, format_ether
from mmbot_pipelines.core.safety import ScopeState, State, confirm, effective_state

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

# How long room is kept for orders that wait for it; then it is free for as long for all.
_RESERVED = 5 * _MINUTE

# For how many waiting orders room is kept: those behind them become the oldest in their turn.
_MAX_RESERVING = 100

# Of the largest transfer: what may go out at most while THROTTLED.
_THROTTLED_SHARE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why an order waits."""

    reason: str  # kept with the order: the same while the cause is the same
    detail: str = ""
    halted: bool = False  # one cause for all


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """One limit, and how much of it is used."""

    name: str
    max_amount: Wei
    used: int
    own: bool = False  # of the order's recipient alone


class RunLimits:
    """What one run may still send."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.sent = 0  # transfers of this run

    def open(self, uow: BridgeUnitOfWork, origin: str) -> "Admission":
        """Read states and limits again, now that nobody else can sign."""
        return Admission(self, uow, origin)


class Admission:
    """What may be signed for one origin while the lane is held."""

    def __init__(self, run_limits: RunLimits, uow: BridgeUnitOfWork, origin: str) -> None:
        rules, now = run_limits.bridge.rules, run_limits.bridge.clock()
        self._uow, self._origin = uow, origin
        uow.orders.lock_limits()  # after the lane, by everybody: no two wait for each other
        self._gate, self._limits, self._caps = run_limits, rules.limits, rules.caps
        self._now, self._scope_states = now, uow.safety.scope_states()
        self._scope_state = effective_state(self._scope_states, origin)
        caps, none = self._caps, dict[str, Wei]()
        by_day = caps.per_day is not None or caps.per_recipient is not None
        self._out = uow.orders.exposure() if caps.exposure is not None else Wei(0)
        self._day = uow.orders.paid_since(now - _DAY) if by_day else none
        self._hour = uow.orders.paid_since(now - _HOUR) if caps.per_hour is not None else none
        self._taken: list[Order] = []
        self._held_back: dict[tuple[str, Address | None], list[Order]] = {}
        self._decided: dict[str, Order | None] = {}  # by this run; None: goes out

    def wait(self, order: Order) -> Wait | None:
        """Return why an order cannot go out now, or None when it can."""
        wait = _halted(self._scope_state) or self._throttled(order) or self._over_limit(order)
        waiting = None if wait is None else order.with_wait_reason(wait.reason, at=self._now)
        self._decided[order.key] = waiting
        return wait

    def confirm(self) -> None:
        """Check, when all is signed, that the states are still as they were read.

        Raises:
            StatesChanged: one is not: nothing that was signed may be stored.
        """
        confirm(self._scope_states, self._uow.safety.hold())

    def take(self, order: Order) -> None:
        """Count an order whose transfer is stored."""
        self._gate.sent += 1
        self._taken.append(order)

    def _throttled(self, order: Order) -> Wait | None:
        if not self._scope_state.is_slowed:
            return None
        max_amount = self._limits.max_transfer // _THROTTLED_SHARE
        if order.amount > max_amount:
            reason = (
                f"waiting: while THROTTLED no more than {format_ether(max_amount)} goes to an order"
            )
            return Wait(reason=reason, detail=self._scope_state.summary)
        if self._gate.sent >= self._caps.throttled_transfers:
            count = self._caps.throttled_transfers
            reason = f"waiting: while THROTTLED a run sends no more than {count}"
            return Wait(reason=reason, detail=self._scope_state.summary)
        return None

    def _over_limit(self, order: Order) -> Wait | None:
        for limit in self._limits_for(order):
            if order.amount > limit.max_amount:
                return Wait(reason=f"waiting: the amount alone is above {limit.name}, raise it")
            reason = f"waiting: {limit.name} reached"
            before = self._reserved(order, limit, reason)
            if limit.used + before + order.amount > limit.max_amount:
                used = f"{format_ether(limit.used)} of {format_ether(limit.max_amount)} is used"
                first = (
                    f", {format_ether(before)} is kept for orders that waited before it, "
                    f"for {_RESERVED // _MINUTE} minutes of every {2 * _RESERVED // _MINUTE}"
                )
                return Wait(reason=reason, detail=used + (first if before else ""))
        return None

    def _reserved(self, order: Order, limit: _Limit, reason: str) -> Wei:
        """Sum what older orders wait for under a limit, in wei, while it is kept for them.

        A large one would else wait for ever behind small ones that fit; and were it kept all
        the time, one that cannot go soon would keep all others back.
        """
        same = self._waiting_for(reason, order.recipient if limit.own else None)
        since = min((o.waiting_since for o in same if o.waiting_since), default=self._now)
        if (self._now - since) // _RESERVED % 2:
            return Wei(0)
        return Wei(sum(other.amount for other in same if other.number < order.number))

    def _waiting_for(self, reason: str, recipient: Address | None) -> list[Order]:
        """Return the oldest orders that wait with this reason, as this run has judged them."""
        known = (reason, recipient)
        if known not in self._held_back:
            self._held_back[known] = self._uow.orders.held_back(
                self._origin, reason, recipient=recipient, max_orders=_MAX_RESERVING
            )
        stored = [other for other in self._held_back[known] if other.key not in self._decided]
        decided = [
            other
            for other in self._decided.values()
            if other is not None and other.reason == reason and recipient in (None, other.recipient)
        ]
        return stored + decided

    def _limits_for(self, order: Order) -> Iterator[_Limit]:
        caps = self._caps
        new = sum(o.amount for o in self._taken)
        if caps.exposure is not None:
            yield _Limit(
                name="MMBOT_MAX_EXPOSURE_WEI", max_amount=caps.exposure, used=self._out + new
            )
        if caps.per_hour is not None:
            used = sum(self._hour.values()) + new
            yield _Limit(name="MMBOT_MAX_PER_HOUR_WEI", max_amount=caps.per_hour, used=used)
        if caps.per_day is not None:
            used = sum(self._day.values()) + new
            yield _Limit(name="MMBOT_MAX_PER_DAY_WEI", max_amount=caps.per_day, used=used)
        if caps.per_recipient is not None:
            own = sum(o.amount for o in self._taken if o.recipient == order.recipient)
            used = self._day.get(order.recipient, 0) + own
            name = "MMBOT_MAX_PER_RECIPIENT_WEI"
            yield _Limit(name=name, max_amount=caps.per_recipient, used=used, own=True)


def _halted(scope_state: ScopeState) -> Wait | None:
    if scope_state.state is not State.HALTED:
        return None
    reason = f"waiting: {scope_state.scope} is HALTED"
    return Wait(reason=reason, detail=scope_state.summary, halted=True)


def log_waits(work: Work, waiting: Sequence[tuple[Order, Wait]]) -> None:
    """Log why orders wait and store it with them; a halt is one line for all."""
    halted = [wait for _, wait in waiting if wait.halted]
    if halted:
        count = "1 order waits" if len(halted) == 1 else f"{len(halted)} orders wait"
        work.run.log(f"{work.step}: nothing is sent, {halted[0].detail}; {count}")
    for order, wait in waiting:
        if not wait.halted:
            detail = f" ({wait.detail})" if wait.detail else ""
            work.run.log(f"{order.key}: {wait.reason}{detail}")
        work.wait(order, wait.reason)


def closed(work: Work, origin: str, orders: Sequence[Order]) -> bool:
    """Keep all orders back when their origin is halted; return whether it is.

    Raises:
        StoreUnavailable: the states cannot be read, so nothing may be sent.
    """
    wait = _halted(effective_state(work.bridge.store.safety.scope_states(), origin))
    if wait is None:
        return False
    log_waits(work, [(order, wait) for order in orders])
    return True


def split_confirmed(work: Work, origin: str, orders: Sequence[Order]) -> list[Order]:
    """Return the orders with enough blocks on top; the others wait, healthy."""
    tiers = work.bridge.rules.confirmations
    if not tiers or not orders:
        return list(orders)
    l2 = work.bridge.origins[origin]
    head = l2.head(Cursor.LATEST).number
    wants = [(order, blocks_on_top(tiers, order.amount)) for order in orders]
    final = l2.final().number if any(wanted is None for _, wanted in wants) else 0
    confirmed = []
    for order, wanted in wants:
        number, there = order.block.number, head - order.block.number
        if wanted == 0 or (number <= final if wanted is None else there >= wanted):
            confirmed.append(order)
        elif wanted is None:
            work.run.log(f"{order.key}: waits, L1 has accepted {final}, not yet its block {number}")
            work.wait(order, "waiting: L1 must accept its block")
        else:
            work.run.log(
                f"{order.key}: waits, {max(there, 0)} of {wanted} blocks are on top of its own"
            )
            work.wait(order, f"waiting: {wanted} blocks must stand on top of its own")
    return confirmed
