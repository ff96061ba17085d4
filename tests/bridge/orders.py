"""Orders for tests."""

from datetime import UTC, datetime

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def an_order(
    number: int = 7,
    *,
    status: Status = Status.PENDING,
    amount: int = 10**16,
    fee: int = 10**15,
    origin: str = "zksync",
) -> Order:
    return Order(
        origin=origin,
        number=number,
        recipient=Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        amount=Wei(amount),
        fee=Wei(fee),
        block=Block(10, "0x" + "ab" * 32),
        set_order_tx=TxHash("0x" + "cd" * 32),
        changed_at=NOON,
        status=status,
    )
