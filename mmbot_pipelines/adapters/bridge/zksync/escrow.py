"""The zkSync Escrow's functions and events, encoded and decoded. Pure."""

from dataclasses import dataclass
from datetime import datetime

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.evm.contracts import Function, decode_words
from mmbot_pipelines.adapters.evm.log_range import Log
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address, Wei

GET_ORDER = Function("get_order", ("uint256",), ("address", "uint256", "uint256"))
IS_ORDER_PENDING = Function("is_order_pending", ("uint256",), ("bool",))
REGISTRY = Function("ethereum_payment_registry", (), ("address",))
WALLET = Function("mm_zksync_wallet", (), ("address",))
PAUSED = Function("paused", (), ("bool",))

CLAIM = Function("claim_payment", ("uint256", "address", "uint256"))
CLAIM_BATCH = Function("claim_payment_batch", ("uint256[]", "address[]", "uint256[]"))

SET_ORDER = keccak(text="SetOrder(uint256,address,uint256,uint256)")
CLAIM_PAYMENT = keccak(text="ClaimPayment(uint256,address,uint256)")

_ALIAS_OFFSET = 0x1111000000000000000000000000000000001111


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that the escrow has logged (event ClaimPayment)."""

    number: int
    claimer: Address
    amount: Wei


def aliased(l1_contract: Address) -> Address:
    """Return the address under which zkSync shows a contract of L1.

    Source: zkSync's AddressAliasHelper, modulo 2^160.
    """
    shown = (int(l1_contract, 16) + _ALIAS_OFFSET) % 2**160
    return Address(to_checksum_address(f"0x{shown:040x}"))


def order_set(log: Log, *, origin: str, at: datetime) -> Order:
    """Read an order from a SetOrder event.

    Raises:
        Malformed: the data is not that of the event.
    """
    types = ("uint256", "address", "uint256", "uint256")
    number, recipient, amount, fee = decode_words("SetOrder", types, log.data)
    return Order(
        origin=origin,
        number=number,
        recipient=Address(to_checksum_address(recipient)),
        amount=Wei(amount),
        fee=Wei(fee),
        block=log.block,
        set_order_tx=log.tx,
        changed_at=at,
    )


def payment(log: Log) -> Payment:
    """Read a ClaimPayment event.

    Raises:
        Malformed: the data is not that of the event.
    """
    types = ("uint256", "address", "uint256")
    number, claimer, amount = decode_words("ClaimPayment", types, log.data)
    return Payment(number, Address(to_checksum_address(claimer)), Wei(amount))
