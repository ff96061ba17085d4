"""The Starknet origin on fake nodes, and payments that they may report."""

from typing import Any

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import MessageEnd, Progress
from mmbot_pipelines.core.errors import Failure, RpcRefused
from mmbot_pipelines.core.money import Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Event, Fees
from tests.adapters.starknet.starknet_fakes import (
    ESCROW,
    NOW,
    REGISTRY,
    WALLET,
    StarknetFake,
    client,
    emitted,
)


class NoRepayment:
    """Prices nothing, because no claim can be estimated."""

    claim_gas = Gas(1)
    max_batch = 1

    def message_fee(self, orders: list[Order], fees: Fees) -> list[Wei]:
        raise RpcRefused("a claim's message cannot be priced")

    def claims(self, orders: list[Order], fees: Fees) -> list[Failure]:
        return [RpcRefused("no") for _ in orders]

    def claim_batches(self, batches: list[list[Order]], fees: Fees) -> list[Failure]:
        return [RpcRefused("no") for _ in batches]

    def progress(self, orders: list[Order]) -> list[Progress]:
        return [Progress()] * len(orders)

    def claimed_in(self, events: list[Event], orders: list[Order]) -> list[bool]:
        return [False] * len(orders)

    def message_ends(self, claims: list[TxHash]) -> list[list[MessageEnd] | None]:
        return [None] * len(claims)

    def record_costs(self) -> None:
        pass


def origin(*nodes: StarknetFake | str, quorum: int = 1, **changes: Any) -> StarknetOrigin:
    given = {"escrow": ESCROW, "wallet": WALLET, "registry": REGISTRY, "start": 0} | changes
    rpc = given.pop("rpc", None) or client(*nodes, quorum=quorum)
    return StarknetOrigin(rpc, NoRepayment(), clock=lambda: NOW, **given)


def payment(number: int, wallet: int, amount: int, block: int = 60) -> dict[str, Any]:
    data = [*abi.halves(number), wallet, *abi.halves(amount)]
    return emitted(data, block=block, keys=[hex(abi.CLAIM_PAYMENT)], transaction_hash="0x99")
