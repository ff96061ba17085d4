"""What an escrow stores of orders and of its own terms, alike on every origin. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from mmbot_pipelines.bridge.orders.escrow_errors import (
    AlreadyClaimed,
    EscrowMismatch,
    OrderAbsent,
)
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import Scan
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import Failure, Malformed
from mmbot_pipelines.core.money import Address, TxHash, Wei, format_ether


@dataclass(frozen=True, slots=True)
class EscrowTerms:
    """Which registry may claim from the escrow, and which wallet it pays."""

    paused: bool
    wallet: Address  # on the origin network, that it pays
    registry: Address  # of L1, as the origin network shows it


@dataclass(frozen=True, slots=True)
class EscrowOrder:
    """What the escrow holds under one order id; all zero where it holds nothing."""

    recipient: Address
    amount: Wei
    fee: Wei
    pending: bool

    @property
    def absent(self) -> bool:
        """Return whether the escrow holds no order under this id."""
        return int(self.recipient, 16) == self.amount == self.fee == 0

    def is_of(self, order: Order) -> bool:
        """Return whether the escrow holds the order with the same terms."""
        held = (self.recipient, self.amount, self.fee)
        return held == (order.recipient, order.amount, order.fee)

    def __str__(self) -> str:
        return f"{format_ether(self.amount)} for {self.recipient}, fee {format_ether(self.fee)}"


class Logged(Protocol):
    """The position of an escrow's event on its chain, alike on every origin."""

    @property
    def tx(self) -> TxHash: ...

    @property
    def index(self) -> int: ...  # in its block


_Event = TypeVar("_Event", bound=Logged)


def orders_set(
    events: Iterable[_Event], parse: Callable[[_Event], Order], origin: str
) -> tuple[list[Order], list[Fault]]:
    """Return the orders of all events that can be parsed, and a fault for each other one."""
    orders, faults = [], []
    for event in events:
        try:
            orders.append(parse(event))
        except Malformed as e:
            subject, kind = f"{origin}:{event.tx}:{event.index}", type(e).__name__
            faults.append(Fault(subject=subject, step="scan", kind=kind, message=str(e)))
    return orders, faults


def without_invented(
    scan: Scan, undisputed: Scan, held: Callable[[Sequence[Order]], list[EscrowOrder | Failure]]
) -> Scan:
    """Return what several nodes show together, without what the escrow holds otherwise.

    undisputed: what all of them show.
    held: reads what the escrow holds under the orders' numbers, as the quorum knows it.
    """
    shown = {(o.number, o.block, o.recipient, o.amount, o.fee) for o in undisputed.orders}
    disputed = [
        o for o in scan.orders if (o.number, o.block, o.recipient, o.amount, o.fee) not in shown
    ]
    if not disputed:
        return scan
    answers = zip(disputed, held(disputed), strict=True)
    # What cannot be read is kept: it is checked again before it is paid.
    invented = [o for o, h in answers if isinstance(h, EscrowOrder) and not h.is_of(o)]
    return replace(scan, orders=[order for order in scan.orders if order not in invented])


def order_fault(order: Order, held: EscrowOrder | Failure, escrow: Address) -> Failure | None:
    """Return why the order must not be paid, or None where the escrow holds it as read."""
    if isinstance(held, Failure):
        return held
    if held.absent:
        return OrderAbsent(f"the escrow {escrow} has no order {order.number}")
    if not held.is_of(order):
        return EscrowMismatch(
            f"the escrow {escrow} holds {held} as order {order.number}, but "
            f"{format_ether(order.amount)} for {order.recipient}, fee {format_ether(order.fee)} "
            "was stored"
        )
    if not held.pending:
        return AlreadyClaimed(f"the escrow {escrow} has paid out order {order.number} already")
    return None
