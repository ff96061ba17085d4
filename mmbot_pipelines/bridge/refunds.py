"""Record what claims' messages that failed on the L2 gave back there. Reads chain, writes store.

What a message that succeeded did not use is recorded with the escrow's payment, in `claim`.
"""

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.ports import Run
from mmbot_pipelines.core.errors import LostRace
from mmbot_pipelines.core.money import in_words

_MAX_CLAIMS = 200  # that one review asks about; the next one goes on


def record_refunds(bridge: Bridge, origin: str, run: Run) -> None:
    """Write the refunds of an origin's mined claims that are known by now.

    Raises:
        Failure: L1 or the L2 cannot be read.
    """
    claims = bridge.orders.unrefunded(origin, max_rows=_MAX_CLAIMS)
    if not claims:
        return
    found = bridge.origins[origin].refunded([claim.hash for claim in claims])
    for claim, refund in zip(claims, found, strict=True):
        if refund is None:
            continue
        try:
            bridge.orders.refund(claim, refund)
        except LostRace as e:
            run.say(f"{e}; skipped")
            continue
        if refund:
            run.say(
                f"{claim.subject}: the message of {claim.hash} failed on {origin}, "
                f"{in_words(refund)} came back"
            )
