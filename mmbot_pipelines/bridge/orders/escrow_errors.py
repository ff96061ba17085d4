"""Errors of an escrow's answers about an order, on any origin."""

from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import CounterpartyFault, Halts, Stop, TryLater, Waits


class EscrowPaused(Waits):
    """The escrow takes neither orders nor claims until its owner resumes it."""

    reason = "waiting: the escrow is paused, its owner must resume it"


class OrderAbsent(TryLater):
    """The escrow has no such order: its block was reorged out, or the node is behind."""


class AlreadyClaimed(CounterpartyFault):
    """The escrow has paid this order out: filling it now would not be repaid."""


class PaidElsewhere(Stop):
    """The escrow paid the order out to another wallet than ours: no claim brings it back."""


class MessageMissing(Stop):
    """A mined claim has sent no message to our escrow: no claim of this origin can arrive."""


class ClaimsGoElsewhere(Halts):
    """The registry sends its claims to another escrow or function than the settings name."""

    reason = "waiting: the registry sends its claims elsewhere"
    halts_origin_only = True


class EscrowNotOurs(Halts):
    """The escrow pays another wallet, obeys another registry, or is no escrow any more."""

    reason = "waiting: its escrow does not pay our wallet for claims of our registry"
    halts_origin_only = True


class EscrowMismatch(CounterpartyFault):
    """The escrow holds another order under this number than the bot has stored."""


def is_paid_to_other_wallet(order: Order) -> bool:
    """Return whether the order is parked because the escrow paid another wallet.

    It is searched for no more until a person takes it up again.
    """
    reason = order.reason or ""
    return order.is_parked and reason.startswith(f"{PaidElsewhere.__name__}: ")
