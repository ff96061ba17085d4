"""Compare the wallets' transactions and the registry's payments with what is stored."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mmbot_pipelines.bridge.audit import invariants
from mmbot_pipelines.bridge.audit.facts import (
    ChainFacts,
    MinedTransaction,
    RegistryTransfer,
    StoredEvent,
    StoredFacts,
    StoredOrder,
    StoredTransaction,
)
from mmbot_pipelines.bridge.auditor.findings import (
    OF_PAYMENTS,
    Auditor,
    Check,
    Finding,
    of_all,
    unknown,
)
from mmbot_pipelines.bridge.ports.audit import Window
from mmbot_pipelines.core.errors import Failure, StoreUnavailable
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Chain, TxState
from mmbot_pipelines.core.safety import GLOBAL

_MAX_TRANSACTIONS = 500  # of each wallet, whose receipts are read again
_AT_ONCE = 100  # receipts


def check_l1(auditor: Auditor) -> Iterator[Finding]:
    """Compare the wallets' transactions and the registry's payments with what is stored."""
    try:
        windows, payments, last = _windows(auditor)
    except StoreUnavailable:
        raise
    except Failure as e:
        of_origins = [(c, o) for c in OF_PAYMENTS for o in auditor.bridge.origins]
        for check, scope in [*of_origins, (Check.OUTBOX, GLOBAL), (Check.NONCES, GLOBAL)]:
            yield unknown(check, scope, e)
        return
    yield of_all({wallet: _outbox(window, last) for wallet, window in windows.items()})
    yield of_all({wallet: _nonces(window, last) for wallet, window in windows.items()})
    chain, stored = _together(windows.values(), payments)
    span = {"first block": max(w.first for w in windows.values()), "last block": last}
    rows = stored.transactions
    paid = {p.key for p in payments}.union(
        *(row.pays for row in rows if row.state is TxState.MINED)
    )
    for origin in auditor.bridge.origins:
        own = _of_origin(origin, chain, stored)
        due = [order for order in own[1].orders if order.key in paid]
        yield Finding(
            check=Check.PAYMENTS,
            scope=origin,
            checked=len(own[0].payments),
            problems=[*invariants.paid_twice(own[0]), *invariants.mismatched(own[0], due)],
            figures=span,
        )
        yield Finding(
            check=Check.HISTORY,
            scope=origin,
            checked=len(own[1].orders),
            problems=[*invariants.illegal_steps(own[1]), *invariants.lost_errors(own[1])],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _WalletWindow:
    """A wallet's transactions in the final blocks, as they are stored and as L1 has them."""

    first: int  # the block from which they are whole
    chain: ChainFacts
    stored: StoredFacts


def _windows(
    auditor: Auditor,
) -> tuple[dict[Address, _WalletWindow], list[RegistryTransfer], int]:
    """Read the final blocks of L1 and what is stored of them; return the last block, too."""
    bridge = auditor.bridge
    last = max(0, bridge.chain.head().number - bridge.rules.l1_finality_blocks)
    first = max(0, last - auditor.blocks + 1)
    payments = auditor.payments.transfers(first, last)
    windows = {}
    for lane in bridge.lanes:
        stored, whole = auditor.records.stored(
            Window(
                chain_id=lane.chain.chain_id,
                wallet=lane.chain.wallet,
                first=first,
                last=last,
                max_transactions=_MAX_TRANSACTIONS,
                keys={payment.key for payment in payments},
            )
        )
        nonces = sorted({row.nonce for row in stored.transactions})
        facts = ChainFacts(
            payments=payments,
            transactions=_mined(lane.chain, stored, last),
            nonces=range(nonces[0], nonces[-1] + 1) if nonces else range(0),
        )
        windows[lane.chain.wallet] = _WalletWindow(
            first=min(whole, last), chain=facts, stored=stored
        )
    return windows, payments, last


def _outbox(window: _WalletWindow, last: int) -> Finding:
    return Finding(
        check=Check.OUTBOX,
        scope=GLOBAL,
        checked=len(window.chain.transactions),
        problems=list(invariants.unrecorded(window.chain, window.stored.transactions)),
        figures={"first block": window.first, "last block": last},
    )


def _nonces(window: _WalletWindow, last: int) -> Finding:
    return Finding(
        check=Check.NONCES,
        scope=GLOBAL,
        checked=len(window.chain.nonces),
        problems=list(invariants.misused_nonces(window.chain, window.stored.transactions)),
        figures={"first block": window.first, "last block": last},
    )


def _together(
    windows: Iterable[_WalletWindow], payments: Sequence[RegistryTransfer]
) -> tuple[ChainFacts, StoredFacts]:
    """Return the facts of all wallets; an order that several have paid for is in them once."""
    orders: dict[str, StoredOrder] = {}
    events: list[StoredEvent] = []
    errors: list[tuple[str, str | None]] = []
    transactions: list[StoredTransaction] = []
    for window in windows:
        known = set(orders)
        orders |= {order.key: order for order in window.stored.orders}
        events += [event for event in window.stored.events if event.key not in known]
        errors += window.stored.errors
        transactions += window.stored.transactions
    return ChainFacts(payments=payments), StoredFacts(
        orders=list(orders.values()),
        events=events,
        errors=errors,
        transactions=transactions,
        failed_runs=[],
    )


def _mined(chain: Chain, stored: StoredFacts, last: int) -> list[MinedTransaction]:
    """Read the receipts of the stored transactions again, of those up to block `last`."""
    hashes = [TxHash(row.hash) for row in stored.transactions]
    nonces = {row.hash: row.nonce for row in stored.transactions}
    return [
        MinedTransaction(
            hash=receipt.hash,
            nonce=nonces[receipt.hash],
            succeeded=receipt.succeeded,
            gas_cost=receipt.gas_used * receipt.gas_price,
        )
        for start in range(0, len(hashes), _AT_ONCE)
        for receipt in chain.receipts(hashes[start : start + _AT_ONCE])
        if receipt is not None and receipt.block.number <= last
    ]


def _of_origin(
    origin: str, chain: ChainFacts, stored: StoredFacts
) -> tuple[ChainFacts, StoredFacts]:
    own = f"{origin}:"
    return (
        replace(chain, payments=[p for p in chain.payments if p.key.startswith(own)]),
        replace(
            stored,
            orders=[o for o in stored.orders if o.origin == origin],
            events=[e for e in stored.events if e.key.startswith(own)],
        ),
    )
