"""Reads payments of orders from events of Starknet's escrow. Pure."""

from collections.abc import Mapping, Sequence

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.bridge.orders.escrow_errors import PaidElsewhere
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.errors import Malformed, Waits
from mmbot_pipelines.core.money import Address, format_ether


class PaymentUnsealed(Waits):
    """The escrow has paid in a block that is not sealed yet: nothing more is claimed."""

    reason = "waiting: the escrow has paid, its block is not sealed yet"


class Payments:
    """The payments of one escrow, which must pay our wallet."""

    def __init__(self, escrow: Address, wallet: Address) -> None:
        self._escrow = escrow
        self._wallet = wallet

    def among(
        self, events: Sequence[abi.Event], orders: Mapping[int, Order]
    ) -> dict[int, Settlement | PaidElsewhere]:
        """Find the payments of these orders among events, to us if there is one."""
        paid: dict[int, Settlement | PaidElsewhere] = {}
        for event in events:
            try:
                payment = abi.payment(event)
            except Malformed:
                continue
            order = orders.get(payment.number)
            # Escrows differ in whether the event's amount includes the fee.
            if order is None or payment.amount - order.amount not in (0, order.fee):
                continue
            if int(payment.wallet, 16) == int(self._wallet, 16):
                paid[order.number] = Settlement(event.tx, event.block)
            elif not isinstance(paid.get(order.number), Settlement):
                paid[order.number] = self._paid_elsewhere(order, payment, event)
        return paid

    def _paid_elsewhere(
        self, order: Order, payment: abi.Payment, event: abi.Event
    ) -> PaidElsewhere:
        return PaidElsewhere(
            f"the escrow {self._escrow} paid {format_ether(payment.amount)} of {order.key} to "
            f"{payment.wallet} in {event.tx}, but our wallet is {self._wallet}: ask the escrow's "
            "owner; no claim brings it back"
        )
