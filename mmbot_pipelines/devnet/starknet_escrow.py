"""The Escrow of the local Starknet, with the states, events and refusals of the deployed one.

Orders are kept under the deployed contract's storage variables. `emit` exists only
here: it lets a test put an event of any shape under the escrow's address.
"""

from mmbot_pipelines.devnet.starknet_abi import (
    ADDRESS,
    BOOL,
    ETH_ADDRESS,
    FELT,
    U256,
    contract,
    event,
    function,
    l1_handler,
    struct,
)
from mmbot_pipelines.devnet.starknet_execution import Calldata, Frame, panic, selector_of
from mmbot_pipelines.devnet.starknet_facts import NONE
from mmbot_pipelines.devnet.starknet_felt import halves, joined, pseudo_hash

ESCROW_ADDRESS = pseudo_hash("contract", "Escrow")
ORDER = "yab::escrow::Order"

RECIPIENT, AMOUNT, FEE = 0, 1, 3  # offsets of the order's members in storage


def whole(first: int, second: int) -> int:
    """Add two u256, refusing what does not fit."""
    if first + second >= 2**256:
        raise panic("u256_add Overflow")
    return first + second


def not_paused(frame: Frame) -> None:
    if frame.read("Pausable_paused"):
        raise panic("Pausable: paused")


def only_owner(frame: Frame) -> None:
    if frame.caller != frame.read("Ownable_owner"):
        raise panic("Caller is not the owner")


def set_order(frame: Frame, args: Calldata) -> list[int]:
    """Lock amount + fee of the caller's ETH and open the next order."""
    recipient, amount, fee = args.eth_address(), args.u256(), args.u256()
    args.end()
    not_paused(frame)
    if amount == 0:
        raise panic("Amount must > 0")
    token, payment = frame.read("native_token_eth_starknet"), whole(amount, fee)
    if joined(*frame.call(token, "allowance", [frame.caller, frame.address])) < payment:
        raise panic("Not enough allowance")
    if joined(*frame.call(token, "balanceOf", [frame.caller])) < payment:
        raise panic("Not enough balance")
    number = frame.read_u256("current_order_id")
    order_id = halves(number)
    frame.write("orders", *order_id, value=recipient, offset=RECIPIENT)
    frame.write_u256("orders", *order_id, value=amount, offset=AMOUNT)
    frame.write_u256("orders", *order_id, value=fee, offset=FEE)
    frame.write("orders_pending", *order_id, value=1)
    frame.write_u256("current_order_id", value=number + 1)
    frame.call(token, "transferFrom", [frame.caller, frame.address, *halves(payment)])
    data = [*order_id, recipient, *halves(amount), *halves(fee)]
    frame.emit([selector_of("SetOrder")], data)
    return order_id


def claim_payment(frame: Frame, args: Calldata) -> list[int]:
    """Pay the market maker for one order that the L1 registry says is paid."""
    registry, claim = args.felt(), (args.u256(), args.eth_address(), args.u256())
    args.end()
    not_paused(frame)
    claim_one(frame, registry, *claim)
    return []


def claim_payment_batch(frame: Frame, args: Calldata) -> list[int]:
    """Pay the market maker for several orders, or for none of them."""
    registry, count = args.felt(), args.felt(2**32)
    claims = [(args.u256(), args.eth_address(), args.u256()) for _ in range(count)]
    args.end()
    not_paused(frame)
    for claim in claims:
        claim_one(frame, registry, *claim)
    return []


def claim_one(frame: Frame, registry: int, number: int, recipient: int, amount: int) -> None:
    order_id = halves(number)
    if registry != frame.read("eth_transfer_contract"):
        raise panic("Only PAYMENT_REGISTRY_CONTRACT")
    if not frame.read("orders_pending", *order_id):
        raise panic("Order withdrew or nonexistent")
    if recipient != frame.read("orders", *order_id, offset=RECIPIENT):
        raise panic("recipient_address not match L1")
    if amount != frame.read_u256("orders", *order_id, offset=AMOUNT):
        raise panic("amount not match L1")
    pay_out(frame, order_id)


def withdraw(frame: Frame, args: Calldata) -> list[int]:
    """Pay the market maker for an order whose transfer on L1 is a proven fact.

    block, slot: of L1, where the registry's record of the transfer begins.
    """
    number, block, slot = args.u256(), args.u256(), args.u256()
    args.end()
    not_paused(frame)
    order_id = halves(number)
    if not frame.read("orders_pending", *order_id):
        raise panic("Order withdrew or nonexistent")
    recipient, amount, used = (proven(frame, block, slot + member) for member in range(3))
    if recipient != frame.read("orders", *order_id, offset=RECIPIENT):
        raise panic("recipient_address not match L1")
    if amount != frame.read_u256("orders", *order_id, offset=AMOUNT):
        raise panic("amount not match L1")
    if used % 2**8 != 1:
        raise panic("Transfer not found")
    pay_out(frame, order_id)
    return []


def proven(frame: Frame, block: int, slot: int) -> int:
    """Return what the L1 registry had in a slot after a block, if that is proven."""
    registry = frame.read("eth_transfer_contract")
    facts = frame.read("herodotus_facts_registry")
    option = frame.call(facts, "get_slot_value", [registry, *halves(block), *halves(slot)])
    if option[0] == NONE:
        raise panic("Slot is not proven")
    return joined(*option[1:])


