"""The Starknet Escrow's functions, events and messages, encoded and decoded. Pure.

A u256 goes as two felts of 128 bits, the low half first; an address of L1 as one felt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from starknet_py.hash.selector import get_selector_from_name

from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import Malformed
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block

GET_ORDER = get_selector_from_name("get_order")
GET_ORDER_PENDING = get_selector_from_name("get_order_pending")
REGISTRY = get_selector_from_name("get_eth_transfer_contract")
WALLET = get_selector_from_name("get_mm_starknet_contract")
PAUSED = get_selector_from_name("is_paused")

SET_ORDER = get_selector_from_name("SetOrder")
CLAIM_PAYMENT = get_selector_from_name("ClaimPayment")
CLAIM = get_selector_from_name("claim_payment")  # the l1_handler
CLAIM_BATCH = get_selector_from_name("claim_payment_batch")  # of several orders, all or none

_U128 = 2**128
_ADDRESSES = 2**160


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event that the escrow has logged."""

    keys: tuple[int, ...]
    data: tuple[int, ...]
    block: Block
    tx: TxHash
    index: int  # in its block


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that the escrow has logged (event ClaimPayment)."""

    number: int
    wallet: Address
    amount: Wei


class Felts:
    """A reader of felts in sequence.

    Every method raises Malformed where felts are missing, left over or out of range.
    """

    def __init__(self, name: str, values: Sequence[int], count: int) -> None:
        if len(values) != count:
            raise Malformed(f"{name}: {len(values)} felts of data instead of {count}")
        self._name = name
        self._values = iter(values)

    def felt(self, below: int | None = None, *, what: str = "") -> int:
        """Read one felt."""
        value = next(self._values)
        if below is not None and not 0 <= value < below:
            raise Malformed(f"{self._name}: {value:#x} is not {what}")
        return value

    def u256(self) -> int:
        """Read a whole number of 256 bits."""
        low, high = (self.felt(_U128, what="half of a u256") for _ in range(2))
        return (high << 128) + low

    def boolean(self) -> bool:
        """Read true or false."""
        return bool(self.felt(2, what="a bool"))

    def wallet(self) -> Address:
        """Read an address of Starknet."""
        return Address(word(self.felt()))

    def eth_address(self) -> Address:
        """Read an address of L1, checksummed; the zero address is one too."""
        value = self.felt(_ADDRESSES, what="an address of L1")
        return Address(to_checksum_address(f"0x{value:040x}"))


def halves(value: int) -> tuple[int, int]:
    """Split a u256 as Starknet carries it: the low half first."""
    return value % _U128, value >> 128


def claim_payload(order: Order) -> list[int]:
    """Return what a claim's message carries for an order: id, recipient, amount."""
    return [*halves(order.number), int(order.recipient, 16), *halves(order.amount)]


def batch_payload(orders: Sequence[Order]) -> list[int]:
    """Return what a claim's message carries for several orders: their count, then each."""
    return [len(orders), *(felt for order in orders for felt in claim_payload(order))]


def claims(selector: int, payload: Sequence[int], order: Order) -> bool:
    """Return whether a message to the escrow claims this very order."""
    wanted = claim_payload(order)
    if selector == CLAIM:
        return list(payload) == wanted
    size = len(wanted)
    starts = range(1, len(payload), size)
    counted = selector == CLAIM_BATCH and list(payload[:1]) == [len(starts)]
    return counted and any(list(payload[i : i + size]) == wanted for i in starts)


def message_hash(sender: int, to: int, nonce: int, selector: int, payload: Sequence[int]) -> bytes:
    """Return the hash under which L1 keeps a message to Starknet.

    Source: Starknet's core contract, keccak256 of every item as a uint256.
    """
    items = (sender, to, nonce, selector, len(payload), *payload)
    return keccak(b"".join(item.to_bytes(32, "big") for item in items))


def order_set(event: Event, *, origin: str, at: datetime) -> Order:
    """Read an order from a SetOrder event.

    Raises:
        Malformed: the event is not what it claims to be.
    """
    if len(event.keys) != 1:
        raise Malformed(f"SetOrder: {len(event.keys)} keys instead of 1")
    felts = Felts("SetOrder", event.data, 7)
    number, recipient, amount, fee = felts.u256(), felts.eth_address(), felts.u256(), felts.u256()
    if int(recipient, 16) == 0:
        raise Malformed("SetOrder: the recipient is the zero address")
    return Order(
        origin=origin,
        number=number,
        recipient=recipient,
        amount=Wei(amount),
        fee=Wei(fee),
        block=event.block,
        set_order_tx=event.tx,
        changed_at=at,
    )


def payment(event: Event) -> Payment:
    """Read a ClaimPayment event.

    Raises:
        Malformed: the event is not what it claims to be.
    """
    felts = Felts("ClaimPayment", event.data, 5)
    return Payment(felts.u256(), felts.wallet(), Wei(felts.u256()))
