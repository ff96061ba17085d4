"""The contracts of the local Starknet: accounts, facts registry, and the Escrow.

The Escrow has the states, events and refusals of the deployed one. `emit` exists only here: it
lets a test put an event of any shape under the escrow's address. A real facts registry believes
proofs; this one believes its owner, who acts for `devnet_proveSlot`.
"""

from dataclasses import dataclass

from starknet_py.hash.address import compute_address
from starknet_py.hash.utils import private_to_stark_key, verify_message_signature

from mmbot_pipelines.devnet.starknet.execution import Calldata, EntryPoint, Frame, contract, panic
from mmbot_pipelines.devnet.starknet.felt import (
    halves,
    joined,
    pseudo_hash,
    selector_of,
    short_string,
)
from mmbot_pipelines.devnet.starknet.token import ETH, only_owner

ESCROW_ADDRESS = pseudo_hash("contract", "Escrow")
FACTS_ADDRESS = pseudo_hash("contract", "FactsRegistry")
_SOME, _NONE = 0, 1  # variants of Cairo's Option


def execute(frame: Frame, args: Calldata) -> list[int]:
    if frame.caller != 0:
        raise panic("Account: invalid caller")
    results: list[int] = []
    calls = _calls(args)
    for address, selector, calldata in calls:
        answer = frame.execution.call(frame.address, address, selector, calldata)
        results += [len(answer), *answer]
    return [len(calls), *results]


def validate(frame: Frame, args: Calldata) -> list[int]:
    _calls(args)
    execution = frame.execution
    key = frame.read("public_key")
    if len(execution.signature) != 2 or 0 in execution.signature:
        raise panic("Account: invalid signature")
    if not verify_message_signature(execution.transaction_hash, list(execution.signature), key):
        raise panic("Account: invalid signature")
    return [short_string("VALID")]


def _calls(args: Calldata) -> list[tuple[int, int, list[int]]]:
    calls = [(args.felt(), args.felt(), args.array()) for _ in range(args.felt(2**32))]
    args.end()
    return calls


def is_valid_signature(frame: Frame, args: Calldata) -> list[int]:
    """Return VALID or zero, as SNIP-6 defines."""
    message, signature = args.felt(), args.array()
    args.end()
    if len(signature) != 2 or 0 in signature:
        return [0]
    valid = verify_message_signature(message, signature, frame.read("public_key"))
    return [short_string("VALID") if valid else 0]


EXECUTE, VALIDATE = selector_of("__execute__"), selector_of("__validate__")
ACCOUNT = contract("Account", [is_valid_signature], __execute__=execute, __validate__=validate)


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


def get_slot_value(frame: Frame, args: Calldata) -> list[int]:
    place = (args.eth_address(), args.u256(), args.u256())
    args.end()
    if not frame.read("known", *place):
        return [_NONE]
    return [_SOME, *halves(frame.read("values", *place))]


def set_slot_value(frame: Frame, args: Calldata) -> list[int]:
    place, value = (args.eth_address(), args.u256(), args.u256()), args.u256()
    args.end()
    only_owner(frame)
    frame.write("known", *place, value=1)
    frame.write("values", *place, value=value)
    return []


FACTS = contract("FactsRegistry", [get_slot_value, set_slot_value])


def not_paused(frame: Frame) -> None:
    if frame.read("paused"):
        raise panic("Pausable: paused")


def set_order(frame: Frame, args: Calldata) -> list[int]:
    """Lock amount + fee of the caller's ETH and open the next order."""
    recipient, amount, fee = args.eth_address(), args.u256(), args.u256()
    args.end()
    not_paused(frame)
    if amount == 0:
        raise panic("Amount must > 0")
    payment = amount + fee
    if payment >= 2**256:
        raise panic("u256_add Overflow")
    if joined(*frame.call(ETH, "allowance", frame.caller, frame.address)) < payment:
        raise panic("Not enough allowance")
    if joined(*frame.call(ETH, "balanceOf", frame.caller)) < payment:
        raise panic("Not enough balance")
    number = frame.read("current_order_id")
    for member, value in (("recipient", recipient), ("amount", amount), ("fee", fee)):
        frame.write(member, number, value=value)
    frame.write("pending", number, value=1)
    frame.write("current_order_id", value=number + 1)
    frame.call(ETH, "transferFrom", frame.caller, frame.address, *halves(payment))
    data = [*halves(number), recipient, *halves(amount), *halves(fee)]
    frame.emit([selector_of("SetOrder")], data)
    return halves(number)


