"""Sign for orders while the wallet's lane is held. Reads and writes the store; nothing is sent."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.ports.orders import BridgeUnitOfWork
from mmbot_pipelines.bridge.sending.batches import LANE_IS_TAKEN, Shared
from mmbot_pipelines.bridge.sending.caps import Admission, Wait
from mmbot_pipelines.bridge.sending.claims_behind import ClaimBehind
from mmbot_pipelines.bridge.sending.lane import Unsigned, sign
from mmbot_pipelines.bridge.sending.requests import SubmitRequest
from mmbot_pipelines.bridge.transitions import CONCURRENTLY, Change
from mmbot_pipelines.core.errors import Failure, InsufficientFunds, TryAgain, Waits
from mmbot_pipelines.core.money import Wei, format_ether
from mmbot_pipelines.core.outbox import Fees, Transaction
from mmbot_pipelines.core.unit_of_work import Lane

# How long the wallet's lane is held for signing, at most, beside the last signature.
_MAX_LANE_SECONDS = 1.0


class BalanceFloorReached(Waits):
    """A transfer would take the wallet under its floor: what is there is kept for claims."""

    reason = "waiting: it would take the wallet under MMBOT_MIN_BALANCE_WEI"


@dataclass(slots=True)
class Signing:
    """What became of the requests while the wallet's lane was held once."""

    done: int = 0  # requests
    passed: list[SubmitRequest] = field(default_factory=list)  # on to the next wallet
    signed: list[Transaction] = field(default_factory=list)
    sent: list[Change] = field(default_factory=list)
    refused: list[tuple[Order, Failure]] = field(default_factory=list)
    waiting: list[tuple[Order, Wait]] = field(default_factory=list)


def sign_each(
    work: Work,
    batch: Signing,
    uow: BridgeUnitOfWork,
    requests: Sequence[SubmitRequest],
    fees: Fees,
    admission: Admission | None,
    free: Wei,
    nonce: int,
) -> None:
    """Sign in the lane, until all is done or it was held for long enough.

    Raises:
        TryAgain: the signer is away, and nothing was signed.
    """
    bridge, begun = work.bridge, work.bridge.clock()
    held, undecided = _held(uow, requests), _undecided(uow)
    for request in requests:
        if batch.signed and (bridge.clock() - begun).total_seconds() > _MAX_LANE_SECONDS:
            return
        batch.done += 1
        orders = _admitted(work, batch, request, held, undecided, admission)
        if not orders:
            continue
        order = orders[0]
        behind = _behind(request, order, undecided)
        reserve = request.reserve
        if behind is not None:
            reserve = max(reserve, Wei(behind.call.value + behind.gas * fees.ceiling))
        needed = Wei(request.call.value + request.gas * fees.ceiling + reserve)
        if not _affords(work, batch, request, orders, needed, free, admission):
            continue
        try:
            signed = _signed(work, order, request, behind, fees, nonce)
        except TryAgain:
            if not batch.signed:
                raise
            batch.done -= 1  # the next hold asks the signer again
            return
        except Failure as e:
            batch.refused += [(o, e) for o in orders]
            continue
        batch.signed += signed
        batch.sent += [
            Change(before=o, after=_sent(o, request, signed[0]), tx=signed[0].hash) for o in orders
        ]
        undecided |= {(o.key, work.step) for o in orders}
        if admission:
            admission.take(order)
        free, nonce = Wei(free - needed), nonce + len(signed)


def sign_one(
    work: Work,
    batch: Signing,
    uow: BridgeUnitOfWork,
    lane: Lane,
    requests: Sequence[SubmitRequest],
    fees: Fees,
    admission: Admission | None,
    free: Wei,
    nonce: int,
    shared: Shared,
) -> None:
    """Sign the one transaction that a delegated account may have in flight, if it has none.

    Raises:
        TryAgain: the signer is away; nothing was signed.
    """
    batch.done = len(requests)
    if lane.in_flight():
        _leave(work, batch, requests)
        return
    held, undecided = _held(uow, requests), _undecided(uow)
    picked = list[tuple[SubmitRequest, list[Order]]]()
    for asked in shared.in_turn(requests, work.bridge.clock()):
        if not shared.has_room(asked):
            _leave(work, batch, [asked])
            continue
        orders = _admitted(work, batch, asked, held, undecided, admission)
        if not orders:
            continue
        request = replace(asked, claim=_behind(asked, orders[0], undecided))
        needed = shared.max_cost(request, fees)
        if not _affords(work, batch, request, orders, needed, free, admission):
            continue
        shared.add(request, work.step)
        picked.append((request, orders))
        if admission:
            admission.take(orders[0])
        free = Wei(free - needed)
    if not picked:
        return
    (first, orders), everybody = picked[0], [order for _, some in picked for order in some]
    try:
        if len(shared.calls) < 2:
            (row,) = _signed(work, orders[0], first, None, fees, nonce)
        else:
            row = sign(work.bridge, shared.unsigned(orders[0], work.step, fees, nonce))
    except TryAgain:
        raise
    except Failure as e:
        batch.refused += [(order, e) for order in everybody]
        return
    batch.signed.append(row)
    batch.sent += [
        Change(before=order, after=_sent(order, request, row), tx=row.hash)
        for request, some in picked
        for order in some
    ]


