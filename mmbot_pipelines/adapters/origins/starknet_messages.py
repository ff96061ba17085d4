"""Claims by a message from L1: priced, asked for, and followed until they arrive."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.ethereum import wire
from mmbot_pipelines.adapters.ethereum.node import RpcError
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.adapters.ethereum.views import Function
from mmbot_pipelines.adapters.origins import starknet_escrow as abi
from mmbot_pipelines.adapters.origins import starknet_views as views
from mmbot_pipelines.adapters.origins.claim_looks import ClaimLooks
from mmbot_pipelines.adapters.origins.starknet_message_fee import (
    MAX_FEE,
    MAX_RATIO,
    MessageFees,
)
from mmbot_pipelines.adapters.origins.starknet_node import StarknetNode
from mmbot_pipelines.adapters.origins.starknet_rpc import StarknetRpc
from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.ports import Progress
from mmbot_pipelines.core.errors import Failure, Undelivered
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Fees

LOG_MESSAGE = keccak(text="LogMessageToL2(address,uint256,uint256,uint256[],uint256,uint256)")
L1_TO_L2_MESSAGES = Function("l1ToL2Messages", ("bytes32",), ("uint256",))

_KIND = "message "  # what a claim's name begins with


class ClaimEncoder(Protocol):
    """A registry that can send claims to Starknet."""

    @property
    def address(self) -> Address: ...

    def claim_starknet(self, order: Order, *, value: Wei) -> Call:
        """Build the call that asks the escrow for our money."""


class ByMessage:
    """The port `Repayment` by messages from L1. Threads may share it."""

    # Of claimPayment on L1: 85 k to 103 k measured on a bare registry, and 5 k for the
    # deployed one's proxy (measured: 106 k against 111.2 k for a transfer).
    claim_gas = Gas(110_000)

    def __init__(
        self,
        rpc: StarknetRpc,
        l1: Rpc,
        registry: ClaimEncoder,
        *,
        escrow: Address,
        messaging: Address,
        margin_percent: int,
        max_fee: Wei = MAX_FEE,
        max_ratio: int = MAX_RATIO,
        look_seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the contracts; nothing is asked yet.

        messaging: Starknet's core contract on L1.
        margin_percent, max_fee, max_ratio: see `MessageFees`.
        look_seconds: between two looks after one message.
        """
        self._rpc = rpc
        self._l1 = l1
        self._registry = registry
        self._escrow = escrow
        self._messaging = messaging
        self._fees = MessageFees(
            rpc=rpc,
            registry=registry.address,
            escrow=escrow,
            margin_percent=margin_percent,
            max_fee=max_fee,
            max_ratio=max_ratio,
        )
        self._looks = ClaimLooks(_KIND, seconds=look_seconds, clock=clock)

    def message_fee(self, orders: Sequence[Order], fees: Fees) -> list[Wei]:
        """Price each claim's message, in wei: all cost the same, so one is estimated.

        An order whose claim would revert now has no estimate; the others' price is its own.

        Raises:
            RpcRefused: no order's claim can be estimated.
            RpcDisagrees: nodes differ more than their newest blocks' prices can.
            MessageFeeOutOfRange, MessageTooDear: see `MessageFees.price`.
        """
        return [self._fees.price(orders)] * len(orders) if orders else []

    def claims(self, orders: Sequence[Order], fees: Fees) -> list[Call | Failure]:
        """Build the L1 calls that make the escrow pay us; what is too dear now waits."""
        values = self.message_fee(orders, fees)
        return [self._claim(o, value, fees) for o, value in zip(orders, values, strict=True)]

    def _claim(self, order: Order, value: Wei, fees: Fees) -> Call | Failure:
        too_dear = self._fees.too_dear(order, value, self.claim_gas, fees)
        return too_dear or self._registry.claim_starknet(order, value=value)

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        """Find out which messages are ours, and which are used up without effect.

        A message that L1 has consumed was executed on Starknet. If the order is pending
        all the same, its execution failed there, and it is never tried again.
        """
        seen = {key: Progress(ref=ref) for key, ref in self._sent(orders)}
        used_up: list[Order] = []
        for order, receipt, kept in self._kept(orders):
            found = self._name(order, receipt)
            if found is not None and found != order.claim_ref:
                # A reorg of L1 has mined the claim anew, with another number for its message.
                seen[order.key] = Progress(ref=found)
            elif found is not None and not kept:
                used_up.append(order)
        if used_up:
            told = self._rpc.witnesses(lambda node: self._unpaid(node, used_up))
            for order in (o for o in told[0] if all(o in unpaid for unpaid in told)):
                seen[order.key] = Progress(
                    lost=Undelivered(
                        f"the claim's {order.claim_ref} is consumed on L1, but the escrow has "
                        "not paid: its execution on Starknet failed"
                    )
                )
        return [seen.get(order.key, Progress()) for order in orders]

    def _sent(self, orders: Sequence[Order]) -> Iterator[tuple[str, str]]:
        """Yield the messages of claims that are mined and whose message is not known yet."""
        new = [
            (order, order.claim_tx)
            for order in orders
            if order.status is Status.PROVED and order.claim_tx and order.claim_ref is None
        ]
        receipts = self._l1.batch([("eth_getTransactionReceipt", (tx,)) for _, tx in new])
        for (order, _), receipt in zip(new, receipts, strict=True):
            if isinstance(receipt, RpcError) or receipt is None:
                continue
            if (name := self._name(order, receipt)) is not None:
                yield order.key, name

    def _name(self, order: Order, receipt: object) -> str | None:
        """Return what the message in a claim's receipt goes by."""
        found = message_of(order, receipt, self._registry.address, self._escrow, self._messaging)
        return None if found is None else f"{_KIND}{found}"

    def _kept(self, orders: Sequence[Order]) -> Iterator[tuple[Order, object, bool]]:
        """Yield the orders due for a look, their claim's receipt, and if L1 keeps the message.

        The claim's receipt is asked for together with the message: a node that does not
        know the one cannot know the other.
        """
        due = self._looks.due([o for o in orders if o.status is Status.PROVED])
        answers = self._l1.batch([question for order in due for question in self._about(order)])
        for order, receipt, kept in zip(due, answers[::2], answers[1::2], strict=True):
            if not isinstance(receipt, RpcError | None) and not isinstance(kept, RpcError):
                yield order, receipt, L1_TO_L2_MESSAGES.decode(wire.data(kept)) != (0,)

    def _about(self, order: Order) -> list[tuple[str, Sequence[object]]]:
        message = bytes.fromhex(str(order.claim_ref).removeprefix(f"{_KIND}0x"))
        call = {"to": self._messaging, "data": "0x" + L1_TO_L2_MESSAGES.encode(message).hex()}
        return [
            ("eth_getTransactionReceipt", (order.claim_tx,)),
            ("eth_call", (call, "latest")),
        ]

    async def _unpaid(self, node: StarknetNode, orders: Sequence[Order]) -> list[Order]:
        """List the orders that the escrow holds unpaid, in the newest block and behind it."""
        numbers = [order.number for order in orders]
        newest = await node.newest()
        sealed = await views.held(node, self._escrow, numbers, newest)
        shown = await views.held(node, self._escrow, numbers, "pre_confirmed")
        return [
            order
            for order, *states in zip(orders, sealed, shown, strict=True)
            if all(not isinstance(s, Failure) and s.is_of(order) and s.pending for s in states)
        ]


def message_of(
    order: Order, receipt: object, registry: Address, escrow: Address, messaging: Address
) -> TxHash | None:
    """Return the hash of an order's message in the receipt of its claim, or None.

    Source: LogMessageToL2 of Starknet's core contract.
    """
    logs = wire.fields(receipt).get("logs")
    payload = tuple(abi.claim_payload(order))
    topics = [int.from_bytes(LOG_MESSAGE), int(registry, 16), int(escrow, 16), abi.CLAIM]
    for log in map(wire.fields, logs if isinstance(logs, list) else []):
        given = log.get("topics")
        if not isinstance(given, list) or [wire.quantity(topic) for topic in given] != topics:
            continue
        try:
            sent, nonce, _ = decode(["uint256[]", "uint256", "uint256"], wire.data(log.get("data")))
        except (DecodingError, OverflowError):
            continue
        if wire.address(log.get("address")) == messaging and sent == payload:
            hashed = abi.message_hash(topics[1], topics[2], nonce, abi.CLAIM, sent)
            return TxHash(f"0x{hashed.hex()}")
    return None
