"""Record what claims' messages that failed on the L2 gave back there. Reads chain, writes store.

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
from mmbot_pipelines.core.errors import ConcurrentUpdate, Undelivered
from mmbot_pipelines.core.money import TxHash, format_ether
from mmbot_pipelines.core.outbox import Transaction

_MAX_CLAIMS = 200  # that one review asks about; the next one goes on


def record_refunds(bridge: Bridge, origin: str, run: Run) -> None:
    """Write the refunds of an origin's mined claims that are known by now.

    Raises:
        Failure: L1 or the L2 cannot be read.
    """
    now = bridge.clock()
    claims = bridge.store.outbox.unrefunded(REPAY, origin, at=now, max_rows=_MAX_CLAIMS)
    if not claims:
        return
    undecided = _give_up_failed(bridge, origin, claims, run)
    known = bridge.origins[origin].refunded([claim.hash for claim in claims])
    # A batch's is written last: from then on nobody looks whether it has failed.
    found = [None if c.hash in undecided else r for c, r in zip(claims, known, strict=True)]
    unknown = [c for c, refund in zip(claims, found, strict=True) if refund is None]
    with bridge.store.begin() as uow:
        uow.outbox.postpone_refunds({c.hash: now + (now - c.stored_at) / 2 for c in unknown})
    for claim, refund in zip(claims, found, strict=True):
        if refund is None:
            continue
        try:
            with bridge.store.begin() as uow:
                uow.outbox.set_refund(claim, refund)
        except ConcurrentUpdate as e:
            run.log(f"{e}; skipped")
            continue
        if refund:
            run.log(
                f"{claim.subject}: the message of {claim.hash} failed on {origin}, "
                f"{format_ether(refund)} came back"
            )


def _give_up_failed(
    bridge: Bridge, origin: str, claims: Sequence[Transaction], run: Run
) -> set[TxHash]:
    """Take orders back whose common message has failed: one of them alone may have made it fail.

    A single order's is given up by a person, who sees what is wrong with it.
    Returns the batches of which it is not known yet.
    """
    batches = [claim for claim in claims if claim.batch]
    failed = bridge.origins[origin].messages_failed([batch.hash for batch in batches])
    work = Work(bridge, run, "settle")
    for batch, has_failed in zip(batches, failed, strict=True):
        if has_failed:
            why = f"the message of {batch.hash} failed on {origin}, and paid none of its orders"
            give_up_batch(work, batch, Undelivered(why))
    return {b.hash for b, has_failed in zip(batches, failed, strict=True) if has_failed is None}
