"""Which stored transactions that no node has are sent now. Reads the chains and the store.

A transfer leaves in the moment after it is stored. What is late was kept back by an outage or by
our death, was dropped, or stood in a block that L1 took back: meanwhile the L2 may have taken the
order back, somebody else may have filled it, or a person has halted. So it is looked at again as
before its signature. What is not sent keeps its nonce until `replacing` cancels it there.
"""

from collections.abc import Sequence
from itertools import groupby

from mmbot_pipelines.bridge.accounts import TRANSFER
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.bridge.remedy import look_again
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.outbox import Transaction
from mmbot_pipelines.core.safety import State, ruling

# Five blocks of Ethereum: an outage of the nodes that is shorter delays nothing further, and
# from then on the L2 can have gone on without us.
LATE_SECONDS = 60.0


def still_wanted(bridge: Bridge, run: Run, rows: Sequence[Transaction]) -> list[Transaction]:
    """Return the rows that are to be sent to the network now, of those that no node has.

    Claims and cancellations always are: they bring money back, or cost nothing but gas.
    """
    transfers = {row.subject: row for row in rows if row.purpose == TRANSFER}
    orders = {order.key: order for order in bridge.orders.get(sorted(transfers))}
    against = {key: _stray(orders.get(key)) for key in transfers}
    doubtful = [o for key, o in orders.items() if against[key] is None]
    against |= _looked_at(bridge, _doubtful(bridge, doubtful, transfers), transfers)
    for key, why in against.items():
        if why is not None:
            run.say(f"{key}: {transfers[key].hash} is not sent now, {why}")
    return [row for row in rows if row.purpose != TRANSFER or against[row.subject] is None]


def _stray(order: Order | None) -> str | None:
    # Its number may stand for another order by now: nobody would owe us for it.
    if order is None or order.status is not Status.TRANSFERRING:
        return "its order does not wait for it"
    return None


def _doubtful(
    bridge: Bridge, orders: Sequence[Order], transfers: dict[str, Transaction]
) -> list[Order]:
    """Return the orders whose transfers are looked at before they are sent.

    What was claimed already was mined before, and the escrow may have paid us for it.
    """
    now, standings = bridge.clock(), bridge.safety.standings() if orders else []

    def is_late(order: Order) -> bool:
        return (now - transfers[order.key].stored_at).total_seconds() > LATE_SECONDS

    def is_halted(order: Order) -> bool:
        return ruling(standings, order.origin).state is State.HALTED

    unclaimed = [order for order in orders if order.claim_tx is None]
    return [o for o in unclaimed if o.parked or is_late(o) or is_halted(o)]


def _looked_at(
    bridge: Bridge, orders: Sequence[Order], transfers: dict[str, Transaction]
) -> dict[str, str | None]:
    if not orders:
        return {}
    calls = {order.key: transfers[order.key].call for order in orders}
    found: dict[str, str | None] = {}
    try:
        market = bridge.chain.fees()
        for origin, group in groupby(sorted(orders, key=lambda o: o.key), lambda o: o.origin):
            seen = look_again(bridge, origin, list(group), calls, market)
            found |= {key: verdict.against for key, verdict in seen.items()}
    except Failure as e:
        return {order.key: f"{type(e).__name__}: {e}" for order in orders}
    return found
