"""zkSync's diamond proxy on L1: what the bridge asks of it, and the event it logs. Pure.

Source: era-contracts, IMailbox.sol.
"""

from typing import Any

from mmbot_pipelines.adapters.evm.contracts import Function

BASE_COST = Function("l2TransactionBaseCost", ("uint256",) * 3, ("uint256",))

GAS_PER_PUBDATA = 800  # the only value that zkSync takes for L1 -> L2 transactions


def _typed(**types: str) -> list[dict[str, Any]]:
    return [{"name": name, "type": of} for name, of in types.items()]


_UINTS = (
    *("txType", "from", "to", "gasLimit", "gasPerPubdataByteLimit", "maxFeePerGas"),
    *("maxPriorityFeePerGas", "paymaster", "nonce", "value"),
)

_L2_CANONICAL_TRANSACTION = _typed(
    **dict.fromkeys(_UINTS, "uint256"),
    reserved="uint256[4]",
    data="bytes",
    signature="bytes",
    factoryDeps="uint256[]",
    paymasterInput="bytes",
    reservedDynamic="bytes",
)

# Of the event, none of which is indexed.
REQUEST_TYPES = (
    *("uint256", "bytes32", "uint64"),
    f"({','.join(field['type'] for field in _L2_CANONICAL_TRANSACTION)})",
    "bytes[]",
)

ABI: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "requestL2Transaction",
        "stateMutability": "payable",
        "inputs": _typed(
            contractL2="address",
            l2Value="uint256",
            data="bytes",
            l2GasLimit="uint256",
            l2GasPerPubdataByteLimit="uint256",
            factoryDeps="bytes[]",
            refundRecipient="address",
        ),
        "outputs": _typed(txHash="bytes32"),
    },
    {
        "type": "event",
        "name": "NewPriorityRequest",
        "anonymous": False,
        "inputs": [
            {**given, "indexed": False}
            for given in (
                *_typed(txId="uint256", txHash="bytes32", expirationTimestamp="uint64"),
                {"name": "transaction", "type": "tuple", "components": _L2_CANONICAL_TRANSACTION},
                *_typed(factoryDeps="bytes[]"),
            )
        ],
    },
]
