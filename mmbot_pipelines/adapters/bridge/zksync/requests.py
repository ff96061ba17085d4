"""What our registry has asked zkSync's diamond for, as receipts on L1 show it. Reads L1.

The diamond logs each message with its sender: others can send messages in the same transaction,
for a recipient's own code runs in a transfer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.bridge.zksync import escrow as abi
from mmbot_pipelines.adapters.bridge.zksync.diamond import REQUEST_TYPES
from mmbot_pipelines.adapters.evm import quorum
from mmbot_pipelines.adapters.evm.log_range import Log, receipt_logs
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcError
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Event

_NEW_PRIORITY_REQUEST = keccak(text=f"NewPriorityRequest({','.join(REQUEST_TYPES)})")
_SENDER, _DATA = 1, 11  # in the logged transaction


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the registry to the escrow."""

    tx: TxHash  # that executes it on the L2
    data: bytes  # of the call that it makes

    @property
    def number(self) -> int | None:
        """Return the number of the one order that it claims; None: it claims several."""
        is_single = self.data[:4] == abi.CLAIM.selector
        return int.from_bytes(self.data[4:36]) if is_single else None

    def claims(self, order: Order) -> bool:
        """Return whether it claims this very order alone, wherever it is sent."""
        wanted = abi.CLAIM.encode(order.number, order.recipient, order.amount)
        return self.data[4:] == wanted[4:]


def messages(events: Iterable[Event | Log], diamond: Address, registry: Address) -> list[Message]:
    """Return the messages of a registry among the events of one transaction, in their order."""
    sender = int(abi.aliased(registry), 16)
    found = []
    for event in events:
        if event.address != diamond or event.topics != (_NEW_PRIORITY_REQUEST,):
            continue
        try:
            _, tx, _, request, _ = decode(REQUEST_TYPES, event.data)
        except (DecodingError, OverflowError):
            continue  # not of the event's types
        if request[_SENDER] == sender:
            found.append(Message(TxHash("0x" + tx.hex()), request[_DATA]))
    return found


def of_claims(
    l1: Rpc, claims: Sequence[TxHash], diamond: Address, registry: Address
) -> list[Sequence[Message]]:
    """Return the messages that each mined claim has sent; none where that is unknown.

    Raises:
        RpcUnavailable: too few nodes answered.
    """

    def sent(tx: TxHash, answer: Answer) -> tuple[Message, ...]:
        if answer is None or isinstance(answer, RpcError):
            return ()
        return tuple(messages(receipt_logs(decoding.fields(answer), tx), diamond, registry))

    def read(poll: Poll) -> list[tuple[Message, ...]]:
        return list(map(sent, claims, poll.answers))

    asked = [("eth_getTransactionReceipt", (tx,)) for tx in claims]
    return [agreed or () for agreed in quorum.each(l1, asked, read)]
