"""What claims' messages that failed on the L2 gave back. Reads chains, writes store.

What a message that succeeded did not use is recorded with the escrow's payment, in `claim`.
What stays unknown is asked for again when its claim is half as old again: for ever, for it is
money, but a claim of a month costs a dozen questions more in a year.
"""

from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.claims.lost import give_up_batch
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.ports.chains import MessageEnd
from mmbot_pipelines.core.errors import ConcurrentUpdate, Undelivered
from mmbot_pipelines.core.money import Wei, format_ether
from mmbot_pipelines.core.outbox import Transaction

_MAX_CLAIMS = 200  # that one review asks about; the next one goes on


def record_refunds(bridge: Bridge, origin: str, run: Run) -> None:
    """Write the refunds of an origin's mined claims that are known by now.

    Raises:
        Failure: L1 or the L2 cannot be read.
    """
    now = bridge.clock()
    mined = bridge.store.outbox.unrefunded(origin, at=now, max_rows=_MAX_CLAIMS)
    claims = [row for row in mined if _claims_anything(row)]
    known = bridge.origins[origin].message_ends([claim.hash for claim in claims])
    ends = {claim.hash: end for claim, end in zip(claims, known, strict=True)}
    unknown = [claim for claim in claims if ends[claim.hash] is None]
    with bridge.store.begin() as uow:
        uow.outbox.postpone_refunds({c.hash: now + (now - c.stored_at) / 2 for c in unknown})
    for row in mined:
        ended = ends.get(row.hash, ())
        if ended is not None:
            _record(bridge, origin, row, [end for end in ended if end.failed], run)


def _claims_anything(row: Transaction) -> bool:
    """Return whether a mined transaction has sent a message: a batch of transfers has not."""
    return any(part.purpose == REPAY and not part.failed for part in row.parts)


def _record(
    bridge: Bridge, origin: str, row: Transaction, failed: Sequence[MessageEnd], run: Run
) -> None:
    if failed and row.has_one_call:
        # Before the refund: from then on nobody looks whether it has failed. One of its orders
        # alone may have made it fail. A message of one order is given up by a person, who sees
        # what is wrong with it.
        why = f"the message of {row.hash} failed on {origin}, and paid none of its orders"
        give_up_batch(Work(bridge, run, "settle"), row, Undelivered(why))
    refund = Wei(sum(end.refund for end in failed))
    try:
        with bridge.store.begin() as uow:
            uow.outbox.set_refund(row, refund)
    except ConcurrentUpdate as e:
        run.log(f"{e}; skipped")
        return
    for end in failed:
        claimed = row.subject if end.number is None else f"{origin}:{end.number}"
        run.log(
            f"{claimed}: the message of {row.hash} failed on {origin}, "
            f"{format_ether(end.refund)} came back"
        )
