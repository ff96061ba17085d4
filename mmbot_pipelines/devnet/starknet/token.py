"""The fee tokens of the local Starknet, ETH and STRK: ERC-20 as its bridge deploys it."""

from starknet_py.constants import ETH_FEE_CONTRACT_ADDRESS, STRK_FEE_CONTRACT_ADDRESS

from mmbot_pipelines.devnet.starknet.execution import Calldata, Frame, contract, panic
from mmbot_pipelines.devnet.starknet.felt import halves, selector_of

ETH = int(ETH_FEE_CONTRACT_ADDRESS, 16)
STRK = int(STRK_FEE_CONTRACT_ADDRESS, 16)


def move(frame: Frame, sender: int, recipient: int, amount: int) -> None:
    """Move `amount` of the frame's token, in its smallest unit, with its Transfer event."""
    balance = frame.read("balances", sender)
    if balance < amount:
        raise panic("ERC20: insufficient balance")
    frame.write("balances", sender, value=balance - amount)
    frame.write("balances", recipient, value=frame.read("balances", recipient) + amount)
    frame.emit([selector_of("Transfer"), sender, recipient], halves(amount))


def balance_of(frame: Frame, args: Calldata) -> list[int]:
    account = args.felt()
    args.end()
    return halves(frame.read("balances", account))


def allowance(frame: Frame, args: Calldata) -> list[int]:
    owner, spender = args.felt(), args.felt()
    args.end()
    return halves(frame.read("allowances", owner, spender))


def approve(frame: Frame, args: Calldata) -> list[int]:
    spender, amount = args.felt(), args.u256()
    args.end()
    frame.write("allowances", frame.caller, spender, value=amount)
    return [1]


def transfer(frame: Frame, args: Calldata) -> list[int]:
    recipient, amount = args.felt(), args.u256()
    args.end()
    move(frame, frame.caller, recipient, amount)
    return [1]


def transfer_from(frame: Frame, args: Calldata) -> list[int]:
    sender, recipient, amount = args.felt(), args.felt(), args.u256()
    args.end()
    allowed = frame.read("allowances", sender, frame.caller)
    if allowed < amount:
        raise panic("ERC20: insufficient allowance")
    frame.write("allowances", sender, frame.caller, value=allowed - amount)
    move(frame, sender, recipient, amount)
    return [1]


def permissioned_mint(frame: Frame, args: Calldata) -> list[int]:
    account, amount = args.felt(), args.u256()
    args.end()
    only_owner(frame)
    frame.write("balances", account, value=frame.read("balances", account) + amount)
    frame.emit([selector_of("Transfer"), 0, account], halves(amount))
    return []


TOKEN = contract(
    "ERC20",
    [balance_of, allowance, approve, transfer, transfer_from, permissioned_mint],
    balanceOf=balance_of,
    transferFrom=transfer_from,
)


def only_owner(frame: Frame) -> None:
    if frame.caller != frame.read("owner"):
        raise panic("Caller is not the owner")
