"""Pay recipients: decide, verify, sign, store, broadcast.

Nothing is believed that was read earlier: registry, prices, simulation and escrow are
read in the moment before signing.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.claim_cost import ClaimCost
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.paid_orders import search_paid, split_paid
from mmbot_pipelines.bridge.policy import Cost, refusal, shortfall
from mmbot_pipelines.bridge.reorg.l2 import blocks_of, still_in_chain
from mmbot_pipelines.bridge.reverts import check_market_maker
from mmbot_pipelines.bridge.sending import gas_estimates
from mmbot_pipelines.bridge.sending.batches import slice_size
from mmbot_pipelines.bridge.sending.caps import RunLimits, closed, split_confirmed
from mmbot_pipelines.bridge.sending.claims_behind import claims_behind
from mmbot_pipelines.bridge.sending.requests import SubmitRequest
from mmbot_pipelines.bridge.sending.submit import submit
from mmbot_pipelines.bridge.sending.wallets import ready_lanes
from mmbot_pipelines.core import concurrency, failpoints
from mmbot_pipelines.core.errors import Failure, SimulationReverted, Waits
from mmbot_pipelines.core.money import Gas, Wei, format_ether
from mmbot_pipelines.core.outbox import Block, Fees

UNPAID = (Status.PENDING, Status.PROCESSING)

# What a transfer takes at the least, measured at 111 k: only to decide what is not asked about.
_MIN_TRANSFER_GAS = Gas(50_000)


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
    work, run_limits, paid = Work(bridge, run, "transfer"), RunLimits(bridge), list[Order]()
    for origin, group in by_origin(work.due(keys, UNPAID)):
        fresh = [o for o in group if o.status is Status.PENDING]
        refused = {o.key for o in fresh} - {o.key for o in _drop_refused(work, fresh)}
        left = [o for o in group if o.key not in refused]
        fill = partial(_fill, work, run_limits, origin, paid)
        work.in_batches(origin, left, fill, size=slice_size(bridge))
    # Last, for a search may take long: nobody waits for another order's.
    search_paid(work, paid)
    work.finish()


def resume_paid(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Take orders that the registry has as paid up from there, whatever else speaks against them.

    Raises:
        OrdersFailed: the registry could not be asked.
    """
    work, paid = Work(bridge, run, "transfer"), list[Order]()
    for origin, group in by_origin(work.due(keys, UNPAID)):
        work.in_batches(origin, group, partial(split_paid, work, paid))
    search_paid(work, paid)
    work.finish()


def _drop_refused(work: Work, orders: Sequence[Order]) -> list[Order]:
    """Drop the orders that the settings refuse at any price; return the others."""
    permitted = []
    for order in orders:
        reason = refusal(order, work.bridge.rules.limits)
        if reason is None:
            permitted.append(order)
        elif work.advance(order, Fact.REFUSED, reason=reason):
            work.run.log(f"{order.key}: dropped, {reason}")
    return permitted


def _fill(
    work: Work, run_limits: RunLimits, origin: str, paid: list[Order], orders: list[Order]
) -> None:
    bridge = work.bridge
    # Simulated and signed at one price, for a call may behave otherwise at another. What is
    # worth it is decided at the price of then.
    fees = bridge.chain.fees()
    orders = _affordable(work, origin, orders, fees)
    orders = _drop_refused(work, split_paid(work, paid, orders))
    if closed(work, origin, orders):
        return
    orders = split_confirmed(work, origin, orders)
    if not orders:
        return
    floor = bridge.rules.thresholds.min_balance
    work.send_from(ready_lanes(bridge, [o.amount for o in orders], fees, floor=floor))
    bridge, l2 = work.bridge, bridge.origins[origin]
    calls = {o.key: bridge.registry.transfer(o) for o in orders}
    with concurrency.questions() as ask:
        simulated = ask.submit(bridge.chain.simulate, [calls[o.key] for o in orders], fees)
        prices = ask.submit(l2.message_fee, orders, fees)
        blocks = ask.submit(blocks_of, l2, orders)
        checked = ask.submit(l2.check, orders)
        market = ask.submit(bridge.chain.fees)
        claims = ask.submit(claims_behind, bridge, origin, orders, fees)
    asked = [o.key for o in orders]
    results = check_market_maker(work, simulated.result())
    gas = dict(zip(asked, results, strict=True))
    foreseen = [o for o in orders if isinstance(gas[o.key], SimulationReverted)]
    if foreseen:  # by a payment that came in this very moment
        unpaid = split_paid(work, paid, foreseen)
        orders = [o for o in orders if o not in foreseen or o in unpaid]
    if not orders:
        return
    messages = dict(zip(asked, prices.result(), strict=True))
    prices_now = market.result()
    accepted = _decide(work, origin, orders, gas, messages, prices_now)
    costs = {order.key: cost for order, cost in accepted}
    orders = [order for order, _ in accepted]
    orders = work.keep(
        orders, [g if isinstance(g := gas[o.key], Failure) else None for o in orders]
    )
    if not orders:
        return
    against = dict(zip(asked, checked.result(), strict=True))
    orders = _standing(work, origin, orders, blocks.result(), against)
    behind = claims.result()
    requests = [
        SubmitRequest(
            order=order,
            call=calls[order.key],
            gas=costs[order.key].transfer_gas,
            reserve=costs[order.key].claim.at(prices_now.ceiling),
            claim_cost=costs[order.key].claim.at(prices_now.expected),
            claim=behind.get(order.key),
        )
        for order in orders
    ]
    submit(work, requests, fees, origin=origin, run_limits=run_limits)


