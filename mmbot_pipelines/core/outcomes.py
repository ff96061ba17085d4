"""What became of stored transactions: asks the chain, and sends again what no node has.

Four questions decide about a nonce: mined? reverted? can it still be mined? does the node know it
at all?
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from mmbot_pipelines.core.errors import TryAgain
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Chain, Outcome, Receipt, Transaction, TxState, by_nonce
from mmbot_pipelines.core.retry import Rebroadcasts


def outcomes(
    chain: Chain,
    waiting: Sequence[Transaction],
    rebroadcasts: Rebroadcasts,
    at: datetime,
    still_wanted: Callable[[Sequence[Transaction]], Sequence[Transaction]],
) -> Iterator[Outcome]:
    """Yield what is decided about stored transactions, and send again what the node forgot.

    waiting: of the chain's wallet.
    rebroadcasts: one transaction is sent again no more often than these allow.
    still_wanted: which of those that no node has are sent now.

    What is mined comes first, the lowest nonce before the others. The nonce is read before
    the receipts: rows without a receipt whose nonce was used by then have lost it to another
    one, whatever is mined in between. But one URL may be of several nodes, and what one has
    mined another may still have in its pool: a row that is known at all is not lost. Of those
    that share a nonce only the newest is sent again: it is what nodes prefer.
    """
    if not waiting:
        return
    mined_nonces = chain.nonce(pending=False)
    hashes = [row.hash for row in waiting]
    receipts = dict(zip(hashes, chain.receipts(hashes), strict=True))
    left = []
    for rows in by_nonce(waiting):
        mined = next((row for row in rows if receipts[row.hash]), None)
        if mined is not None:
            yield _mined(chain, mined, receipts[mined.hash], rows)
        else:
            left.append(rows)
    known = _known(chain, left)
    forgotten = []
    for rows in left:
        newest = rows[-1]
        if newest.nonce >= mined_nonces:
            forgotten += [] if newest.hash in known else [newest]
        elif not any(row.hash in known for row in rows):
            yield Outcome(
                transaction=newest,
                state=TxState.LOST,
                reason=f"another transaction of the wallet used nonce {newest.nonce}",
                rivals=rows[:-1],
            )
    due = rebroadcasts.due((row.hash for row in forgotten), at)
    unsent = [row for row in forgotten if row.hash in due]
    wanted = still_wanted(unsent) if unsent else []
    # What is not wanted now is asked about no more often than it would be sent.
    rebroadcasts.record({row.hash for row in unsent}.difference(row.hash for row in wanted), at)
    _rebroadcast(chain, wanted, rebroadcasts, at)


def _rebroadcast(
    chain: Chain, rows: Sequence[Transaction], rebroadcasts: Rebroadcasts, at: datetime
) -> None:
    results = chain.broadcast([row.raw for row in rows]) if rows else []
    # What an outage kept from the network is sent as soon as it is over.
    sent = [r.hash for r, f in zip(rows, results, strict=True) if not isinstance(f, TryAgain)]
    rebroadcasts.record(sent, at)


def _known(chain: Chain, waiting: Sequence[Sequence[Transaction]]) -> set[TxHash]:
    hashes = [row.hash for rows in waiting for row in rows]
    there = chain.known_by_node(hashes) if hashes else []
    return {tx for tx, known in zip(hashes, there, strict=True) if known}


def _mined(
    chain: Chain, mined: Transaction, receipt: Receipt | None, rows: Sequence[Transaction]
) -> Outcome:
    succeeded = receipt is not None and receipt.succeeded
    return Outcome(
        transaction=mined,
        state=TxState.MINED if succeeded else TxState.REVERTED,
        receipt=receipt,
        reason="" if succeeded else chain.revert_reason(mined),
        rivals=[row for row in rows if row is not mined],
    )