def claim_payment(frame: Frame, args: Calldata) -> list[int]:
    """Pay the market maker for one order, on a message from the L1 registry."""
    registry, claim = args.felt(), (args.u256(), args.eth_address(), args.u256())
    args.end()
    not_paused(frame)
    _claim_one(frame, registry, *claim)
    return []


def claim_payment_batch(frame: Frame, args: Calldata) -> list[int]:
    """Pay the market maker for several orders, or for none of them."""
    registry, count = args.felt(), args.felt(2**32)
    claims = [(args.u256(), args.eth_address(), args.u256()) for _ in range(count)]
    args.end()
    not_paused(frame)
    for claim in claims:
        _claim_one(frame, registry, *claim)
    return []


def _claim_one(frame: Frame, registry: int, number: int, recipient: int, amount: int) -> None:
    if registry != frame.read("registry"):
        raise panic("Only PAYMENT_REGISTRY_CONTRACT")
    _pay_out(frame, number, recipient, amount)


def withdraw(frame: Frame, args: Calldata) -> list[int]:
    """Pay the market maker for an order whose transfer on L1 is a proven fact.

    block, slot: of L1, where the registry's record of the transfer begins.
    """
    number, block, slot = args.u256(), args.u256(), args.u256()
    args.end()
    not_paused(frame)
    if not frame.read("pending", number):
        raise panic("Order withdrew or nonexistent")
    recipient, amount, used = (_proven(frame, block, slot + member) for member in range(3))
    if used % 2**8 != 1:
        raise panic("Transfer not found")
    _pay_out(frame, number, recipient, amount)
    return []


def _proven(frame: Frame, block: int, slot: int) -> int:
    """Return what the L1 registry had in a slot after a block, if that is proven."""
    place = (frame.read("registry"), *halves(block), *halves(slot))
    option = frame.call(FACTS_ADDRESS, "get_slot_value", *place)
    if option[0] == _NONE:
        raise panic("Slot is not proven")
    return joined(*option[1:])


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


def get_order(frame: Frame, args: Calldata) -> list[int]:
    number = args.u256()
    args.end()
    amount, fee = frame.read("amount", number), frame.read("fee", number)
    return [frame.read("recipient", number), *halves(amount), *halves(fee)]


def get_order_pending(frame: Frame, args: Calldata) -> list[int]:
    number = args.u256()
    args.end()
    return [frame.read("pending", number)]


def _view(variable: str) -> EntryPoint:
    def read(frame: Frame, args: Calldata) -> list[int]:
        args.end()
        return [frame.read(variable)]

    return read


def _setter(variable: str) -> EntryPoint:
    def write(frame: Frame, args: Calldata) -> list[int]:
        only_owner(frame)
        not_paused(frame)
        frame.write(variable, value=args.felt())
        args.end()
        return []

    return write


def pause(frame: Frame, args: Calldata) -> list[int]:
    args.end()
    only_owner(frame)
    not_paused(frame)
    frame.write("paused", value=1)
    return []


def unpause(frame: Frame, args: Calldata) -> list[int]:
    args.end()
    only_owner(frame)
    if not frame.read("paused"):
        raise panic("Pausable: not paused")
    frame.write("paused", value=0)
    return []


def emit(frame: Frame, args: Calldata) -> list[int]:
    keys, data = args.array(), args.array()
    args.end()
    only_owner(frame)
    frame.emit(keys, data)
    return []


ESCROW = contract(
    "Escrow",
    [set_order, withdraw, get_order, get_order_pending, pause, unpause, emit],
    is_paused=_view("paused"),
    get_eth_transfer_contract=_view("registry"),
    get_mm_starknet_contract=_view("wallet"),
    set_eth_transfer_contract=_setter("registry"),
    set_mm_starknet_contract=_setter("wallet"),
    l1_claim_payment=claim_payment,
    l1_claim_payment_batch=claim_payment_batch,
)
