"""Get the lane going again: what is stuck is replaced at its own nonce, or taken back.

All transactions of one nonce exclude each other on chain, so an order can never be paid
twice by a replacement. A transfer that is not wanted any more gives its nonce to a
cancellation; only when that one is mined may the order be tried again, at another nonce.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmbot_pipelines.bridge.accounts import CANCEL, TRANSFER
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import PART
from mmbot_pipelines.bridge.nonces import gap, gaps
from mmbot_pipelines.bridge.ports import Fault, Run
from mmbot_pipelines.bridge.receipts import settle_receipts
from mmbot_pipelines.bridge.remedy import remedies, troubled
from mmbot_pipelines.bridge.stuck_nonce import CANCEL_GAS, Remedy, Ward
from mmbot_pipelines.core import crash
from mmbot_pipelines.core.errors import Failure, LostRace
from mmbot_pipelines.core.money import Gas, Wei, gwei, in_words
from mmbot_pipelines.core.outbox import (
    Call,
    Fees,
    Transaction,
    at_most,
    by_nonce,
)
from mmbot_pipelines.core.safety import Standing, State, StatesChanged, confirm, ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bid:
    """A transaction to be signed for a nonce that is taken, or that nobody has taken."""

    subject: str
    purpose: str
    attempt: int
    nonce: int
    call: Call
    gas: Gas
    fees: Fees
    why: str


def stuck(bridge: Bridge) -> list[Transaction]:
    """Return the newest transaction of each nonce that shall be replaced or taken back."""
    waiting = _waiting(bridge)
    if not waiting or bridge.rules.dry_run:
        return []
    return [ward.newest for ward in troubled(bridge, waiting, bridge.chain.fees())]


def replace_stuck(bridge: Bridge, run: Run) -> None:
    """Replace stuck transactions at their nonces, with higher fees, or take them back.

    Rows are written before anything is broadcast, as for every transaction.
    """
    settle_receipts(bridge, run)  # what is mined by now is not stuck
    waiting = _waiting(bridge)
    if not waiting or bridge.rules.dry_run:
        return
    market = bridge.chain.fees()
    wards = troubled(bridge, waiting, market)
    if not wards:
        return
    below = _gaps(bridge, waiting, wards, run)
    # What stands above a gap only waits for it: to raise its fees would help nothing.
    if below is not None:
        bids = [_filler(bridge, nonce, market) for nonce in below if not _freed(bridge, nonce, run)]
    else:
        bids = [_bid(bridge, remedy) for remedy in remedies(bridge, wards, market, run)]
    try:
        stored = _store(bridge, bids[:PART], run)
    except StatesChanged as e:
        run.say(f"{e}: nothing is replaced now")
        return
    _broadcast(bridge, stored, run)


def _waiting(bridge: Bridge) -> list[Transaction]:
    wallet = bridge.chain.wallet
    return [row for row in bridge.orders.in_flight() if row.wallet == wallet]


def _gaps(
    bridge: Bridge, waiting: Sequence[Transaction], wards: Sequence[Ward], run: Run
) -> Sequence[int] | None:
    """Return the nonces below ours that were not given out by us, and keep us waiting.

    Another program of the wallet had them and lost them, in a reorg or from the pool; or its
    transaction is stuck. (Which of the two, no node tells: what "pending" counts differs.)
    """
    lowest = waiting[0].nonce
    if not any(ward.old and ward.newest.nonce == lowest for ward in wards):
        return None
    return gaps(bridge, lowest, run)


def _freed(bridge: Bridge, nonce: int, run: Run) -> bool:
    """Take up again what filled a nonce before, where it was lost to somebody since."""
    rows = bridge.orders.transactions(gap(nonce))
    if not rows:
        return False
    try:
        bridge.orders.unmine(rows[-1], None, None, run_id=run.id, at=bridge.clock())
        run.say(f"{gap(nonce)}: it is free again, {rows[-1].hash} is sent again")
    except LostRace as e:
        run.say(f"{e}: not sent again")
    return True


def _filler(bridge: Bridge, nonce: int, market: Fees) -> _Bid:
    return _Bid(
        subject=gap(nonce),
        purpose=CANCEL,
        attempt=1,
        nonce=nonce,
        call=_nothing(bridge),
        gas=CANCEL_GAS,
        fees=market,
        why=f"no transaction has nonce {nonce}, and those above wait for it",
    )


def _nothing(bridge: Bridge) -> Call:
    return Call(to=bridge.chain.wallet, data=b"", value=Wei(0))


def _bid(bridge: Bridge, remedy: Remedy) -> _Bid:
    newest, cancels = remedy.newest, remedy.call is None
    return _Bid(
        subject=newest.subject,
        purpose=CANCEL if cancels else newest.purpose,
        attempt=newest.attempt,
        nonce=newest.nonce,
        call=remedy.call or _nothing(bridge),
        gas=remedy.gas,
        fees=remedy.fees,
        why=remedy.why,
    )


def _store(bridge: Bridge, bids: Sequence[_Bid], run: Run) -> list[Transaction]:
    if not bids:
        return []
    chain, stored = bridge.chain, []
    balance = chain.balance()
    with bridge.orders.lane(chain.chain_id, chain.wallet) as lane:
        in_flight = lane.in_flight()
        free = balance - at_most(in_flight)
        taken = {rows[0].nonce: at_most(rows) for rows in by_nonce(in_flight)}
        standings = lane.standings()
        for bid in bids:
            if halted := _halted(bid, standings):
                run.say(f"{bid.subject}: nonce {bid.nonce} is not replaced, {halted.told}")
                continue
            more = bid.call.value + bid.gas * bid.fees.ceiling - taken.get(bid.nonce, 0)
            if more > max(free, 0):
                run.say(f"{bid.subject}: nonce {bid.nonce} is not replaced, {_short(more, free)}")
                continue
            signed = chain.sign(bid.call, nonce=bid.nonce, gas=bid.gas, fees=bid.fees)
            row = Transaction(
                subject=bid.subject,
                purpose=bid.purpose,
                attempt=bid.attempt,
                bump=lane.next_bump(bid.nonce),
                chain_id=chain.chain_id,
                wallet=chain.wallet,
                nonce=bid.nonce,
                hash=signed.hash,
                raw=signed.raw,
                call=bid.call,
                gas=bid.gas,
                fees=bid.fees,
                stored_at=bridge.clock(),
            )
            try:
                lane.replace(row)
            except LostRace as e:
                run.say(f"{e}: not replaced")
                continue
            run.say(_told(row, bid.why))
            stored.append(row)
            free -= max(more, 0)
        confirm(standings, lane.hold_standings())
    # Committed: should we die from here on, the receipts sensor broadcasts the same bytes.
    crash.here(crash.Point.REPLACEMENT_STORED)
    return stored


def _halted(bid: _Bid, standings: Sequence[Standing]) -> Standing | None:
    """Return the halt under which a transfer is not to be paid more for, if there is one."""
    standing = ruling(standings, bid.subject.partition(":")[0])
    return standing if bid.purpose == TRANSFER and standing.state is State.HALTED else None


def _broadcast(bridge: Bridge, stored: Sequence[Transaction], run: Run) -> None:
    results = bridge.chain.broadcast([row.raw for row in stored]) if stored else []
    for row, failure in zip(stored, results, strict=True):
        if failure is not None:
            fault = _fault(row, failure)
            bridge.orders.note(fault, at=bridge.clock(), run_id=run.id)
            run.say(f"{row.subject}: {row.hash} is not yet taken by a node ({failure})")
    crash.here(crash.Point.REPLACEMENT_BROADCAST)


def _fault(row: Transaction, failure: Failure) -> Fault:
    kind = type(failure).__name__
    return Fault(subject=row.subject, step="broadcast", kind=kind, message=str(failure))


def _told(row: Transaction, why: str) -> str:
    price = f"up to {gwei(row.fees.ceiling)}, {gwei(row.fees.priority)} for the block's maker"
    return f"{row.subject}: {row.purpose} {row.hash} takes nonce {row.nonce} at {price}: {why}"


def _short(more: int, free: int) -> str:
    return (
        f"it needs {in_words(more)} more than {in_words(max(free, 0))} that are free: "
        "send ETH to the wallet"
    )
