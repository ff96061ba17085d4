"""Get our money back: claim what was paid, and see the escrow pay."""

from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.fill import by_origin
from mmbot_pipelines.bridge.order import Fact, Order, Status
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.bridge.sending import Request, send
from mmbot_pipelines.core import crash
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Wei, in_words


def repay(bridge: Bridge, keys: Sequence[str], run: Run) -> None:
    """Claim the locked money of these orders, whatever the limits say by now.

    Raises:
        OrdersFailed: some orders failed; the others were sent.
    """
    work = Work(bridge, run, "repay")
    orders = [o for o in bridge.orders.get(keys) if o.status is Status.FULFILLED]
    for origin, group in by_origin(orders):
        with work.outage(group):
            _claim(work, origin, group)
    work.finish()


def _claim(work: Work, origin: str, orders: list[Order]) -> None:
    chain, l2 = work.bridge.chain, work.bridge.origins[origin]
    orders = _settle(work, origin, orders)
    fees = chain.fees()
    calls = l2.claims(orders, fees)
    gas = chain.simulate(calls)
    work.keep(orders, [g if isinstance(g, Failure) else None for g in gas])
    requests = [
        Request(order=order, call=call, gas=estimate, reserve=Wei(0))
        for order, call, estimate in zip(orders, calls, gas, strict=True)
        if not isinstance(estimate, Failure)
    ]
    send(work, requests, fees, origin=origin)


def settle(bridge: Bridge, origin: str, run: Run) -> list[str]:
    """Complete the orders that the escrow has paid us for; return their keys.

    Raises:
        OrdersFailed: the origin could not be read.
    """
    work = Work(bridge, run, "settle")
    proved = bridge.orders.waiting([Status.PROVED], origin)
    left = _settle(work, origin, proved)
    return [o.key for o in proved if o not in left]


def _settle(work: Work, origin: str, orders: list[Order]) -> list[Order]:
    """Complete what the escrow has paid; return the others."""
    left = []
    for order, tx in zip(orders, work.bridge.origins[origin].settled(orders), strict=True):
        if tx is None:
            left.append(order)
            continue
        crash.here(crash.Point.SETTLEMENT_SEEN)
        if work.advance(order, Fact.SETTLED, tx=tx):
            paid = in_words(order.amount + order.fee)
            work.run.say(f"{order.key}: completed, the escrow paid us {paid} in {tx}")
    return left
