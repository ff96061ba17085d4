"""What is to be done about a stuck transaction: pay more for it, take it back, or wait.

A transfer may cost at most what the order's fee leaves beside its claim, a claim at most
what is owed to us. Where that does not suffice for long, the lowest nonce is cancelled, so
that nobody waits behind it: a transfer is decided about again, and a claim, which others wait
for, is made again when its price has fallen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mmbot_pipelines.bridge.accounts import CANCEL, REPAY, TRANSFER
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.gas_estimates import claim_gas
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.bridge.stuck_claim import stuck_claim
from mmbot_pipelines.bridge.stuck_nonce import Bids, Remedy, Ward, gas_of
from mmbot_pipelines.core.errors import Failure, RevertForeseen, TryAgain
from mmbot_pipelines.core.money import Gas, in_words
from mmbot_pipelines.core.outbox import Call, Fees, Transaction, at_most, by_nonce
from mmbot_pipelines.core.replacement import blocking, is_old
from mmbot_pipelines.core.safety import State, ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is known of an order whose transfer is stuck."""

    against: str | None = None
    outage: bool = False  # what is against it may be over soon
    message: int = 0  # wei that its claim's message would cost
    gas: Gas | Failure | None = None  # of its transfer now


def troubled(bridge: Bridge, waiting: Sequence[Transaction], market: Fees) -> list[Ward]:
    """Return the nonces that block the lane, and the transfers that may not be wanted."""
    now, after = bridge.clock(), bridge.rules.stuck_after_seconds
    in_the_way = {rows[-1].hash for rows in blocking(waiting, market, at=now, after_seconds=after)}
    orders = {o.key: o for o in bridge.orders.get(sorted({row.subject for row in waiting}))}
    nonces = by_nonce(waiting)
    wards = [
        Ward(
            rows=rows,
            order=orders.get(rows[-1].subject),
            old=is_old(rows, at=now, after_seconds=after),
            blocks=rows[-1].hash in in_the_way,
            first=rows is nonces[0],
            awaited=rows is not nonces[-1],
        )
        for rows in nonces
    ]
    return [w for w in wards if w.blocks or (w.newest.purpose == TRANSFER and _doubtful(w))]


def _doubtful(ward: Ward) -> bool:
    return ward.stray or (ward.order is not None and ward.order.parked)


def remedies(bridge: Bridge, wards: Sequence[Ward], market: Fees, run: Run) -> Iterator[Remedy]:
    """Yield what helps, and say where nothing does."""
    verdicts = _verdicts(bridge, wards, market)
    bids = Bids(bridge, wards, market)
    balance = bridge.chain.balance()
    everything = at_most(bridge.orders.in_flight())
    helped = True
    remedy: Remedy | str | None
    for ward in wards:
        newest, order = ward.newest, ward.order
        most = balance - (everything - at_most(ward.rows))
        if not helped and not _doubtful(ward):
            continue  # it waits for a nonce that nothing helps now
        if newest.purpose == CANCEL or order is None or ward.stray:
            remedy = bids.cancelling(ward, "nobody waits for it")
        elif newest.purpose == REPAY:
            remedy = stuck_claim(bridge, ward, order, bids)
        else:
            remedy = _transferred(bridge, ward, order, verdicts[order.key], bids, most)
        if isinstance(remedy, Remedy):
            yield remedy
        elif ward.blocks:
            helped = False
            why = remedy or "no fee that may be paid helps"
            run.say(f"{newest.subject}: nonce {newest.nonce} waits, {why}")


def _transferred(
    bridge: Bridge, ward: Ward, order: Order, verdict: Verdict, bids: Bids, funds: int
) -> Remedy | None:
    newest, may_end = ward.newest, ward.old and ward.first
    if verdict.against is not None:
        # An outage says nothing about the order: it is waited for, but not for long.
        unwanted = may_end or not verdict.outage
        return bids.cancelling(ward, f"taken back, {verdict.against}") if unwanted else None
    if not ward.blocks:
        return None
    claim = claim_gas(bridge, order.origin) * bids.market.expected + verdict.message
    margin = max(0, order.fee - claim)
    gas = gas_of(newest, verdict.gas)
    fees = bids.fees(ward, margin // gas) if gas else None
    if gas and fees and newest.call.value + gas * fees.ceiling <= funds:
        return bids.paying(ward, newest.call, gas, fees)
    if not may_end:
        return None
    left = f"its fee leaves {in_words(margin)} for the transfer"
    return bids.cancelling(ward, f"taken back, {left} and the wallet {in_words(funds)}")


def _verdicts(bridge: Bridge, wards: Sequence[Ward], market: Fees) -> Mapping[str, Verdict]:
    """Look again at the orders whose transfers are in trouble, as before the first signature."""
    doubtful = [w for w in wards if w.newest.purpose == TRANSFER and not w.stray]
    orders = [w.order for w in doubtful if w.order]
    calls = {w.newest.subject: w.newest.call for w in doubtful}  # a claim may stand behind it
    found: dict[str, Verdict] = {}
    for origin, group in groupby(sorted(orders, key=lambda o: o.key), key=lambda o: o.origin):
        found |= look_again(bridge, origin, list(group), calls, market)
    return found


def look_again(
    bridge: Bridge,
    origin: str,
    orders: Sequence[Order],
    calls: Mapping[str, Call],
    market: Fees,
) -> dict[str, Verdict]:
    """Return what is against the stored transfers of an origin's orders, and what they cost now."""
    standing = ruling(bridge.safety.standings(), origin)
    if standing.state is State.HALTED:
        return {o.key: Verdict(against=standing.told) for o in orders}
    try:
        l2 = bridge.origins[origin]
        checked = l2.check(orders)
        messages = l2.message_fee(orders, market)
        foreseen = bridge.chain.simulate([calls[o.key] for o in orders], market)
    except Failure as e:
        return {o.key: _against(e) for o in orders}
    found: dict[str, Verdict] = {}
    for order, fault, message, gas in zip(orders, checked, messages, foreseen, strict=True):
        # A wallet that is short is found by what it has left, and a node may refuse to estimate.
        against = fault or (gas if isinstance(gas, RevertForeseen) else None)
        found[order.key] = _against(against) if against else Verdict(message=message, gas=gas)
    return found


def _against(failure: Failure) -> Verdict:
    why = f"{type(failure).__name__}: {failure}"
    return Verdict(against=why, outage=isinstance(failure, TryAgain))
