"""What becomes of a claim's message between L1 and Starknet. Reads both chains.

No claim is given up because of one node: a receipt, a consumed message and its execution on
Starknet count when a quorum of nodes shows the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet import registry, views
from mmbot_pipelines.adapters.evm import quorum
from mmbot_pipelines.adapters.evm.contracts import Function, call_trusted_views, refused
from mmbot_pipelines.adapters.evm.log_range import Log, receipt_logs
from mmbot_pipelines.adapters.rpc import decoding, reverts
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.adapters.rpc.health import NodeFault
from mmbot_pipelines.adapters.rpc.node import Answer, RpcError
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.bridge.orders.escrow_errors import ClaimsGoElsewhere, MessageMissing
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import Failure, Malformed, RpcUnavailable, Undelivered
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Block, Event
from mmbot_pipelines.core.text import cleaned

if TYPE_CHECKING:
    from web3.contract.contract import ContractEvent

L1_TO_L2_MESSAGES = Function("l1ToL2Messages", ("bytes32",), ("uint256",))

# Of Starknet's core contract.
_LOG_MESSAGE = {
    "type": "event",
    "name": "LogMessageToL2",
    "anonymous": False,
    "inputs": [
        {"name": "fromAddress", "type": "address", "indexed": True},
        {"name": "toAddress", "type": "uint256", "indexed": True},
        {"name": "selector", "type": "uint256", "indexed": True},
        {"name": "payload", "type": "uint256[]", "indexed": False},
        {"name": "nonce", "type": "uint256", "indexed": False},
        {"name": "fee", "type": "uint256", "indexed": False},
    ],
}

_MESSAGE_SENT = keccak(text="LogMessageToL2(address,uint256,uint256,uint256[],uint256,uint256)")
_TOPICS = 4
_MESSAGE_TYPES = ("uint256[]", "uint256", "uint256")  # payload, nonce, fee


@dataclass(frozen=True, slots=True)
class Sent:
    """A claim's message, as the claim's receipt on L1 shows it."""

    block: Block  # of L1
    message: TxHash | None  # the hash that L1 keeps it under; None: there is no message
    place: int = 0  # among the messages of its transaction
    messages: int = 1  # of its transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Messages of one registry to one escrow. Threads may share it."""

    rpc: StarknetRpc
    l1: Rpc
    registry: Address  # on L1
    escrow: Address
    messaging: Address  # Starknet's core contract on L1

    def sent(self, orders: Sequence[Order]) -> dict[str, Sent]:
        """Return the claims' messages by order; an order is absent where no quorum agrees.

        Raises:
            RpcUnavailable: too few nodes answered.
        """
        if not orders:
            return {}
        from mmbot_pipelines.adapters.evm.web3_contracts import contract  # noqa: PLC0415

        event = contract(self.l1, self.messaging, [_LOG_MESSAGE]).events.LogMessageToL2()
        asked = [("eth_getTransactionReceipt", (o.claim_tx,)) for o in orders]

        def read(poll: Poll) -> list[Sent | None]:
            return [self._sent(event, o, a) for o, a in zip(orders, poll.answers, strict=True)]

        agreed = quorum.each(self.l1, asked, read)
        return {order.key: sent for order, sent in zip(orders, agreed, strict=True) if sent}

    def claimed_in(self, events: Sequence[Event], orders: Sequence[Order]) -> list[bool]:
        """Return whether the registry has sent each order's message, wherever, in a transaction.

        events: of that one transaction.
        """
        sender = int(self.registry, 16).to_bytes(32, "big")
        payloads = [
            _payload(event.data)
            for event in events
            if event.address == self.messaging
            and len(event.topics) == _TOPICS
            and event.topics[:2] == (_MESSAGE_SENT, sender)
        ]
        return [abi.claim_payload(order) in payloads for order in orders]

    def missing(self, order: Order) -> MessageMissing:
        """Return that an order's mined claim has sent no message to our escrow."""
        return MessageMissing(
            f"the claim {order.claim_tx} is mined, but its receipt has no message of "
            f"{self.registry} to the escrow {self.escrow} with {order.key}: does the registry "
            "send to another escrow or function, or is MMBOT_STARKNET_MESSAGING_ADDRESS wrong? "
            "`mmbot doctor` compares them"
        )

    def elsewhere(self) -> ClaimsGoElsewhere | None:
        """Return that the registry sends claims to another escrow or function, or None.

        Raises:
            RpcDisagrees, BlockReplaced, RpcUnavailable: see `quorum.read`; also where what a
                node refuses is no statement about the registry.
        """
        return self._differs({registry.ESCROW: int(self.escrow, 16), registry.SELECTOR: abi.CLAIM})

    def batches_elsewhere(self) -> ClaimsGoElsewhere | None:
        """Return that the registry sends claims of several orders to another function, or None.

        Raises:
            RpcDisagrees, BlockReplaced, RpcUnavailable: see `elsewhere`.
        """
        return self._differs({registry.BATCH_SELECTOR: abi.CLAIM_BATCH})

    def _differs(self, asked: Mapping[Function, int]) -> ClaimsGoElsewhere | None:
        calls = [(self.registry, function.encode()) for function in asked]
        answers = call_trusted_views(self.l1, calls, quorum.now(self.l1))
        for (function, expected), answer in zip(asked.items(), answers, strict=True):
            name = f"{function.name}() of the registry {self.registry}"
            if isinstance(answer, RpcError):
                if reverts.reason(answer) is None:
                    raise RpcUnavailable(f"{name} cannot be read: {answer}")
                return ClaimsGoElsewhere(f"{name} fails: it sends no claims to Starknet")
            try:
                (found,) = function.decode(answer)
            except Malformed as e:
                return ClaimsGoElsewhere(f"{name} does not answer a number: {e}")
            if found != expected:
                return ClaimsGoElsewhere(
                    f"{name} is {found:#x}, not "
                    f"{expected:#x}: nothing that is claimed would reach {self.escrow}; ask the "
                    "registry's owner, or set MMBOT_STARKNET_ESCROW_ADDRESS"
                )
        return None

    def consumed(self, sent: Mapping[str, Sent]) -> set[str]:
        """Return the orders whose messages L1 has consumed, in a finalized block.

        Raises:
            RpcDisagrees, BlockReplaced, RpcUnavailable: see `quorum.read`.
            RpcRefused: the core contract does not answer.
        """
        final = quorum.newest(self.l1, "finalized") if sent else None
        if final is None:
            return set()
        old = {key: s for key, s in sent.items() if s.block.number <= final.number}
        calls = [
            (self.messaging, L1_TO_L2_MESSAGES.encode(bytes.fromhex(str(s.message)[2:])))
            for s in old.values()
        ]
        answers = call_trusted_views(self.l1, calls, final) if calls else []
        return {key for key, answer in zip(old, answers, strict=True) if self._is_gone(answer)}

    def failed(self, orders: Sequence[Order], sent: Mapping[str, Sent]) -> dict[str, Undelivered]:
        """Return the claims that Starknet executed without effect, where a quorum agrees.

        sent: their messages, by the orders' keys.
        """
        if not orders:
            return {}

        def asked(node: StarknetNode) -> list[str | None]:
            failed = self._failed(node, orders, sent)
            return [failed.get(order.key) for order in orders]

        reported = self.rpc.columns(asked, lambda why: str(why is None))
        return {
            order.key: Undelivered(
                f"the claim's {order.claim_ref} is consumed on L1, but the escrow has not paid: "
                f"its execution on Starknet failed: {why[0]}"
            )
            for order, why in zip(orders, reported, strict=True)
            if None not in why
        }

    def _sent(self, event: "ContractEvent", order: Order, answer: Answer) -> Sent | None:
        """Read a receipt of a claim; None: it is not mined, or it reverted."""
        if answer is None or isinstance(answer, RpcError):
            return None
        receipt = decoding.fields(answer)
        if decoding.quantity(receipt.get("status")) != 1:
            return None
        block = Block(
            decoding.quantity(receipt.get("blockNumber")), decoding.hash32(receipt.get("blockHash"))
        )
        logs = receipt_logs(receipt, TxHash(str(order.claim_tx)))
        return self._message_of(event, order, block, logs)

    def _message_of(
        self, event: "ContractEvent", order: Order, block: Block, logs: Sequence[Log]
    ) -> Sent:
        """Return an order's message in the logs of its claim."""
        from mmbot_pipelines.adapters.evm.web3_contracts import decoded  # noqa: PLC0415

        sender, to = int(self.registry, 16), int(self.escrow, 16)
        messages = decoded(event, logs)
        for place, sent in enumerate(messages):
            selector, payload = sent["selector"], sent["payload"]
            ours = (int(sent["fromAddress"], 16), sent["toAddress"]) == (sender, to)
            if ours and abi.claims(selector, payload, order):
                hashed = abi.message_hash(sender, to, sent["nonce"], selector, payload)
                return Sent(block, TxHash(f"0x{hashed.hex()}"), place, len(messages))
        return Sent(block, None)

    def _is_gone(self, answer: bytes | RpcError) -> bool:
        if isinstance(answer, RpcError):
            raise refused(answer, f"l1ToL2Messages of Starknet's core contract {self.messaging}")
        return L1_TO_L2_MESSAGES.decode(answer) == (0,)

    def _failed(
        self, node: StarknetNode, orders: Sequence[Order], sent: Mapping[str, Sent]
    ) -> dict[str, str]:
        """Return the orders that the escrow holds unpaid though their message failed, and why."""
        numbers = [order.number for order in orders]
        newest = node.newest()
        sealed = views.held(node, self.escrow, numbers, newest)
        shown = views.held(node, self.escrow, numbers, "pre_confirmed")
        failed: dict[str, str] = {}
        for order, *states in zip(orders, sealed, shown, strict=True):
            if all(not isinstance(s, Failure) and s.is_of(order) and s.pending for s in states):
                why = _why_failed(self._statuses(node, order), sent[order.key])
                if why is not None:
                    failed[order.key] = why
        return failed

    def _statuses(self, node: StarknetNode, order: Order) -> list[dict[str, Any]]:
        try:
            return node.messages(str(order.claim_tx))
        except (RpcError, NodeFault):
            return []  # the node does not know, or has no such method: nothing is proven


def _why_failed(handlers: Sequence[dict[str, Any]], sent: Sent) -> str | None:
    """Return why a message failed on Starknet, or None where it did not.

    handlers: of all messages of its transaction, in their order.
    """
    if len(handlers) != sent.messages:
        return None
    status = handlers[sent.place]
    accepted = status["finality_status"] in ("ACCEPTED_ON_L2", "ACCEPTED_ON_L1")
    if not accepted or status["execution_status"] != "REVERTED":
        return None
    return cleaned(status.get("failure_reason") or "no reason is given")


def _payload(data: bytes) -> list[int]:
    """Return the payload of a logged message; nothing where the data is none."""
    try:
        payload, _, _ = decode(_MESSAGE_TYPES, data)
    except (DecodingError, OverflowError):
        return []
    return list(payload)
