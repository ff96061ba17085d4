"""Which stored transactions are still wanted before they are sent late. Reads chains and store.

A transfer leaves in the moment after it is stored. What is late was kept back by an outage or by
our death, was dropped, or stood in a block that was reorged out: meanwhile the order
may be orphaned, filled by somebody else, or halted by a person. So it is checked again as before
its signature. Of a late claim the escrow alone is asked: whether it still pays us. What is
not sent keeps its nonce until `stuck` cancels it there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.escrow_errors import EscrowPaused
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY, TRANSFER
from mmbot_pipelines.core.errors import Failure, Halts, SimulationReverted, TryAgain
from mmbot_pipelines.core.money import Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Fees, Transaction
from mmbot_pipelines.core.safety import State, effective_state

# Five blocks of Ethereum: an outage of the nodes that is shorter delays nothing further, and
# from then on the L2 can have gone on without us.
LATE_SECONDS = 60.0


def still_wanted(bridge: Bridge, run: Run, rows: Sequence[Transaction]) -> list[Transaction]:
    """Return the rows that are to be sent to the network now, of those that no node has.

    Cancellations always are: they cost nothing but gas.
    """
    against = _against_transfers(bridge, rows) | _against_claims(bridge, rows)
    held_back = {(row.subject, row.wallet, row.nonce + 1) for row in rows if row.hash in against}
    against |= {
        row.hash: "its transfer is not"
        for row in rows
        if row.purpose == REPAY and (row.subject, row.wallet, row.nonce) in held_back
    }
    for row in rows:
        if row.hash in against:
            run.log(f"{row.subject}: {row.hash} is not sent now, {against[row.hash]}")
    return [row for row in rows if row.hash not in against]


def _against_transfers(bridge: Bridge, rows: Sequence[Transaction]) -> dict[TxHash, str]:
    transfers = {part.subject: row for row in rows for part in row.parts if row.purpose == TRANSFER}
    orders = {order.key: order for order in bridge.store.orders.get(sorted(transfers))}
    against = {key: _stray(orders.get(key)) for key in transfers}
    candidates = [o for key, o in orders.items() if against[key] is None]
    against |= _reasons_against(bridge, _to_check(bridge, candidates, transfers), transfers)
    return {transfers[key].hash: why for key, why in against.items() if why is not None}


def _against_claims(bridge: Bridge, rows: Sequence[Transaction]) -> dict[TxHash, str]:
    """Return what escrows have against late claims.

    A message that a paused escrow refuses is lost with what it cost, and one that it executes
    pays whatever wallet it names then. A batch pays nothing at all if one of its orders cannot be
    paid. Where it cannot be asked, the claim is sent: it was right when it was signed, and others
    wait behind it.
    """
    batches = {row.hash for row in rows if row.has_one_call}
    late = {
        part.subject: row.hash
        for row in rows
        if row.purpose == REPAY and _is_late(bridge, row)
        for part in row.parts
    }
    orders = sorted(bridge.store.orders.get(sorted(late)), key=lambda o: o.key) if late else []
    found: dict[TxHash, str] = {}
    for origin, group in groupby(orders, lambda o: o.origin):
        claimed = list(group)
        try:
            claims = bridge.origins[origin].claims(claimed, bridge.chain.fees())
            shared = [order for order in claimed if late[order.key] in batches]
            faults = bridge.origins[origin].check(shared)
        except Failure:
            continue
        against: list[Failure | None] = [
            c if isinstance(c, EscrowPaused | Halts) else None for c in claims
        ]
        against += [None if isinstance(fault, TryAgain) else fault for fault in faults]
        for order, fault in zip([*claimed, *shared], against, strict=True):
            if fault is not None:
                found[late[order.key]] = f"{type(fault).__name__}: {fault}"
    return found


def _is_late(bridge: Bridge, row: Transaction) -> bool:
    return (bridge.clock() - row.stored_at).total_seconds() > LATE_SECONDS


def _stray(order: Order | None) -> str | None:
    # Its number may stand for another order by now: nobody would owe us for it.
    if order is None or order.status is not Status.TRANSFERRING:
        return "its order does not wait for it"
    return None


def _to_check(
    bridge: Bridge, orders: Sequence[Order], transfers: dict[str, Transaction]
) -> list[Order]:
    """Return the orders whose transfers are looked at before they are sent.

    What was claimed already was mined before, and the escrow may have paid us for it.
    """
    scope_states = bridge.store.safety.scope_states() if orders else []

    def is_halted(order: Order) -> bool:
        return effective_state(scope_states, order.origin).state is State.HALTED

    unclaimed = [order for order in orders if order.claim_tx is None]
    return [
        o for o in unclaimed if o.is_parked or _is_late(bridge, transfers[o.key]) or is_halted(o)
    ]


def _reasons_against(
    bridge: Bridge, orders: Sequence[Order], transfers: dict[str, Transaction]
) -> dict[str, str | None]:
    if not orders:
        return {}
    calls = {order.key: transfer_of(bridge, order, transfers[order.key]) for order in orders}
    found: dict[str, str | None] = {}
    try:
        market = bridge.chain.fees()
        for origin, group in groupby(sorted(orders, key=lambda o: o.key), lambda o: o.origin):
            seen = check_again(bridge, origin, list(group), calls, market)
            found |= {key: check.against for key, check in seen.items()}
    except Failure as e:
        return {order.key: f"{type(e).__name__}: {e}" for order in orders}
    return found


def transfer_of(bridge: Bridge, order: Order, row: Transaction) -> Call:
    """Return the call that pays an order in its transaction, alone or with others."""
    return bridge.registry.transfer(order) if row.is_self_call else row.call


_NOTHING = Wei(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCheck:
    """What an order whose transfer is stored but not mined looks like now."""

    against: str | None = None
    outage: bool = False  # what is against it may be over soon
    message: Wei = _NOTHING  # what its claim's message would cost
    gas: Gas | Failure | None = None  # of its transfer now


def check_again(
    bridge: Bridge,
    origin: str,
    orders: Sequence[Order],
    calls: Mapping[str, Call],
    market: Fees,
) -> dict[str, OrderCheck]:
    """Return what is against the stored transfers of an origin's orders, and what they cost now."""
    scope_state = effective_state(bridge.store.safety.scope_states(), origin)
    if scope_state.state is State.HALTED:
        return {o.key: OrderCheck(against=scope_state.summary) for o in orders}
    try:
        l2 = bridge.origins[origin]
        checked = l2.check(orders)
        messages = l2.message_fee(orders, market)
        foreseen = bridge.chain.simulate([calls[o.key] for o in orders], market)
    except Failure as e:
        return {o.key: _against(e) for o in orders}
    found: dict[str, OrderCheck] = {}
    for order, fault, message, gas in zip(orders, checked, messages, foreseen, strict=True):
        # A wallet that is short is found by what it has left, and a node may refuse to estimate.
        against = fault or (gas if isinstance(gas, SimulationReverted) else None)
        found[order.key] = _against(against) if against else OrderCheck(message=message, gas=gas)
    return found


def _against(failure: Failure) -> OrderCheck:
    why = f"{type(failure).__name__}: {failure}"
    return OrderCheck(against=why, outage=isinstance(failure, TryAgain))
