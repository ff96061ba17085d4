"""Whose doing a mined revert is. Reads chain.

A stranger chooses the recipient, and with it the code that a transfer runs. He must neither
be able to halt us nor to make us pay for the same revert twice.
"""

from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.accounts import TRANSFER
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.outbox import UNKNOWN, Chain, Outcome

# What the PaymentRegistry says when the recipient did not take the money, and only then.
_NOT_TAKEN = "Transfer failed."

_NO_REASON = "reverted without a reason"


def is_recipients_doing(chain: Chain, order: Order, outcome: Outcome) -> bool:
    """Return whether a reverted transfer is the doing of its recipient.

    It is where the registry says so; where gas ran out, or no reason came, in a call of an
    account with code; and where no replay reverts, for only code that looks at its
    surroundings behaves differently then, and such code may be gone in the same block.

    What no node can say any more, as with pruned state, counts as its doing: it is not tried
    again by itself, and holds no other receipt up.

    Raises:
        RpcUnavailable: no node answered.
    """
    row, receipt, reason = outcome.transaction, outcome.receipt, outcome.reason
    if row.purpose != TRANSFER or receipt is None:
        return False
    if _NOT_TAKEN in reason or reason.startswith(UNKNOWN):
        return True
    if receipt.gas_used < row.gas and not reason.startswith(_NO_REASON):
        return False  # the registry's own words
    try:
        return chain.has_code(order.recipient, receipt.block.number)
    except RpcRefused:
        return True
