"""A recipient that takes the money in the simulation, and refuses it in the next block."""

from eth_typing import ChecksumAddress
from web3 import Web3

from mmbot_pipelines.devnet.chain import ask

_ADDRESS = Web3.to_checksum_address(f"{0xDECE1:#042x}")

# NUMBER, PUSH1 1, AND, PUSH1 parity, XOR, PUSH1 11, JUMPI, STOP, JUMPDEST, PUSH0, PUSH0, REVERT:
# a simulation runs in the newest block, the transaction in the one after it.
_CODE = "0x4360011660{parity:02x}18600b57005b5f5ffd"


def deceiver(w3: Web3) -> ChecksumAddress:
    """Put the contract onto a local chain and return its address.

    It takes money in every second block, the newest one included. It does not look at the
    gas price, which an estimate shows as it will be signed.
    """
    ask(w3, "anvil_setCode", _ADDRESS, _CODE.format(parity=w3.eth.block_number & 1))
    return _ADDRESS
