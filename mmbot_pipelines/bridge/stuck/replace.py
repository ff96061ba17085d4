"""Get the lane going again: what is stuck is replaced at its own nonce, or cancelled.

All transactions of one nonce exclude each other on chain, so an order can never be paid
twice by a replacement. A transfer that is not wanted any more gives its nonce to a
cancellation; only when that one is mined may the order be tried again, at another nonce.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import BATCH_SIZE
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.ports.accounts import CANCEL, TRANSFER
from mmbot_pipelines.bridge.receipts.process import process_receipts
from mmbot_pipelines.bridge.sending.lane import (
    Unsigned,
    broadcast,
    for_each_wallet,
    hold_lane,
    in_flight,
    sign,
)
from mmbot_pipelines.bridge.sending.nonces import fillable_gaps, gap_subject
from mmbot_pipelines.bridge.stuck.blocked_nonce import CANCEL_GAS, Replacement, StuckNonce
from mmbot_pipelines.bridge.stuck.plan import find_stuck, plan_replacements
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, Wei, format_ether, format_gwei
from mmbot_pipelines.core.outbox import (
    Call,
    Fees,
    Transaction,
    by_nonce,
    by_wallet,
    max_cost,
    max_total_cost,
)
from mmbot_pipelines.core.safety import ScopeState, State, StatesChanged, confirm, effective_state


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReplacementTx(Unsigned):
    """A transaction to be signed for a nonce that is taken, or that nobody has taken."""

    why: str


def stuck_transactions(bridge: Bridge) -> list[Transaction]:
    """Return the newest transaction of each nonce that shall be replaced or cancelled."""
    waiting = {} if bridge.rules.dry_run else _replaceable(bridge)
    if not waiting:
        return []
    market = bridge.chain.fees()
    return [
        stuck_nonce.newest
        for wallet, rows in waiting.items()
        for stuck_nonce in find_stuck(bridge.with_wallet(wallet), rows, market)
    ]


def replace_stuck(bridge: Bridge, run: Run) -> None:
    """Replace stuck transactions at their nonces with higher fees, or cancel them.

    Rows are written before anything is broadcast, as for every transaction. What fails for one
    wallet keeps no other's from being replaced.

    Raises:
        Failure: a chain or a signer could not be asked about a wallet.
    """
    process_receipts(bridge, run)  # what is mined by now is not stuck
    if bridge.rules.dry_run:
        return
    for_each_wallet(bridge, _replaceable(bridge), partial(_replace, run))


def _replaceable(bridge: Bridge) -> dict[Address, list[Transaction]]:
    """Return the undecided transactions of each wallet whose key is there."""
    rows = by_wallet(bridge.store.outbox.in_flight())
    return {wallet: waiting for wallet, waiting in rows.items() if bridge.has_key(wallet)}


def _replace(run: Run, bridge: Bridge, waiting: Sequence[Transaction]) -> None:
    market = bridge.chain.fees()
    stuck_nonces = find_stuck(bridge, waiting, market)
    if not stuck_nonces:
        return
    below = _gaps(bridge, waiting, stuck_nonces, run)
    # What stands above a gap only waits for it: to raise its fees would help nothing.
    if below is not None:
        txs = [_filler(bridge, nonce, market) for nonce in below if not _freed(bridge, nonce, run)]
    else:
        txs = [
            _replacement_tx(bridge, replacement)
            for replacement in plan_replacements(bridge, stuck_nonces, market, run)
        ]
    if not txs:
        return
    try:
        stored = _store(bridge, txs[:BATCH_SIZE], run)
    except StatesChanged as e:
        run.log(f"{e}: nothing is replaced now")
        return
    # Committed: should we die from here on, the receipts sensor broadcasts the same bytes.
    failpoints.failpoint(failpoints.Point.REPLACEMENT_STORED)
    broadcast(bridge, run, stored)
    failpoints.failpoint(failpoints.Point.REPLACEMENT_BROADCAST)


def _gaps(
    bridge: Bridge, waiting: Sequence[Transaction], stuck_nonces: Sequence[StuckNonce], run: Run
) -> Sequence[int] | None:
    """Return the nonces below ours that were not given out by us, and keep us waiting.

    Another program of the wallet had them and lost them, in a reorg or from the pool; or its
    transaction is stuck. (Which of the two, no node can answer: what "pending" counts differs.)
    """
    lowest = waiting[0].nonce
    if not any(
        stuck_nonce.old and stuck_nonce.newest.nonce == lowest for stuck_nonce in stuck_nonces
    ):
        return None
    return fillable_gaps(bridge, lowest, run)


def _freed(bridge: Bridge, nonce: int, run: Run) -> bool:
    """Take up again what filled a nonce before, where it was lost to somebody since."""
    subject = gap_subject(bridge.chain.wallet, nonce)
    rows = bridge.store.outbox.of(subject)
    if not rows:
        return False
    try:
        with bridge.store.begin() as uow:
            uow.outbox.reopen_nonce(rows[-1], at=bridge.clock())
        run.log(f"{subject}: it is free again, {rows[-1].hash} is sent again")
    except ConcurrentUpdate as e:
        run.log(f"{e}: not sent again")
    return True


def _filler(bridge: Bridge, nonce: int, market: Fees) -> _ReplacementTx:
    return _ReplacementTx(
        subject=gap_subject(bridge.chain.wallet, nonce),
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


def _replacement_tx(bridge: Bridge, replacement: Replacement) -> _ReplacementTx:
    newest, cancels = replacement.newest, replacement.call is None
    return _ReplacementTx(
        subject=newest.subject,
        purpose=CANCEL if cancels else newest.purpose,
        attempt=newest.attempt,
        nonce=newest.nonce,
        call=replacement.call or _nothing(bridge),
        gas=replacement.gas,
        fees=replacement.fees,
        batch=replacement.batch,
        why=replacement.why,
    )


def _store(bridge: Bridge, txs: Sequence[_ReplacementTx], run: Run) -> list[Transaction]:
    stored: list[Transaction] = []
    since = in_flight(bridge)
    with hold_lane(bridge, since, bridge.chain.balance()) as (uow, lane, free):
        taken = {rows[0].nonce: max_total_cost(rows) for rows in by_nonce(lane.in_flight())}
        scope_states, left = uow.safety.scope_states(), free
        for tx in txs:
            if halted := _halted(tx, scope_states):
                run.log(f"{tx.subject}: nonce {tx.nonce} is not replaced, {halted.summary}")
                continue
            more = max_cost(tx.call, tx.gas, tx.fees, tx.batch) - taken.get(tx.nonce, 0)
            if more > max(left, 0):
                run.log(f"{tx.subject}: nonce {tx.nonce} is not replaced, {_short(more, left)}")
                continue
            row = sign(bridge, tx, bump=lane.next_bump(tx.nonce))
            try:
                lane.add_replacement(row)
            except ConcurrentUpdate as e:
                run.log(f"{e}: not replaced")
                continue
            run.log(_log_line(row, tx.why))
            stored.append(row)
            left = Wei(left - max(more, 0))
        confirm(scope_states, uow.safety.hold())
    return stored


def _halted(tx: _ReplacementTx, scope_states: Sequence[ScopeState]) -> ScopeState | None:
    """Return the halt under which a transfer is not to be paid more for, if there is one."""
    scope_state = effective_state(scope_states, tx.subject.partition(":")[0])
    return scope_state if tx.purpose == TRANSFER and scope_state.state is State.HALTED else None


def _log_line(row: Transaction, why: str) -> str:
    price = (
        f"up to {format_gwei(row.fees.ceiling)}, {format_gwei(row.fees.priority)} for the "
        f"block's maker"
    )
    return f"{row.subject}: {row.purpose} {row.hash} takes nonce {row.nonce} at {price}: {why}"


def _short(more: int, free: int) -> str:
    return (
        f"it needs {format_ether(more)} more than {format_ether(max(free, 0))} that are free: "
        "send ETH to the wallet"
    )
