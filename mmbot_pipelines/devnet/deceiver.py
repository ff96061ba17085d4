"""A recipient that takes the money in every simulation, and refuses it in every block."""

from eth_typing import ChecksumAddress
from web3 import Web3

from mmbot_pipelines.devnet.chain import ask

_ADDRESS = Web3.to_checksum_address(f"{0xDECE1:#042x}")

# GASPRICE, PUSH1 5, JUMPI, STOP, JUMPDEST, PUSH0, PUSH0, REVERT: an estimate names no price.
_CODE = "0x3a600557005b5f5ffd"


def deceiver(w3: Web3) -> ChecksumAddress:
    """Put the contract onto a local chain and return its address."""
    ask(w3, "anvil_setCode", _ADDRESS, _CODE)
    return _ADDRESS