def _leave(work: Work, batch: Signing, requests: Sequence[SubmitRequest]) -> None:
    """Pass on to the next wallet what the one transaction has no room for, or let it wait."""
    if not work.is_last_wallet:
        batch.passed += requests
        return
    batch.waiting += [(order, LANE_IS_TAKEN) for r in requests for order in r.orders]


def _held(uow: BridgeUnitOfWork, requests: Sequence[SubmitRequest]) -> dict[str, Order]:
    """Lock the orders; return those that nobody has changed, by key."""
    return {o.key: o for o in uow.orders.lock([o for r in requests for o in r.orders])}


def _undecided(uow: BridgeUnitOfWork) -> set[tuple[str, str]]:
    """Return who has what undecided, in all wallets: asked once their orders are locked."""
    return {(p.subject, p.purpose) for t in uow.outbox.in_flight() for p in t.parts}


def _admitted(
    work: Work,
    batch: Signing,
    request: SubmitRequest,
    held: Mapping[str, Order],
    undecided: Container[tuple[str, str]],
    admission: Admission | None,
) -> list[Order]:
    """Return the orders of a request; none where it may not be sent now."""
    orders = [held[o.key] for o in request.orders if o.key in held]
    if len(orders) < len(request.orders):
        work.run.log(f"{request.subject}: {CONCURRENTLY}")
        work.leave(request.orders)
        return []
    if any((o.key, work.step) in undecided for o in orders):
        # Whatever its status is: two of them at two nonces could both be mined.
        line = f"an earlier {work.step} is undecided, no other is signed"
        work.run.log(f"{request.subject}: {line}")
        return []
    if admission and (wait := admission.wait(orders[0])):
        batch.waiting.append((orders[0], wait))
        return []
    return orders


def _affords(
    work: Work,
    batch: Signing,
    request: SubmitRequest,
    orders: Sequence[Order],
    needed: Wei,
    free: Wei,
    admission: Admission | None,
) -> bool:
    """Return whether the wallet has what a request may take; else pass it on, or refuse it."""
    # Claims bring money back: they may use what the floor keeps from transfers.
    floor = (admission and work.bridge.rules.thresholds.min_balance) or Wei(0)
    if needed <= free - floor:
        return True
    if not work.is_last_wallet:
        batch.passed.append(request)
        return False
    short = _insufficient(needed, free, floor)
    batch.refused += [(order, short) for order in orders]
    return False


def _signed(
    work: Work,
    order: Order,
    request: SubmitRequest,
    behind: ClaimBehind | None,
    fees: Fees,
    nonce: int,
) -> list[Transaction]:
    """Sign an order's transaction, and the claim behind it at the next nonce."""
    unsigned = Unsigned(
        subject=request.subject,
        purpose=work.step,
        attempt=order.attempt,
        nonce=nonce,
        call=request.call,
        gas=request.gas,
        fees=fees,
        batch=request.parts(work.step),
    )
    signed = [sign(work.bridge, unsigned)]
    if behind is not None:
        claim = replace(unsigned, purpose=REPAY, nonce=nonce + 1, call=behind.call, gas=behind.gas)
        signed.append(sign(work.bridge, claim))
    return signed


def _behind(
    request: SubmitRequest, order: Order, undecided: Container[tuple[str, str]]
) -> ClaimBehind | None:
    """Return the claim to be signed with an order's transfer; only the order's first one is."""
    if order.claim_tx is not None or (order.key, REPAY) in undecided:
        return None
    return request.claim


def _sent(order: Order, request: SubmitRequest, transaction: Transaction) -> Order:
    sent = order.after(Fact.SENT, at=transaction.stored_at, tx=transaction.hash)
    return sent if request.claim_cost is None else replace(sent, claim_cost=request.claim_cost)


def _insufficient(needed: int, free: int, floor: Wei) -> Waits:
    has = f"{format_ether(max(free, 0))} beside what is in flight"
    if needed <= free:
        return BalanceFloorReached(
            f"it needs {format_ether(needed)}, the wallet has {has}, and the floor is "
            f"{format_ether(floor)}"
        )
    return InsufficientFunds(
        f"the wallet needs {format_ether(needed)} and has {has}: send ETH to it"
    )
