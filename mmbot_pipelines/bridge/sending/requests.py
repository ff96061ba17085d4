"""What a step asks to be sent: one transaction, for one order or for several. Pure."""

from dataclasses import dataclass

from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.sending.claims_behind import ClaimBehind
from mmbot_pipelines.core.money import Gas, Wei, shares
from mmbot_pipelines.core.outbox import Call, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """What is to be sent for one order: one transaction, or a transfer and its claim.

    Or the one claim of several orders.
    """

    order: Order
    others: tuple[Order, ...] = ()  # that the same transaction serves
    call: Call
    gas: Gas
    reserve: Wei  # to be left in the wallet for what must follow
    claim_cost: Wei | None = None  # what the claim is expected to cost, where this pays for it
    claim: ClaimBehind | None = None  # mined with the transfer, or not at all

    @property
    def orders(self) -> tuple[Order, ...]:
        """Return all orders that it serves."""
        return (self.order, *self.others)

    @property
    def subject(self) -> str:
        """Name whom its transaction is for: the order, or the first of them and how many more."""
        return f"{self.order.key}+{len(self.others)}" if self.others else self.order.key

    def parts(self, purpose: str) -> tuple[Part, ...]:
        """Return what its transaction does for each order, where they are several."""
        if not self.others:
            return ()
        values = shares(self.call.value, len(self.orders))
        return tuple(
            Part(subject=order.key, purpose=purpose, attempt=order.attempt, value=value)
            for order, value in zip(self.orders, values, strict=True)
        )
