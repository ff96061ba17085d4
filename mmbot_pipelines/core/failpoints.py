"""Places between two effects, each with a name, where a test can make the process die.

The question at each is the same: what if the power fails here? A point does nothing
unless it is armed with a token file; taking the token away is what makes it fire, so it
fires once however many processes pass it.
"""

import contextlib
import os
import signal
from enum import StrEnum
from pathlib import Path


class Point(StrEnum):
    SCANNED = "scanned"  # orders were read, none is stored
    CURSOR_STORED = "cursor-stored"  # orders and cursor are stored, no run is asked for
    ASKED = "asked"  # orders are taken for a run that nobody has started
    DECIDED = "decided"  # accepted, nothing is signed
    SIGNED = "signed"  # a slice of orders, in the wallet's lane; nothing is stored
    TRANSFER_STORED = "transfer-stored"  # signed and stored, not broadcast
    TRANSFER_BROADCAST = "transfer-broadcast"  # broadcast, its run has not ended
    REPAY_STORED = "repay-stored"
    REPAY_BROADCAST = "repay-broadcast"
    RECEIPT_READ = "receipt-read"  # mined, the order does not know
    RECEIPT_STORED = "receipt-stored"  # the order knows, its next run is not asked for
    FAILURE_SEEN = "failure-seen"  # an order's step failed, its error is not stored
    FAILURE_STORED = "failure-stored"  # the error is stored, the run does not know
    REPLACEMENT_STORED = "replacement-stored"  # signed for a stuck one's nonce, not broadcast
    REPLACEMENT_BROADCAST = "replacement-broadcast"
    L1_REORG_SEEN = "l1-reorg-seen"  # L1 reorged a block out, its orders are not updated
    L2_REORG_SEEN = "l2-reorg-seen"  # an L2 reorged blocks out, its orders are not updated
    L2_REORG_REVIEWED = "l2-reorg-reviewed"  # its orders are updated, the cursor is not set back
    SETTLEMENT_SEEN = "settlement-seen"  # the escrow has paid, the order is not updated
    ALERT_TAKEN = "alert-taken"  # taken by this process, not sent
    ALERT_SENT = "alert-sent"  # a channel has it, the log is not updated


_tokens: dict[Point, Path] = {}


def arm(point: Point, token: Path) -> None:
    """Make this process die at `point` if it is the one that takes the token file away."""
    _tokens[point] = token


def failpoint(point: Point) -> None:
    """Pass a point; an armed one ends the process as a power cut would."""
    token = _tokens.get(point)
    if token is None:
        return
    with contextlib.suppress(FileNotFoundError):
        token.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
