"""Which nonce is signed next, and which count of a node is not believed. Reads the chain.

A nonce above the next one leaves a gap that stops all of ours until it is filled, and filling
costs gas. So one node's word is worth a few transactions of another program, and no more.
"""

from collections.abc import Sequence
from datetime import timedelta

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.ports.accounts import CANCEL
from mmbot_pipelines.core.errors import NonceTooHigh
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Chain
from mmbot_pipelines.core.unit_of_work import Lane

# Transactions of another program of the wallet that may wait in the pool at once.
MAX_FOREIGN = 16

# Nonces of others that are filled within an hour, at 21 000 gas each.
_MAX_FILLED = 20
_HOUR = timedelta(hours=1)
_BLOCKS_OF_AN_HOUR = 300

_GAP = "nonce:"


def gap_subject(wallet: Address, nonce: int) -> str:
    """Return the subject of a transaction that only fills a nonce of a wallet."""
    return f"{_GAP}{wallet}:{nonce}"


def is_impossible(pending: int, *, mined: int, ours: int) -> bool:
    """Return whether a count of the wallet's transactions cannot be.

    mined: the count of those that are mined.
    ours: one above the highest nonce that we ever signed.
    """
    return pending > max(mined, ours) + MAX_FOREIGN


def next_nonce(chain: Chain, lane: Lane, pending: int) -> int:
    """Return the nonce to sign next while the lane is held.

    pending: what the nodes count, waiting ones included.

    Raises:
        NonceTooHigh: that count cannot be.
    """
    ours = lane.next_nonce(0)
    # The chain is asked only in doubt, for the lane is held: of a new wallet, or by a liar.
    if is_impossible(pending, mined=0, ours=ours):
        mined = chain.nonce(pending=False)
        if is_impossible(pending, mined=mined, ours=ours):
            raise NonceTooHigh(
                f"a node counts {pending} transactions of the wallet, but {mined} are mined and "
                f"ours end at nonce {ours - 1}: nothing is signed until it counts right; "
                "take it out of MMBOT_L1_RPC_URLS, or stop the other program of the wallet"
            )
    return max(pending, ours)


def fillable_gaps(bridge: Bridge, lowest: int, run: Run) -> Sequence[int] | None:
    """Return the nonces below `lowest`, our lowest, that may be filled now; None: there is no gap.

    The nodes of the quorum count what is mined. Within an hour only so many are filled.
    """
    free, wallet = bridge.chain.nonce(pending=False), bridge.chain.wallet
    if free >= lowest:
        return None
    since = bridge.clock() - _HOUR
    rows = bridge.store.outbox.in_flight()
    rows += bridge.store.outbox.mined_since(max(0, bridge.chain.head().number - _BLOCKS_OF_AN_HOUR))
    filled = {
        row.nonce
        for row in rows
        if row.wallet == wallet
        and row.purpose == CANCEL
        and row.subject.startswith(_GAP)
        and row.stored_at > since
    }
    left = max(0, _MAX_FILLED - len(filled))
    if left == 0:
        run.log(
            f"nonces {free} to {lowest - 1} have no transaction; {_MAX_FILLED} were filled within "
            "an hour, the next ones are filled later"
        )
    return range(free, min(lowest, free + left))