def _standing(
    work: Work,
    origin: str,
    orders: Sequence[Order],
    blocks: Mapping[int, Block | None],
    against: Mapping[str, Failure | None],
) -> list[Order]:
    """Return the orders that chain and escrow hold now.

    against: what the escrow was found to have against each, by key. It is asked again about
        those that a reorg has moved, which begin to wait for confirmations again.
    """
    found = {order.key: order.block for order in orders}
    standing = still_in_chain(work, origin, orders, blocks)
    moved = [order for order in standing if order.block != found[order.key]]
    standing = [order for order in standing if order.block == found[order.key]]
    kept = work.keep(standing, [against[order.key] for order in standing])
    if moved:
        moved = split_confirmed(work, origin, moved)
        kept += work.keep(moved, work.bridge.origins[origin].check(moved))
    return kept


def _decide(
    work: Work,
    origin: str,
    orders: Sequence[Order],
    gas: Mapping[str, Gas | Failure],
    messages: Mapping[str, Wei],
    fees: Fees,
) -> list[tuple[Order, Cost]]:
    """Keep back what does not pay at these prices; what passes is PROCESSING."""
    claim_gas = gas_estimates.claim_gas(work.bridge, origin)
    typical = gas_estimates.transfer_gas(work.bridge, origin)
    costs: dict[str, Cost] = {}
    for order in orders:
        estimate = gas[order.key]
        cost = Cost(
            transfer_gas=typical if isinstance(estimate, Failure) else estimate,
            claim=ClaimCost(claim_gas, messages[order.key]),
            gas_price=fees.expected,
        )
        reason = shortfall(order, work.bridge.rules.limits, cost)
        if reason is not None:
            _wait_for_price(work, order, reason)
        else:
            costs[order.key] = cost
    pays = [order for order in orders if order.key in costs]
    fresh = [order for order in pays if order.status is Status.PENDING]
    accepted = {order.key: order for order in work.advance_all(fresh, Fact.ACCEPTED)}
    if accepted:
        failpoints.failpoint(failpoints.Point.DECIDED)
    for order in accepted.values():
        work.run.log(
            f"{order.key}: accepted, pays {format_ether(order.amount)} to {order.recipient} for a "
            f"fee of {format_ether(order.fee)} at a cost of {format_ether(costs[order.key].total)}"
        )
    kept = accepted | {o.key: o for o in pays if o.status is Status.PROCESSING}
    return [(kept[o.key], costs[o.key]) for o in pays if o.key in kept]


def _affordable(work: Work, origin: str, orders: Sequence[Order], fees: Fees) -> list[Order]:
    """Return the orders that may be worth it: a crowd that is not costs no further question.

    One that has waited long enough is returned too: before it is dropped, the registry is asked.
    """
    min_cost = Cost(
        transfer_gas=_MIN_TRANSFER_GAS,
        claim=ClaimCost(gas_estimates.claim_gas(work.bridge, origin), Wei(0)),
        gas_price=fees.expected,
    )
    found = []
    for order in orders:
        reason = shortfall(order, work.bridge.rules.limits, min_cost)
        if reason is None or _has_waited_long_enough(work, order):
            found.append(order)
        else:
            _wait_for_price(work, order, reason)
    return found


def _wait_for_price(work: Work, order: Order, reason: str) -> None:
    """Let an order wait for better prices, and drop it when it has waited long enough."""
    if _has_waited_long_enough(work, order):
        longest = work.bridge.rules.wait_for_price_seconds
        why = f"{reason}, and that for {longest:.0f} s (MMBOT_WAIT_FOR_PRICE_SECONDS)"
        if work.advance(order, Fact.REFUSED, reason=why):
            work.run.log(f"{order.key}: dropped, {why}")
        return
    work.fail(order, PricesTooHigh(reason))


def _has_waited_long_enough(work: Work, order: Order) -> bool:
    if order.reason != PricesTooHigh.reason or order.waiting_since is None:
        return False
    waited = (work.bridge.clock() - order.waiting_since).total_seconds()
    return waited >= work.bridge.rules.wait_for_price_seconds
