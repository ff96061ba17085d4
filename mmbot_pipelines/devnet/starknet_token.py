"""The ERC-20 of the local Starknet: ETH to lock in orders, STRK to pay fees with."""

from starknet_py.constants import ETH_FEE_CONTRACT_ADDRESS, STRK_FEE_CONTRACT_ADDRESS

from mmbot_pipelines.devnet.starknet_abi import ADDRESS, BOOL, U256, contract, event, function
from mmbot_pipelines.devnet.starknet_execution import Calldata, Frame, panic, selector_of
from mmbot_pipelines.devnet.starknet_felt import halves

ETH = int(ETH_FEE_CONTRACT_ADDRESS, 16)
STRK = int(STRK_FEE_CONTRACT_ADDRESS, 16)

BALANCES, ALLOWANCES = "ERC20_balances", "ERC20_allowances"


def move(frame: Frame, sender: int, recipient: int, amount: int) -> None:
    """Move `amount` of the frame's token, in its smallest unit, with its Transfer event."""
    balance = frame.read_u256(BALANCES, sender)
    if balance < amount:
        raise panic("ERC20: insufficient balance")
    frame.write_u256(BALANCES, sender, value=balance - amount)
    credited = frame.read_u256(BALANCES, recipient) + amount
    frame.write_u256(BALANCES, recipient, value=credited)
    frame.emit([selector_of("Transfer"), sender, recipient], halves(amount))


def balance_of(frame: Frame, args: Calldata) -> list[int]:
    account = args.felt()
    args.end()
    return halves(frame.read_u256(BALANCES, account))


def allowance(frame: Frame, args: Calldata) -> list[int]:
    owner, spender = args.felt(), args.felt()
    args.end()
    return halves(frame.read_u256(ALLOWANCES, owner, spender))


def approve(frame: Frame, args: Calldata) -> list[int]:
    spender, amount = args.felt(), args.u256()
    args.end()
    frame.write_u256(ALLOWANCES, frame.caller, spender, value=amount)
    frame.emit([selector_of("Approval"), frame.caller, spender], halves(amount))
    return [1]


def transfer(frame: Frame, args: Calldata) -> list[int]:
    recipient, amount = args.felt(), args.u256()
    args.end()
    move(frame, frame.caller, recipient, amount)
    return [1]


def transfer_from(frame: Frame, args: Calldata) -> list[int]:
    sender, recipient, amount = args.felt(), args.felt(), args.u256()
    args.end()
    allowed = frame.read_u256(ALLOWANCES, sender, frame.caller)
    if allowed < amount:
        raise panic("ERC20: insufficient allowance")
    frame.write_u256(ALLOWANCES, sender, frame.caller, value=allowed - amount)
    move(frame, sender, recipient, amount)
    return [1]


def permissioned_mint(frame: Frame, args: Calldata) -> list[int]:
    account, amount = args.felt(), args.u256()
    args.end()
    if frame.caller != frame.read("permitted_minter"):
        raise panic("MINTER_ONLY")
    if (supply := frame.read_u256("ERC20_total_supply") + amount) >= 2**256:
        raise panic("u256_add Overflow")
    frame.write_u256("ERC20_total_supply", value=supply)
    frame.write_u256(BALANCES, account, value=frame.read_u256(BALANCES, account) + amount)
    frame.emit([selector_of("Transfer"), 0, account], halves(amount))
    return []


AMOUNT = ("amount", U256)
PAIR = [("owner", ADDRESS), ("spender", ADDRESS)]
MOVE = [("sender", ADDRESS), ("recipient", ADDRESS), AMOUNT]

TOKEN = contract(
    "ERC20",
    [
        event("Transfer", [("value", U256)], [("from", ADDRESS), ("to", ADDRESS)]),
        event("Approval", [("value", U256)], PAIR),
    ],
    [
        function("balance_of", [("account", ADDRESS)], [U256], balance_of, view=True),
        function("balanceOf", [("account", ADDRESS)], [U256], balance_of, view=True),
        function("allowance", PAIR, [U256], allowance, view=True),
        function("approve", [("spender", ADDRESS), AMOUNT], [BOOL], approve),
        function("transfer", [("recipient", ADDRESS), AMOUNT], [BOOL], transfer),
        function("transfer_from", MOVE, [BOOL], transfer_from),
        function("transferFrom", MOVE, [BOOL], transfer_from),
        function("permissioned_mint", [("account", ADDRESS), AMOUNT], [], permissioned_mint),
    ],
)
