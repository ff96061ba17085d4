"""Pay recipients: decide, verify, sign, store, broadcast.

Nothing is believed that was read earlier: registry, prices, simulation and escrow are
read in the moment before signing.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby

from mmbot_pipelines.bridge import gas_estimates
from mmbot_pipelines.bridge.admission import Gate, closed
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.authority import with_authority
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.lifecycle import Fact, Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.policy import Cost, refusal, shortfall
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.bridge.reorgs import standing
from mmbot_pipelines.bridge.ripeness import keep_ripe
from mmbot_pipelines.bridge.sending import Request, send
from mmbot_pipelines.core import crash
from mmbot_pipelines.core.errors import Failure, RevertForeseen, Waits
from mmbot_pipelines.core.money import Gas, Wei, in_words
from mmbot_pipelines.core.outbox import Fees

UNPAID = (Status.PENDING, Status.PROCESSING)

# Orders whose payment one run searches for.
_SEARCHES = 5
_USED = "the registry has this transfer already"
_SEARCHING = "waits: it is paid already, its transaction is searched for"

# What a transfer takes at the least, measured at 111 k: only to decide what is not asked about.
_LEAST_TRANSFER = Gas(50_000)


class PricesTooHigh(Waits):
    """An order's fee does not cover what it costs to fill it at present prices."""

    reason = "waiting: its fee does not cover the cost at present prices"


def by_origin(orders: Iterable[Order]) -> list[tuple[str, list[Order]]]:
    """Group orders by their origin, so that one origin's outage stops only its own."""
    ordered = sorted(orders, key=lambda o: (o.origin, o.number))
    return [(name, list(group)) for name, group in groupby(ordered, key=lambda o: o.origin)]


