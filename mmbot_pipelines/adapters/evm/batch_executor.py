"""The contract that our account is delegated to for batches (EIP-7702): code and calls. Pure.

Its source is solidity/BatchExecutor.sol. It stands at the same address on every chain, by
the usual factory of deployments (CREATE2): nobody can deploy anything else there.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from mmbot_pipelines.core.delegation import BatchedCall
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call

# github.com/Arachnid/deterministic-deployment-proxy, which Ethereum and its test networks have.
FACTORY = Address("0x4e59b44847b379578588920cA78FbF26c0B4956C")

_SALT = bytes(32)
_EXECUTE = "execute((address,uint256,uint256,bool,bytes)[])"
_CALL_TYPE = "(address,uint256,uint256,bool,bytes)[]"
CALL_FAILED = keccak(text="CallFailed(uint256)")  # logged by the account itself

_TRANSACTION = 21_000  # gas of one (Yellow Paper, G_transaction)
_DATA_BYTE = 16  # of one that is not zero (EIP-2028); they are fewer than the floor asks for
_OF_CALL = 40_000  # that the contract wants to see left, beside a call's limit
_PER_CALL = 13_000  # 2600 for a cold target with code, 9000 for value, what the contract does
_KEPT = 63  # parts of the gas, of which a caller keeps one more (EIP-150)


def runtime_code() -> bytes:
    """Return the code that stands at the contract's address."""
    return bytes.fromhex(_artifact()["runtime"][2:])


@cache
def contract_address() -> Address:
    """Return where the contract stands, on every chain (EIP-1014)."""
    factory = bytes.fromhex(FACTORY[2:])
    hashed = keccak(b"\xff" + factory + _SALT + keccak(_creation_code()))
    return Address(to_checksum_address(hashed[12:]))


def deployment() -> Call:
    """Return the call that deploys the contract: the same one, from any account."""
    return Call(to=FACTORY, data=_SALT + _creation_code(), value=Wei(0))


def batch(account: Address, calls: Sequence[BatchedCall]) -> Call:
    """Return the call by which a delegated account makes many calls; it must send it itself."""
    items = [(c.call.to, c.call.value, c.gas, c.may_fail, c.call.data) for c in calls]
    data = keccak(text=_EXECUTE)[:4] + encode([_CALL_TYPE], [items])
    return Call(to=account, data=data, value=Wei(0))


def batch_gas(calls: Sequence[BatchedCall]) -> Gas:
    """Return the gas with which each call to a contract has its own; what is left is not paid."""
    data = batch(FACTORY, calls).data
    limits = [call.gas for call in calls]
    own = sum(limits) + max(limits, default=0) // _KEPT + _OF_CALL + _PER_CALL * len(calls)
    return Gas(_TRANSACTION + _DATA_BYTE * len(data) + own)


def _creation_code() -> bytes:
    return bytes.fromhex(_artifact()["bytecode"][2:])


@cache
def _artifact() -> dict[str, Any]:
    path = Path(__file__).parent / "solidity" / "BatchExecutor.json"
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded
