"""The fee tokens of the local Starknet, ETH and STRK: ERC-20 as its bridge deploys it."""

from starknet_py.constants import ETH_FEE_CONTRACT_ADDRESS, STRK_FEE_CONTRACT_ADDRESS

from mmbot_pipelines.devnet.starknet.execution import U256, Felt, Frame, contract, panic
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


def balanceOf(frame: Frame, account: Felt) -> U256:  # noqa: N802  the published name
    return int(frame.read("balances", account))


def approve(frame: Frame, spender: Felt, amount: U256) -> Felt:
    frame.write("allowances", frame.caller, spender, value=amount)
    return 1


def transfer(frame: Frame, recipient: Felt, amount: U256) -> Felt:
    move(frame, frame.caller, recipient, amount)
    return 1


def transferFrom(frame: Frame, sender: Felt, recipient: Felt, amount: U256) -> Felt:  # noqa: N802
    allowed = frame.read("allowances", sender, frame.caller)
    if allowed < amount:
        raise panic("ERC20: insufficient allowance")
    frame.write("allowances", sender, frame.caller, value=allowed - amount)
    move(frame, sender, recipient, amount)
    return 1


TOKEN = contract("ERC20", [balanceOf, approve, transfer, transferFrom])
