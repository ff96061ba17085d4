"""Compare the wallet's transactions and the registry's payments with what is stored."""

from collections.abc import Iterator
from dataclasses import replace

from mmbot_pipelines.bridge.audit import invariants
from mmbot_pipelines.bridge.audit.facts import ChainFacts, MinedTransaction, StoredFacts
from mmbot_pipelines.bridge.auditor.findings import (
    OF_PAYMENTS,
    Auditor,
    Check,
    Finding,
    unknown,
)
from mmbot_pipelines.bridge.ports.audit import Window
from mmbot_pipelines.core.errors import Failure, StoreUnavailable
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Chain, TxState
from mmbot_pipelines.core.safety import GLOBAL

_MAX_TRANSACTIONS = 500  # whose receipts are read again
_AT_ONCE = 100  # receipts


def check_l1(auditor: Auditor) -> Iterator[Finding]:
    """Compare the wallet's transactions and the registry's payments with what is stored."""
    try:
        chain, stored, first, last = _window(auditor)
    except StoreUnavailable:
        raise
    except Failure as e:
        of_origins = [(c, o) for c in OF_PAYMENTS for o in auditor.bridge.origins]
        for check, scope in [*of_origins, (Check.OUTBOX, GLOBAL), (Check.NONCES, GLOBAL)]:
            yield unknown(check, scope, e)
        return
    span = {"first block": first, "last block": last}
    rows = stored.transactions
    yield Finding(
        check=Check.OUTBOX,
        scope=GLOBAL,
        checked=len(chain.transactions),
        problems=list(invariants.unrecorded(chain, rows)),
        figures=span,
    )
    yield Finding(
        check=Check.NONCES,
        scope=GLOBAL,
        checked=len(chain.nonces),
        problems=list(invariants.misused_nonces(chain, rows)),
        figures=span,
    )
    paid = {p.key for p in chain.payments}.union(
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


def _window(auditor: Auditor) -> tuple[ChainFacts, StoredFacts, int, int]:
    """Read the final blocks of L1 and what is stored of them; return the first and last."""
    bridge = auditor.bridge
    last = max(0, bridge.chain.head().number - bridge.rules.l1_finality_blocks)
    first = max(0, last - auditor.blocks + 1)
    payments = auditor.payments.transfers(first, last)
    stored, whole = auditor.records.stored(
        Window(
            chain_id=bridge.chain.chain_id,
            wallet=bridge.chain.wallet,
            first=first,
            last=last,
            max_transactions=_MAX_TRANSACTIONS,
            keys={payment.key for payment in payments},
        )
    )
    nonces = sorted({row.nonce for row in stored.transactions})
    facts = ChainFacts(
        payments=payments,
        transactions=_mined(bridge.chain, stored, last),
        nonces=range(nonces[0], nonces[-1] + 1) if nonces else range(0),
    )
    return facts, stored, min(whole, last), last


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