def pay_out(frame: Frame, order_id: list[int]) -> None:
    frame.write("orders_pending", *order_id, value=0)
    amount = frame.read_u256("orders", *order_id, offset=AMOUNT)
    payment = whole(amount, frame.read_u256("orders", *order_id, offset=FEE))
    wallet = frame.read("mm_starknet_wallet")
    frame.call(frame.read("native_token_eth_starknet"), "transfer", [wallet, *halves(payment)])
    frame.emit([selector_of("ClaimPayment")], [*order_id, wallet, *halves(amount)])


def get_order(frame: Frame, args: Calldata) -> list[int]:
    order_id = halves(args.u256())
    args.end()
    amount = frame.read_u256("orders", *order_id, offset=AMOUNT)
    fee = frame.read_u256("orders", *order_id, offset=FEE)
    recipient = frame.read("orders", *order_id, offset=RECIPIENT)
    return [recipient, *halves(amount), *halves(fee)]


def get_order_pending(frame: Frame, args: Calldata) -> list[int]:
    order_id = halves(args.u256())
    args.end()
    return [frame.read("orders_pending", *order_id)]


def get_order_fee(frame: Frame, args: Calldata) -> list[int]:
    return get_order(frame, args)[FEE:]


def get_eth_transfer_contract(frame: Frame, args: Calldata) -> list[int]:
    args.end()
    return [frame.read("eth_transfer_contract")]


def get_mm_starknet_contract(frame: Frame, args: Calldata) -> list[int]:
    args.end()
    return [frame.read("mm_starknet_wallet")]


def is_paused(frame: Frame, args: Calldata) -> list[int]:
    args.end()
    return [frame.read("Pausable_paused")]


def set_eth_transfer_contract(frame: Frame, args: Calldata) -> list[int]:
    only_owner(frame)
    not_paused(frame)
    frame.write("eth_transfer_contract", value=args.eth_address())
    args.end()
    return []


def set_mm_starknet_contract(frame: Frame, args: Calldata) -> list[int]:
    only_owner(frame)
    not_paused(frame)
    frame.write("mm_starknet_wallet", value=args.felt())
    args.end()
    return []


def pause(frame: Frame, args: Calldata) -> list[int]:
    args.end()
    only_owner(frame)
    not_paused(frame)
    frame.write("Pausable_paused", value=1)
    frame.emit([selector_of("Paused")], [frame.caller])
    return []


def unpause(frame: Frame, args: Calldata) -> list[int]:
    args.end()
    only_owner(frame)
    if not frame.read("Pausable_paused"):
        raise panic("Pausable: not paused")
    frame.write("Pausable_paused", value=0)
    frame.emit([selector_of("Unpaused")], [frame.caller])
    return []


def emit(frame: Frame, args: Calldata) -> list[int]:
    keys, data = args.array(), args.array()
    args.end()
    only_owner(frame)
    frame.emit(keys, data)
    return []


ID = [("order_id", U256)]
CLAIM = [*ID, ("recipient_address", ETH_ADDRESS), ("amount", U256)]
ARRAY = f"core::array::Array::<{FELT}>"
CLAIMS = f"core::array::Array::<({U256}, {ETH_ADDRESS}, {U256})>"

ESCROW = contract(
    "Escrow",
    [
        struct(ETH_ADDRESS, [("address", FELT)]),
        struct(ORDER, [("recipient_address", ETH_ADDRESS), ("amount", U256), ("fee", U256)]),
        event("SetOrder", [*CLAIM, ("fee", U256)]),
        event("ClaimPayment", [*ID, ("address", ADDRESS), ("amount", U256)]),
        event("Paused", [("account", ADDRESS)]),
        event("Unpaused", [("account", ADDRESS)]),
    ],
    [
        function("set_order", [("order", ORDER)], [U256], set_order),
        function("get_order", ID, [ORDER], get_order, view=True),
        function("get_order_pending", ID, [BOOL], get_order_pending, view=True),
        function("get_order_fee", ID, [U256], get_order_fee, view=True),
        function(
            "get_eth_transfer_contract", [], [ETH_ADDRESS], get_eth_transfer_contract, view=True
        ),
        function("get_mm_starknet_contract", [], [ADDRESS], get_mm_starknet_contract, view=True),
        function(
            "set_eth_transfer_contract",
            [("new_contract", ETH_ADDRESS)],
            [],
            set_eth_transfer_contract,
        ),
        function(
            "set_mm_starknet_contract", [("new_contract", ADDRESS)], [], set_mm_starknet_contract
        ),
        function("withdraw", [*ID, ("block", U256), ("slot", U256)], [], withdraw),
        function("is_paused", [], [BOOL], is_paused, view=True),
        function("pause", [], [], pause),
        function("unpause", [], [], unpause),
        function("emit", [("keys", ARRAY), ("data", ARRAY)], [], emit),
        l1_handler("claim_payment", [("from_address", FELT), *CLAIM], claim_payment),
        l1_handler(
            "claim_payment_batch", [("from_address", FELT), ("orders", CLAIMS)], claim_payment_batch
        ),
    ],
)
