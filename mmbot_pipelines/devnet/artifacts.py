"""The compiled contracts: read from artifacts/, deployed, called."""

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from eth_typing import ChecksumAddress
from eth_utils.abi import function_abi_to_4byte_selector
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


@lru_cache(maxsize=64)  # web3 reads the whole ABI each time
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


def deploy_behind_proxy(w3: Web3, name: str, *args: Any, sender: ChecksumAddress) -> Contract:
    """Deploy a contract behind a proxy (ERC-1967), set up by `initialize(*args)`.

    Raises:
        RuntimeError: the initializer reverted.
    """
    implementation = deploy(w3, name, sender=sender)
    setup = implementation.encode_abi("initialize", list(args))
    proxy = deploy(w3, "ERC1967Proxy", implementation.address, setup, sender=sender)
    return contract(w3, name, proxy.address)


def deploy_diamond(w3: Web3, *, sender: ChecksumAddress) -> Contract:
    """Deploy zkSync's diamond: a proxy that finds each function at a facet (EIP-2535)."""
    facet = deploy(w3, "ZkSyncDiamond", sender=sender)
    functions = [i for i in facet.abi if i["type"] == "function"]
    selectors = [function_abi_to_4byte_selector(f) for f in functions]
    setup = facet.encode_abi("initialize")
    proxy = deploy(w3, "DiamondProxy", facet.address, selectors, setup, sender=sender)
    return contract(w3, "ZkSyncDiamond", proxy.address)


def runtime_code(w3: Web3, name: str) -> str:
    """Return the code that stands at a deployed contract's address, in hex; it has no arguments."""
    return w3.eth.call({"data": artifact(name)["bytecode"]}).to_0x_hex()


def send(call: ContractFunction, *, sender: ChecksumAddress, value: int = 0) -> TxReceipt:
    """Send a call from an account that the chain itself signs for, into a block at once.

    value: wei.

    Raises:
        ContractLogicError: the chain foresees a revert; nothing was sent.
    """
    tx_hash = call.transact({"from": sender, "value": Wei(value)})
    mine_now(call.w3)
    return mined(call.w3, tx_hash)
