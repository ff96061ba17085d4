"""What is to be done about a stuck transaction: pay more for it, take it back, or wait.

A transfer may cost at most what the order's fee leaves beside its claim, a claim at most
what is owed to us. Where that does not suffice for long, a transfer is taken back, so that
the lane is free for claims. A claim is never taken back while it is owed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from mmbot_pipelines.bridge.accounts import CANCEL, REPAY, TRANSFER
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.gas_estimates import claim_gas
from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.core.errors import Cancelled, Failure, RevertForeseen, TryAgain
from mmbot_pipelines.core.money import Wei, in_words
from mmbot_pipelines.core.outbox import Call, Fees, Transaction, at_most, by_nonce
from mmbot_pipelines.core.replacement import blocking, is_priced_out, raised
from mmbot_pipelines.core.safety import State, ruling

_ANY_PRICE = 2**256

# While the transfer was taken back, a claim stays in the lane behind it.
_BEFORE_CLAIMED = (Status.TRANSFERRING, Status.FULFILLED, Status.PROVING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """A nonce in trouble, with all of its rows and the order they are for."""

    rows: Sequence[Transaction]
    order: Order | None
    old: bool  # undecided for longer than is good
    blocks: bool  # the lane

    @property
    def newest(self) -> Transaction:
        """Return the row that stands for the nonce."""
        return self.rows[-1]

    @property
    def stray(self) -> bool:
        """Tell whether the order does not wait for these rows any more."""
        if self.order is None or self.newest.purpose == CANCEL:
            return False
        hashes, status = {row.hash for row in self.rows}, self.order.status
        if self.newest.purpose == REPAY:
            return status not in _BEFORE_CLAIMED or self.order.claim_tx not in hashes
        return status is not Status.TRANSFERRING or self.order.transfer_tx not in hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """A transaction to take a nonce with; without a call it only uses the nonce up."""

    newest: Transaction
    call: Call | None
    fees: Fees
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """What is known of an order whose transfer is stuck."""

    against: Failure | None
    message: Wei  # what its claim's message would cost


def troubled(bridge: Bridge, waiting: Sequence[Transaction], market: Fees) -> list[Ward]:
    """Return the nonces that block the lane, and the transfers that may not be wanted."""
    now, after = bridge.clock(), bridge.rules.stuck_after_seconds
    in_the_way = {rows[-1].hash for rows in blocking(waiting, market, at=now, after_seconds=after)}
    orders = {o.key: o for o in bridge.orders.get(sorted({row.subject for row in waiting}))}
    wards = [
        Ward(
            rows=rows,
            order=orders.get(rows[-1].subject),
            old=(now - rows[-1].stored_at).total_seconds() > after,
            blocks=rows[-1].hash in in_the_way,
        )
        for rows in by_nonce(waiting)
    ]
    return [w for w in wards if w.blocks or (w.newest.purpose == TRANSFER and _doubtful(w))]


def _doubtful(ward: Ward) -> bool:
    return ward.stray or (ward.order is not None and ward.order.parked)


def remedies(bridge: Bridge, wards: Sequence[Ward], market: Fees, run: Run) -> Iterator[Remedy]:
    """Yield what helps, and say where nothing does."""
    verdicts = _verdicts(bridge, wards, market)
    balance = bridge.chain.balance()
    everything = at_most(bridge.orders.in_flight())
    for ward in wards:
        newest, order = ward.newest, ward.order
        most = balance - (everything - at_most(ward.rows))
        if newest.purpose == CANCEL or order is None or ward.stray:
            remedy = _cancelled(ward, market, "nobody waits for it")
        elif newest.purpose == REPAY:
            remedy = _claimed(bridge, ward, order, market)
        else:
            remedy = _transferred(bridge, ward, order, verdicts[order.key], market, most)
        if remedy is not None:
            yield remedy
        elif ward.blocks:
            run.say(f"{newest.subject}: nonce {newest.nonce} waits, no fee that may be paid helps")


def _transferred(
    bridge: Bridge, ward: Ward, order: Order, verdict: _Verdict, market: Fees, funds: int
) -> Remedy | None:
    newest = ward.newest
    if verdict.against is not None:
        # An outage says nothing about the order: it is waited for, but not for long.
        unwanted = not isinstance(verdict.against, TryAgain) or ward.old
        why = f"{type(verdict.against).__name__}: {verdict.against}"
        return _cancelled(ward, market, f"taken back, {why}") if unwanted else None
    if not ward.blocks:
        return None
    claim = claim_gas(bridge, order.origin) * market.expected + verdict.message
    margin = max(0, order.fee - claim)
    fees = raised(newest.fees, market, margin // newest.gas)
    if fees is not None and newest.call.value + newest.gas * fees.ceiling <= funds:
        return Remedy(newest=newest, call=newest.call, fees=fees, why=_slow(ward, market))
    if not ward.old or raised(newest.fees, market, _ANY_PRICE) is None:
        return None
    left = f"its fee leaves {in_words(margin)} for the transfer"
    return _cancelled(ward, market, f"taken back, {left} and the wallet {in_words(funds)}")


def _claimed(bridge: Bridge, ward: Ward, order: Order, market: Fees) -> Remedy | None:
    newest, owed = ward.newest, order.amount + order.fee
    fees = raised(newest.fees, market, owed // newest.gas)
    if fees is None:
        return None
    try:
        # The message is priced by the gas price that the claim is mined at.
        (call,) = bridge.origins[order.origin].claims([order], fees)
    except Failure:
        return None
    if not isinstance(call, Call) or call.value + newest.gas * fees.ceiling > owed:
        return None
    return Remedy(newest=newest, call=call, fees=fees, why=_slow(ward, market))


def _cancelled(ward: Ward, market: Fees, why: str) -> Remedy | None:
    fees = raised(ward.newest.fees, market, _ANY_PRICE)
    return Remedy(newest=ward.newest, call=None, fees=fees, why=why) if fees else None


def _slow(ward: Ward, market: Fees) -> str:
    if is_priced_out(ward.newest.fees, market):
        return "blocks ask for more than was signed"
    return f"not mined since {ward.newest.stored_at:%H:%M:%S} UTC"


def _verdicts(bridge: Bridge, wards: Sequence[Ward], market: Fees) -> Mapping[str, _Verdict]:
    """Look again at the orders whose transfers are in trouble, as before the first signature."""
    doubtful = [w for w in wards if w.newest.purpose == TRANSFER and not w.stray]
    orders = [w.order for w in doubtful if w.order]
    calls = {w.newest.subject: w.newest.call for w in doubtful}  # a claim may stand behind it
    found: dict[str, _Verdict] = {}
    for origin, group in groupby(sorted(orders, key=lambda o: o.key), key=lambda o: o.origin):
        found |= _looked_at(bridge, origin, list(group), calls, market)
    return found


def _looked_at(
    bridge: Bridge,
    origin: str,
    orders: Sequence[Order],
    calls: Mapping[str, Call],
    market: Fees,
) -> dict[str, _Verdict]:
    standing = ruling(bridge.safety.standings(), origin)
    if standing.state is State.HALTED:
        halted = Cancelled(standing.told)
        return {o.key: _Verdict(against=halted, message=Wei(0)) for o in orders}
    l2 = bridge.origins[origin]
    try:
        checked = l2.check(orders)
        messages = l2.message_fee(orders, market)
        foreseen = bridge.chain.simulate([calls[o.key] for o in orders], market)
    except Failure as e:
        return {o.key: _Verdict(against=e, message=Wei(0)) for o in orders}
    return {
        # A wallet that is short is found by what it has left, and a node may refuse to estimate.
        order.key: _Verdict(
            against=fault or (gas if isinstance(gas, RevertForeseen) else None), message=message
        )
        for order, fault, message, gas in zip(orders, checked, messages, foreseen, strict=True)
    }
