"""The compiled contracts: read from artifacts/, deployed, called."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from eth_typing import ChecksumAddress
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.types import TxReceipt, Wei

from mmbot_pipelines.devnet.chain import mine_now, mined

ARTIFACTS = Path(__file__).parent / "artifacts"


@cache
def artifact(name: str) -> dict[str, Any]:
    """Return a compiled contract: its abi, bytecode, source and compiler settings."""
    loaded: dict[str, Any] = json.loads((ARTIFACTS / f"{name}.json").read_text())
    return loaded


def contract(w3: Web3, name: str, address: ChecksumAddress) -> Contract:
    """Return the deployed contract, ready for calls."""
    return w3.eth.contract(address=address, abi=artifact(name)["abi"])


def deploy(w3: Web3, name: str, *args: Any, sender: ChecksumAddress) -> Contract:
    """Deploy a contract from an account that the chain itself signs for.

    Raises:
        RuntimeError: the constructor reverted.
    """
    compiled = artifact(name)
    factory = w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
    tx_hash = factory.constructor(*args).transact({"from": sender})
    mine_now(w3)
    address = mined(w3, tx_hash)["contractAddress"]
    if address is None:
        raise RuntimeError(f"the constructor of {name} reverted")
    return contract(w3, name, address)


def send(call: ContractFunction, *, sender: ChecksumAddress, value: int = 0) -> TxReceipt:
    """Send a call from an account that the chain itself signs for, into a block at once.

    value: wei.

    Raises:
        ContractLogicError: the chain foresees a revert; nothing was sent.
    """
    tx_hash = call.transact({"from": sender, "value": Wei(value)})
    mine_now(call.w3)
    return mined(call.w3, tx_hash)
