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
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.core.errors import Failure, RevertForeseen, TryAgain
from mmbot_pipelines.core.money import Gas, in_words
from mmbot_pipelines.core.outbox import Call, Fees, Transaction, at_most, by_nonce
from mmbot_pipelines.core.replacement import blocking, is_old, is_priced_out, outbid
from mmbot_pipelines.core.safety import State, ruling

_ANY_PRICE = 2**256

# What a transaction without data takes to an account without code (Yellow Paper, G_transaction).
CANCEL_GAS = Gas(21_000)

_MOST_GAS = 2**24  # of one transaction (EIP-7825)

# While the transfer was taken back, a claim stays in the lane behind it.
_BEFORE_CLAIMED = (Status.TRANSFERRING, Status.FULFILLED, Status.PROVING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ward:
    """A nonce in trouble, with all of its rows and the order they are for."""

    rows: Sequence[Transaction]
    order: Order | None
    old: bool  # undecided for longer than is good
    blocks: bool  # the lane: the lowest nonce, or held by nothing but its own price
    first: bool  # the lowest undecided nonce of the wallet
    awaited: bool  # by rows at higher nonces

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
    gas: Gas
    fees: Fees
    why: str


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
    bids = _Bids(bridge, wards, market)
    balance = bridge.chain.balance()
    everything = at_most(bridge.orders.in_flight())
    helped = True
    for ward in wards:
        newest, order = ward.newest, ward.order
        most = balance - (everything - at_most(ward.rows))
        if not helped and not _doubtful(ward):
            continue  # it waits for a nonce that nothing helps now
        if newest.purpose == CANCEL or order is None or ward.stray:
            remedy = bids.cancelling(ward, "nobody waits for it")
        elif newest.purpose == REPAY:
            remedy = _claimed(bridge, ward, order, bids)
        else:
            remedy = _transferred(bridge, ward, order, verdicts[order.key], bids, most)
        if remedy is not None:
            yield remedy
        elif ward.blocks:
            helped = False
            run.say(f"{newest.subject}: nonce {newest.nonce} waits, no fee that may be paid helps")


class _Bids:
    """The fees and gas that a nonce can be taken with now."""

    def __init__(self, bridge: Bridge, wards: Sequence[Ward], market: Fees) -> None:
        hashes = [row.hash for ward in wards for row in ward.rows]
        taken = bridge.chain.taken(hashes)
        self.market = market
        self._there = {tx for tx, there in zip(hashes, taken, strict=True) if there}

    def fees(self, ward: Ward, most: int) -> Fees | None:
        """Return fees that take the nonce for at most `most` wei per gas."""
        return outbid(ward.rows, self._there, self.market, most)

    def paying(self, ward: Ward, call: Call, gas: Gas, fees: Fees) -> Remedy:
        """Return the same again, at other fees."""
        return Remedy(newest=ward.newest, call=call, gas=gas, fees=fees, why=self._slow(ward))

    def cancelling(self, ward: Ward, why: str) -> Remedy | None:
        """Return what uses the nonce up; there is always a price for it."""
        fees = self.fees(ward, _ANY_PRICE)
        # Absurd fees that some node claims to have are no reason to block everybody for ever:
        # at one nonce only one is mined, and the nodes that never had them take this one.
        fees = fees or outbid(ward.rows, (), self.market, _ANY_PRICE)
        if fees is None:
            return None
        return Remedy(newest=ward.newest, call=None, gas=CANCEL_GAS, fees=fees, why=why)

    def _slow(self, ward: Ward) -> str:
        if is_priced_out(ward.newest.fees, self.market):
            return "blocks ask for more than was signed"
        return f"not mined since {ward.newest.stored_at:%H:%M:%S} UTC"


def _transferred(
    bridge: Bridge, ward: Ward, order: Order, verdict: Verdict, bids: _Bids, funds: int
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
    gas = _gas(newest, verdict.gas)
    fees = bids.fees(ward, margin // gas) if gas else None
    if gas and fees and newest.call.value + gas * fees.ceiling <= funds:
        return bids.paying(ward, newest.call, gas, fees)
    if not may_end:
        return None
    left = f"its fee leaves {in_words(margin)} for the transfer"
    return bids.cancelling(ward, f"taken back, {left} and the wallet {in_words(funds)}")


def _claimed(bridge: Bridge, ward: Ward, order: Order, bids: _Bids) -> Remedy | None:
    remedy = _affordable(bridge, ward, order, bids)
    if remedy is None and ward.first and ward.old and ward.awaited:
        owed = in_words(order.amount + order.fee)
        why = f"it brings {owed}, less than it costs now: made again when prices fall"
        return bids.cancelling(ward, f"taken back for those that wait behind it, {why}")
    return remedy


def _affordable(bridge: Bridge, ward: Ward, order: Order, bids: _Bids) -> Remedy | None:
    """Return the claim at fees at which it costs no more than it brings, if there are such."""
    newest, owed = ward.newest, order.amount + order.fee
    gas = _signed_gas(newest)
    most = owed // (gas or 1)
    for _ in range(2):  # what the message takes is known only once it is priced
        fees = bids.fees(ward, most)
        if fees is None:
            return None
        try:
            # The message is priced by the gas price that the claim is mined at.
            (call,) = bridge.origins[order.origin].claims([order], fees)
            if not isinstance(call, Call):
                return None
            gas = _gas(newest, *bridge.chain.simulate([call], fees))
        except Failure:
            return None
        if gas is None:
            return None
        if call.value + gas * fees.ceiling <= owed:
            return bids.paying(ward, call, gas, fees)
        most = (owed - call.value) // gas
    return None


def _gas(newest: Transaction, estimate: Gas | Failure | None) -> Gas | None:
    """Return the gas of a replacement: as estimated now, else as it was signed before."""
    if estimate is None or isinstance(estimate, Failure):
        return _signed_gas(newest)
    return estimate


def _signed_gas(newest: Transaction) -> Gas | None:
    """Return the gas that was signed, None where no node takes a transaction with it."""
    return newest.gas if CANCEL_GAS <= newest.gas <= _MOST_GAS else None


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
