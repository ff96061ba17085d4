"""The contracts of the local Starknet: development accounts, and the Escrow.

The Escrow has the states, events and refusals of the deployed one. What the deployed one asks of
a registry of proven facts stands in its own storage here.
"""

from dataclasses import dataclass
from typing import Annotated

from starknet_py.cairo.data_types import ArrayType, FeltType, TupleType, UintType
from starknet_py.cairo.felt import encode_shortstring
from starknet_py.hash.address import compute_address
from starknet_py.hash.utils import private_to_stark_key, verify_message_signature

from mmbot_pipelines.devnet.starknet.execution import (
    U256,
    EthAddress,
    Felt,
    Felts,
    Frame,
    contract,
    panic,
)
from mmbot_pipelines.devnet.starknet.felt import halves, pseudo_hash, selector_of
from mmbot_pipelines.devnet.starknet.token import ETH

ESCROW_ADDRESS = pseudo_hash("contract", "Escrow")
EXECUTE, VALIDATE = selector_of("__execute__"), selector_of("__validate__")
_FELT, _UINT160, _UINT256 = FeltType(), UintType(160), UintType(256)
Calls = Annotated[
    list[tuple[int, int, list[int]]],  # contract, selector, calldata
    ArrayType(TupleType([_FELT, _FELT, ArrayType(_FELT)])),
]
Answers = Annotated[list[list[int]], ArrayType(ArrayType(_FELT))]
Claims = Annotated[
    list[tuple[int, int, int]],  # number, recipient, amount
    ArrayType(TupleType([_UINT256, _UINT160, _UINT256])),
]
Terms = Annotated[tuple[int, int, int], TupleType([_UINT160, _UINT256, _UINT256])]


def __execute__(frame: Frame, calls: Calls) -> Answers:  # noqa: N807  the protocol's name
    return [frame.execution.call(frame.address, *call) for call in calls]


def __validate__(frame: Frame, calls: Calls) -> Felt:  # noqa: N807
    execution = frame.execution
    if not is_valid_signature(frame, execution.transaction_hash, list(execution.signature)):
        raise panic("Account: invalid signature")
    return encode_shortstring("VALID")


def is_valid_signature(frame: Frame, message: Felt, signature: Felts) -> Felt:
    """Return VALID or zero, as SNIP-6 defines."""
    if len(signature) != 2 or 0 in signature:
        return 0
    valid = verify_message_signature(message, signature, frame.read("public_key"))
    return encode_shortstring("VALID") if valid else 0


ACCOUNT = contract("Account", [__execute__, __validate__, is_valid_signature])


@dataclass(frozen=True, slots=True)
class Keys:
    """A development key and its account's address; worthless anywhere else."""

    private_key: int
    public_key: int
    address: int


def development_keys(number: int) -> Keys:
    """Return the `number`-th development account, the same on every start."""
    private_key = pseudo_hash("mmbot devnet account", number)
    public_key = private_to_stark_key(private_key)
    address = compute_address(
        class_hash=ACCOUNT.class_hash, constructor_calldata=[public_key], salt=public_key
    )
    return Keys(private_key, public_key, address)


def set_order(frame: Frame, recipient: EthAddress, amount: U256, fee: U256) -> U256:
    """Lock amount + fee of the caller's ETH and open the next order."""
    _require_not_paused(frame)
    if amount == 0:
        raise panic("Amount must > 0")
    number = int(frame.read("current_order_id"))
    for member, value in (("recipient", recipient), ("amount", amount), ("fee", fee)):
        frame.write(member, number, value=value)
    frame.write("pending", number, value=1)
    frame.write("current_order_id", value=number + 1)
    frame.call(ETH, "transferFrom", frame.caller, frame.address, *halves(amount + fee))
    data = [*halves(number), recipient, *halves(amount), *halves(fee)]
    frame.emit([selector_of("SetOrder")], data)
    return number


def claim_payment(
    frame: Frame, registry: Felt, number: U256, recipient: EthAddress, amount: U256
) -> None:
    """Pay the market maker for one order, on a message from the L1 registry."""
    _require_not_paused(frame)
    if registry != frame.read("registry"):
        raise panic("Only PAYMENT_REGISTRY_CONTRACT")
    _pay_out(frame, number, recipient, amount)


def claim_payment_batch(frame: Frame, registry: Felt, orders: Claims) -> None:
    """Pay the market maker for several orders, or for none of them: paused or not, as deployed."""
    if registry != frame.read("registry"):
        raise panic("Only PAYMENT_REGISTRY_CONTRACT")
    for number, recipient, amount in orders:
        _pay_out(frame, number, recipient, amount)


def withdraw(frame: Frame, number: U256, block: U256, slot: U256) -> None:
    """Pay the market maker for an order whose transfer on L1 is a proven fact.

    block, slot: of L1, where the registry's record of the transfer begins.
    """
    _require_not_paused(frame)
    if not frame.read("pending", number):
        raise panic("Order withdrew or nonexistent")
    registry = frame.read("registry")
    facts = [frame.read("proven", registry, block, slot + member) for member in range(3)]
    if 0 in facts:
        raise panic("Slot is not proven")
    recipient, amount, _ = facts
    _pay_out(frame, number, recipient, amount)


def _require_not_paused(frame: Frame) -> None:
    if frame.read("paused"):
        raise panic("Pausable: paused")


def _pay_out(frame: Frame, number: int, recipient: int, amount: int) -> None:
    if not frame.read("pending", number):
        raise panic("Order withdrew or nonexistent")
    if recipient != frame.read("recipient", number):
        raise panic("recipient_address not match L1")
    if amount != frame.read("amount", number):
        raise panic("amount not match L1")
    frame.write("pending", number, value=0)
    wallet = frame.read("wallet")
    frame.call(ETH, "transfer", wallet, *halves(amount + frame.read("fee", number)))
    frame.emit([selector_of("ClaimPayment")], [*halves(number), wallet, *halves(amount)])


def get_order(frame: Frame, number: U256) -> Terms:
    recipient, amount, fee = (
        frame.read(member, number) for member in ("recipient", "amount", "fee")
    )
    return recipient, amount, fee


def get_order_pending(frame: Frame, number: U256) -> Felt:
    return int(frame.read("pending", number))


def is_paused(frame: Frame) -> Felt:
    return int(frame.read("paused"))


def get_eth_transfer_contract(frame: Frame) -> Felt:
    return int(frame.read("registry"))


def get_mm_starknet_contract(frame: Frame) -> Felt:
    return int(frame.read("wallet"))


ESCROW = contract(
    "Escrow",
    [
        *(set_order, withdraw, get_order, get_order_pending),
        *(is_paused, get_eth_transfer_contract, get_mm_starknet_contract),
    ],
    l1_handlers=[claim_payment, claim_payment_batch],
)
