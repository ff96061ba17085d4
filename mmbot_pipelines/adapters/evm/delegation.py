"""The delegation of accounts of ours (EIP-7702): two ports of `core.delegation`. Reads chain."""

from collections.abc import Sequence

from eth_utils.address import to_checksum_address

from mmbot_pipelines.adapters.evm import blocks, quorum, signing
from mmbot_pipelines.adapters.evm.batch_executor import (
    FACTORY,
    batch,
    batch_gas,
    contract_address,
    deployment,
    runtime_code,
)
from mmbot_pipelines.adapters.evm.signing import Signer
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcCall, RpcError
from mmbot_pipelines.core.delegation import AccountCode, BatchedCall, Delegation
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call, Fees, Signed

_DESIGNATOR = bytes.fromhex("ef0100")  # and the target's 20 bytes
_NOBODY = Address("0x" + "00" * 20)  # an account delegated to it has no code again

# Ethereum has delegations since Prague, which also brought this precompile (EIP-2537): it adds
# two points of BLS12-381. Where there is none the answer is empty.
_G1_ADD = Address("0x000000000000000000000000000000000000000b")
_TWO_POINTS = bytes(256)


def designator(target: Address) -> bytes:
    """Return the code that a delegated account shows."""
    return _DESIGNATOR + bytes.fromhex(target[2:])


def read_delegation(rpc: Rpc, account: Address) -> Delegation:
    """Return what code an account runs, as the quorum shows it.

    Raises:
        RpcDisagrees, BlockReplaced, RpcUnavailable: see `quorum.read`.
        RpcRefused: the code cannot be read.
    """
    shown, ours = _codes(rpc, [account, contract_address()])
    if not shown:
        return Delegation(account=account, code=AccountCode.NONE)
    if not shown.startswith(_DESIGNATOR) or len(shown) != len(designator(_NOBODY)):
        return Delegation(account=account, code=AccountCode.FOREIGN)
    target = Address(to_checksum_address(shown[len(_DESIGNATOR) :]))
    code = AccountCode.FOREIGN
    if target == contract_address():
        # Its address follows from its code, so there is no other than ours there.
        code = AccountCode.OURS if ours == runtime_code() else AccountCode.MISSING
    return Delegation(account=account, code=code, target=target)


class DeployedBatchContract:
    """The batch contract on one EVM chain: the port `BatchContract`."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def delegation(self, account: Address) -> Delegation:
        """Return what code an account runs now, see `read_delegation`."""
        return read_delegation(self._rpc, account)

    def batch(self, account: Address, calls: Sequence[BatchedCall]) -> Call:
        """Return the call by which a delegated account makes many calls."""
        return batch(account, calls)

    def gas(self, calls: Sequence[BatchedCall]) -> Gas:
        """Return the gas with which each of these calls surely has its own limit."""
        return batch_gas(calls)


class WalletDelegation:
    """The delegation of one wallet on one EVM chain: the port `DelegatingWallet`."""

    def __init__(self, rpc: Rpc, signer: Signer) -> None:
        self._rpc = rpc
        self._signer = signer

    def delegation(self) -> Delegation:
        """Return what code the account runs now, see `read_delegation`."""
        return read_delegation(self._rpc, self._signer.address)

    def has_delegations(self) -> bool:
        """Return whether the chain knows delegations at all (Prague)."""
        call = {"to": _G1_ADD, "data": "0x" + _TWO_POINTS.hex()}
        answer = self._rpc.batch([("eth_call", (call, "latest"))])[0]
        return not isinstance(answer, RpcError) and bool(decoding.data(answer))

    def call_with(self, *, delegate: bool) -> Call | None:
        """Return the call to make with the change: it deploys the contract if it must."""
        nothing = Call(to=self._signer.address, data=b"", value=Wei(0))
        if not delegate:
            return nothing
        ours, factory = _codes(self._rpc, [contract_address(), FACTORY])
        if ours:
            return nothing
        return deployment() if factory else None

    def sign_delegation(
        self, call: Call, *, delegate: bool, nonce: int, gas: Gas, fees: Fees
    ) -> Signed:
        """Sign a transaction that delegates the account, or ends it; it uses two nonces."""
        return signing.sign_delegation(
            self._signer,
            contract_address() if delegate else _NOBODY,
            call,
            chain_id=self._rpc.chain_id,
            nonce=nonce,
            gas=gas,
            fees=fees,
        )


def _codes(rpc: Rpc, addresses: list[Address]) -> list[bytes]:
    block = quorum.now(rpc)
    asked: list[RpcCall] = [("eth_getCode", (a, blocks.tag(block))) for a in addresses]
    codes = []
    for address, answer in zip(addresses, quorum.read(rpc, asked, block), strict=True):
        if isinstance(answer, RpcError):
            raise RpcRefused(f"a node of {rpc.chain} refuses the code of {address}: {answer}")
        codes.append(decoding.data(answer))
    return codes
