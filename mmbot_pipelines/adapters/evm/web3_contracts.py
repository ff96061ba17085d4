"""Contracts with dynamic types, encoded and decoded by web3 over the failover pool. Reads chain.

Contracts of static types are called by `evm.contracts`, many views in one request. web3 takes
a second to import: callers import this module inside a function.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eth_abi.exceptions import DecodingError
from hexbytes import HexBytes
from web3 import Web3
from web3.contract.contract import Contract, ContractEvent, ContractFunction
from web3.exceptions import Web3Exception
from web3.providers.base import JSONBaseProvider
from web3.types import LogReceipt, RPCEndpoint, RPCResponse, StateOverride, TxParams

from mmbot_pipelines.adapters.evm import blocks, quorum
from mmbot_pipelines.adapters.evm.log_range import Log
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.core.errors import Malformed
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.text import cleaned

_CALL = "eth_call"


class PoolProvider(JSONBaseProvider):
    """The nodes of one EVM chain as a web3 provider: failover, health and quorum are the pool's."""

    # EIP-3668: a contract's revert would make this process ask URLs of the contract's choice.
    global_ccip_read_enabled = False

    def __init__(self, rpc: Rpc) -> None:
        """Describe the provider; nothing is asked yet."""
        super().__init__()
        self._rpc = rpc

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Ask the pool; a call at "latest" is asked of as many nodes as the quorum has.

        Raises:
            RpcError: the node answered with an error. web3 passes it on as it is.
            RpcUnavailable: too few nodes answered.
            RpcDisagrees, BlockReplaced: see `quorum.read`.
        """
        if method != _CALL:
            return _response(self._rpc.call(method, params))
        call, at, *rest = params
        block = quorum.now(self._rpc) if at == "latest" else at
        (answer,) = quorum.read(self._rpc, [(_CALL, (call, blocks.tag(block), *rest))], block)
        if isinstance(answer, RpcError):
            raise answer
        decoding.data(answer)
        return _response(answer)


def contract(rpc: Rpc, address: Address, abi: Sequence[Mapping[str, Any]]) -> Contract:
    """Return web3's view of a contract, asked over the pool."""
    # Without middleware: it resolves names and asks for gas prices, which costs requests.
    web3 = Web3(PoolProvider(rpc), middleware=[])
    return web3.eth.contract(address=Web3.to_checksum_address(address), abi=abi)


def call(function: ContractFunction, *, sender: Address, value: Wei, balance: Wei) -> Any:
    """Call a contract's function at the newest block and return its result.

    value: in wei, sent along.
    balance: in wei, that the sender has during the call, whatever it really has.

    Raises:
        RpcError: the call reverts, or the node refuses it.
        Malformed: the result is not of the types in its ABI.
        RpcUnavailable: too few nodes answered, or they disagree.
    """
    tx: TxParams = {"from": sender, "value": Web3.to_wei(value, "wei")}
    override: StateOverride = {
        Web3.to_checksum_address(sender): {"balance": Web3.to_wei(balance, "wei")}
    }
    try:
        return function.call(tx, "latest", override)
    except (Web3Exception, DecodingError) as e:
        raise Malformed(f"{function.fn_name}: {cleaned(e)}") from None


def decoded(event: ContractEvent, logs: Iterable[Log]) -> list[Mapping[str, Any]]:
    """Return the arguments of those logs that are this event, logged by its contract."""
    found = []
    for log in logs:
        if str(log.address) != event.address:
            continue
        try:
            found.append(event.process_log(_receipt(log))["args"])
        except (Web3Exception, DecodingError, OverflowError):
            continue  # another event, or not of the event's types
    return found


def _response(result: Any) -> RPCResponse:
    return {"jsonrpc": "2.0", "id": 1, "result": result}


def _receipt(log: Log) -> LogReceipt:
    return {
        "address": Web3.to_checksum_address(log.address),
        "topics": [HexBytes(topic) for topic in log.topics],
        "data": HexBytes(log.data),
        "blockNumber": log.block.number,  # type: ignore[typeddict-item]
        "blockHash": HexBytes(log.block.hash),
        "transactionHash": HexBytes(log.tx),
        "transactionIndex": 0,  # web3 wants one; no decoded value depends on it
        "logIndex": log.index,
        "removed": False,
        "payload": HexBytes(b""),
    }
