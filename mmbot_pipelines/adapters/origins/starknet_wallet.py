"""Our account on Starknet, which tells the escrow of proofs. Its key is used nowhere else."""

import weakref
from collections.abc import Sequence

from pydantic import SecretStr
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import (
    Call,
    EstimatedFee,
    ResourceBounds,
    ResourceBoundsMapping,
    TransactionExecutionStatus,
)
from starknet_py.net.signer.key_pair import KeyPair

from mmbot_pipelines.adapters.ethereum.node import RpcError
from mmbot_pipelines.adapters.origins.starknet_node import StarknetNode, innermost, reason, word
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.untrusted import cleaned

# Starknet JSON-RPC specification, errors
_EXECUTION_ERROR = 41
_TXN_HASH_NOT_FOUND = 29
_UNDER_WAY = (52, 59)  # the nonce is taken, or the very transaction is known


class CallReverts(Exception):
    """The estimate of a transaction reverts: nothing was sent."""


class StarknetWallet:
    """An account that must exist; it pays fees in STRK. Printing it shows no key."""

    def __init__(self, address: Address, private_key: SecretStr, *, chain_id: int) -> None:
        self._address = int(address, 16)
        self._key = private_key
        self._chain_id = chain_id
        self._accounts: weakref.WeakKeyDictionary[StarknetNode, Account] = (
            weakref.WeakKeyDictionary()
        )

    def __repr__(self) -> str:
        return f"StarknetWallet({word(self._address)})"

    async def send(self, node: StarknetNode, calls: Sequence[Call]) -> TxHash | None:
        """Send calls in one transaction: all of them happen, or none.

        Returns its hash, or None where an earlier transaction of ours is still under way.

        Raises:
            CallReverts: it would revert.
            RpcError: the node refuses it, e.g. for want of STRK or for a wrong key.
        """
        account = self._account(node)
        try:
            nonce = await node.asked(account.get_nonce())
            bounds = await self._bounds(node, account, calls, nonce)
            sent = await node.asked(
                account.execute_v3(list(calls), nonce=nonce, resource_bounds=bounds)
            )
        except RpcError as e:
            if e.code in _UNDER_WAY:
                return None
            raise
        return TxHash(word(sent.transaction_hash))

    async def reverted(self, node: StarknetNode, tx: TxHash) -> str | None:
        """Return why a transaction of ours reverted; None where it did not, or not yet."""
        try:
            status = await node.asked(node.client.get_transaction_status(int(tx, 16)))
        except RpcError as e:
            if e.code == _TXN_HASH_NOT_FOUND:
                return None
            raise
        if status.execution_status is not TransactionExecutionStatus.REVERTED:
            return None
        return cleaned(innermost(status.failure_reason or "no reason is told"))

    async def _bounds(
        self, node: StarknetNode, account: Account, calls: Sequence[Call], nonce: int
    ) -> ResourceBoundsMapping:
        """Bound what a transaction may use and cost: half as much again as estimated.

        The estimate leaves our signature out, so that it reverts for the calls' sake alone.
        """
        nothing = _bound(0, 0)
        none = ResourceBoundsMapping(l1_gas=nothing, l1_data_gas=nothing, l2_gas=nothing)
        unpriced = await node.asked(
            account.sign_invoke_v3(list(calls), nonce=nonce, resource_bounds=none)
        )
        try:
            estimate = await node.asked(account.estimate_fee(unpriced, skip_validate=True))
        except RpcError as e:
            if e.code == _EXECUTION_ERROR:
                raise CallReverts(reason(e)) from None
            raise
        if not isinstance(estimate, EstimatedFee):
            raise TypeError("one transaction has one estimate")
        return ResourceBoundsMapping(
            l1_gas=_bound(estimate.l1_gas_consumed, estimate.l1_gas_price),
            l1_data_gas=_bound(estimate.l1_data_gas_consumed, estimate.l1_data_gas_price),
            l2_gas=_bound(estimate.l2_gas_consumed, estimate.l2_gas_price),
        )

    def _account(self, node: StarknetNode) -> Account:
        # An account asks its node once which kind of contract it is.
        if node not in self._accounts:
            key = KeyPair.from_private_key(int(self._key.get_secret_value(), 16))
            self._accounts[node] = Account(
                address=self._address,
                client=node.client,
                key_pair=key,
                chain=self._chain_id,
            )
        return self._accounts[node]


def _bound(amount: int, price: int) -> ResourceBounds:
    return ResourceBounds(max_amount=amount * 3 // 2, max_price_per_unit=price * 3 // 2)