def transfer(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Pay the recipients of these orders, where they are worth it.

    Raises:
        OrdersFailed: some orders failed; the others were sent.
    """
    work, gate, paid = Work(bridge, run, "transfer"), Gate(bridge), list[Order]()
    for origin, group in by_origin(work.due(keys, UNPAID)):
        fresh = [o for o in group if o.status is Status.PENDING]
        refused = {o.key for o in fresh} - {o.key for o in _permitted(work, fresh)}
        left = [o for o in group if o.key not in refused]
        work.in_parts(origin, left, partial(_fill, work, gate, origin, paid))
    # Last, for a search may take long: nobody waits for another order's.
    _take_up(work, paid)
    work.finish()


def take_up_paid(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Take orders that the registry has as paid up from there, whatever else speaks against them.

    Raises:
        OrdersFailed: the registry could not be asked.
    """
    work, paid = Work(bridge, run, "transfer"), list[Order]()
    for origin, group in by_origin(work.due(keys, UNPAID)):
        work.in_parts(origin, group, partial(_set_paid_aside, work, paid))
    _take_up(work, paid)
    work.finish()


def _permitted(work: Work, orders: Sequence[Order]) -> list[Order]:
    """Drop the orders that the settings refuse at any price; return the others."""
    permitted = []
    for order in orders:
        reason = refusal(order, work.bridge.rules.limits)
        if reason is None:
            permitted.append(order)
        elif work.advance(order, Fact.REFUSED, reason=reason):
            work.run.say(f"{order.key}: dropped, {reason}")
    return permitted


def _fill(work: Work, gate: Gate, origin: str, paid: list[Order], orders: list[Order]) -> None:
    bridge = work.bridge
    # One price for all: what is simulated at another one than is signed may behave otherwise.
    fees = bridge.chain.fees()
    orders = _affordable(work, origin, orders, fees)
    orders = _permitted(work, _set_paid_aside(work, paid, orders))
    if closed(work, origin, orders):
        return
    orders = keep_ripe(work, origin, orders)
    calls = {o.key: bridge.registry.transfer(o) for o in orders}
    results = with_authority(work, bridge.chain.simulate([calls[o.key] for o in orders], fees))
    gas = {o.key: result for o, result in zip(orders, results, strict=True)}
    foreseen = [o for o in orders if isinstance(gas[o.key], RevertForeseen)]
    if foreseen:  # by a payment that came in this very moment
        unpaid = _set_paid_aside(work, paid, foreseen)
        orders = [o for o in orders if o not in foreseen or o in unpaid]
    orders = [o for o, _ in _decide(work, origin, orders, gas, fees)]
    if bridge.rules.dry_run:
        for order in orders:
            work.run.say(f"{order.key}: dry run, {in_words(order.amount)} would be paid now")
        return
    orders = work.keep(
        orders, [g if isinstance(g := gas[o.key], Failure) else None for o in orders]
    )
    # An order that a reorg has moved begins to wait anew.
    orders = keep_ripe(work, origin, standing(work, origin, orders))
    orders = work.keep(orders, bridge.origins[origin].check(orders))
    market = bridge.chain.fees()
    requests = [
        Request(
            order=order,
            call=calls[order.key],
            gas=cost.transfer_gas,
            reserve=Wei(cost.claim_gas * market.ceiling + cost.message),
            claim_cost=cost.claim,
        )
        for order, cost in _decide(work, origin, orders, gas, market)
    ]
    send(work, requests, fees, origin=origin, gate=gate)


def _decide(
    work: Work,
    origin: str,
    orders: Sequence[Order],
    gas: Mapping[str, Gas | Failure],
    fees: Fees,
) -> list[tuple[Order, Cost]]:
    """Keep back what does not pay at these prices; what passes is PROCESSING."""
    chain, kept = work.bridge.origins[origin], []
    if not orders:
        return []
    claim_gas = gas_estimates.claim_gas(work.bridge, origin)
    typical = gas_estimates.transfer_gas(work.bridge, origin)
    for order, message in zip(orders, chain.message_fee(orders, fees), strict=True):
        estimate = gas[order.key]
        cost = Cost(
            transfer_gas=typical if isinstance(estimate, Failure) else estimate,
            claim_gas=claim_gas,
            gas_price=fees.expected,
            message=message,
        )
        reason = shortfall(order, work.bridge.rules.limits, cost)
        if reason is not None:
            _too_dear(work, order, reason)
        elif order.status is Status.PROCESSING:
            kept.append((order, cost))
        elif accepted := work.advance(order, Fact.ACCEPTED):
            crash.here(crash.Point.DECIDED)
            work.run.say(
                f"{order.key}: accepted, pays {in_words(order.amount)} to {order.recipient} "
                f"for a fee of {in_words(order.fee)} at a cost of {in_words(cost.total)}"
            )
            kept.append((accepted, cost))
    return kept


def _affordable(work: Work, origin: str, orders: Sequence[Order], fees: Fees) -> list[Order]:
    """Return the orders that may be worth it: a crowd that is not costs no further question.

    One that has waited long enough is returned too: before it is dropped, the registry is asked.
    """
    least = Cost(
        transfer_gas=_LEAST_TRANSFER,
        claim_gas=gas_estimates.claim_gas(work.bridge, origin),
        gas_price=fees.expected,
        message=Wei(0),
    )
    found = []
    for order in orders:
        reason = shortfall(order, work.bridge.rules.limits, least)
        if reason is None or _waited(work, order):
            found.append(order)
        else:
            _too_dear(work, order, reason)
    return found


def _too_dear(work: Work, order: Order, reason: str) -> None:
    """Let an order wait for better prices, and drop it when it has waited long enough."""
    if _waited(work, order):
        longest = work.bridge.rules.wait_for_price_seconds
        why = f"{reason}, and that for {longest:.0f} s (MMBOT_WAIT_FOR_PRICE_SECONDS)"
        if work.advance(order, Fact.REFUSED, reason=why):
            work.run.say(f"{order.key}: dropped, {why}")
        return
    work.fail(order, PricesTooHigh(reason))


def _waited(work: Work, order: Order) -> bool:
    if order.reason != PricesTooHigh.reason or order.waiting_since is None:
        return False
    waited = (work.bridge.clock() - order.waiting_since).total_seconds()
    return waited >= work.bridge.rules.wait_for_price_seconds


def _set_paid_aside(work: Work, paid: list[Order], orders: Sequence[Order]) -> list[Order]:
    """Add the orders that the registry has as paid to `paid`; return the others."""
    used = dict(zip([o.key for o in orders], work.bridge.registry.used(orders), strict=True))
    paid += [order for order in orders if used[order.key]]
    return [order for order in orders if not used[order.key]]


def _take_up(work: Work, paid: Sequence[Order]) -> None:
    """Take paid orders up at the claim, some of them in one run: each is searched for."""
    for order in paid[:_SEARCHES]:
        work.in_parts(order.origin, [order], partial(_search, work))
    for order in paid[_SEARCHES:]:
        work.wait(order, _SEARCHING)


def _search(work: Work, orders: Sequence[Order]) -> None:
    for order in orders:
        tx = work.bridge.registry.paid_in(order, below=order.searched_below)
        if isinstance(tx, int):
            work.wait(order, _SEARCHING, searched_below=tx)
            work.run.say(f"{order.key}: {_SEARCHING}, it is in no block from {tx} on")
        elif work.advance(order, Fact.PAID, tx=tx, reason=_USED):
            work.run.say(f"{order.key}: paid already in {tx}, taken up at the claim")
