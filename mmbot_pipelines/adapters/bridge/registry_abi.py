"""What distinguishes the versions of the PaymentRegistry's ABI. Pure.

A version is data: function types, how a transfer's key is packed, what its event holds.
"""

from dataclasses import dataclass

from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.evm.contracts import Function, decode_words
from mmbot_pipelines.adapters.evm.log_range import Log
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.core.errors import Malformed
from mmbot_pipelines.core.outbox import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedTransfer:
    """What one Transfer event says."""

    number: int
    recipient: int
    amount: int  # wei
    chain: int
    used: bool


@dataclass(frozen=True, kw_only=True)
class RegistryAbi:
    """One version."""

    name: str  # as in MMBOT_L1_REGISTRY_ABI
    transfer: Function
    transfers: Function
    transferred: bytes  # topic of the event Transfer
    event_types: tuple[str, ...]  # of its data; the order's id is a topic
    event_fields: tuple[str, ...]
    recipient_bytes: int  # in a transfer's key
    chain_bytes: int

    def chain(self, origin: str) -> int:
        """Return the number that this version has for an origin."""
        return ORIGINS[origin][self.name]

    def recipient(self, order: Order) -> int | str:
        """Return an order's recipient as a call's argument: a number in v1, an address in v2."""
        return int(order.recipient, 16) if self.recipient_bytes == 32 else order.recipient

    def key(self, order: Order) -> bytes:
        """Return the key of an order's transfer: keccak of order id, recipient, amount, chain.

        Packed. Source: PaymentRegistry, mapping `transfers`.
        """
        recipient = int(order.recipient, 16)
        return self._key(order.number, recipient, order.amount, self.chain(order.origin))

    def key_of(self, logged: LoggedTransfer) -> bytes:
        """Return the key of a transfer that an event is of."""
        return self._key(logged.number, logged.recipient, logged.amount, logged.chain)

    def is_used(self, returned: bytes) -> bool:
        """Read what `transfers` returned.

        Raises:
            Malformed: it is not of this version.
        """
        words = self.transfers.decode(returned)
        return bool(words[0] if len(words) == 1 else words[2])

    def logged(self, log: Log | Event) -> LoggedTransfer:
        """Read a Transfer event.

        Raises:
            Malformed: it is none of this version.
        """
        if len(log.topics) != 2:
            raise Malformed(f"Transfer: {len(log.topics)} topics instead of 2")
        words = decode_words("Transfer", self.event_types, log.data)
        fields = dict(zip(self.event_fields, words, strict=True))
        return LoggedTransfer(
            number=int.from_bytes(log.topics[1]),
            recipient=int(str(fields["recipient"]), 0),
            amount=fields["amount"],
            chain=fields["chain"],
            used=fields.get("used", True),
        )

    def _key(self, number: int, recipient: int, amount: int, chain: int) -> bytes:
        return keccak(
            number.to_bytes(32, "big")
            + recipient.to_bytes(self.recipient_bytes, "big")
            + amount.to_bytes(32, "big")
            + chain.to_bytes(self.chain_bytes, "big")
        )


V1 = RegistryAbi(
    name="v1",
    transfer=Function("transfer", ("uint256", "uint256", "uint8")),
    transfers=Function("transfers", ("bytes32",), ("uint256", "uint256", "bool", "uint8")),
    transferred=keccak(text="Transfer(uint256,address,(uint256,uint256,bool,uint8))"),
    event_types=("address", "uint256", "uint256", "bool", "uint8"),
    event_fields=("source", "recipient", "amount", "used", "chain"),
    recipient_bytes=32,
    chain_bytes=1,
)

V2 = RegistryAbi(
    name="v2",
    transfer=Function("transfer", ("uint256", "address", "uint128")),
    transfers=Function("transfers", ("bytes32",), ("bool",)),
    transferred=keccak(text="Transfer(uint256,address,address,uint256,uint128)"),
    event_types=("address", "address", "uint256", "uint128"),
    event_fields=("source", "recipient", "amount", "chain"),
    recipient_bytes=20,
    chain_bytes=16,
)

ABIS = {abi.name: abi for abi in (V1, V2)}
