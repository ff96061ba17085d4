"""Our account on Starknet, which tells the escrow of proofs. Its key is used nowhere else."""

import weakref
from collections.abc import Sequence

from pydantic import SecretStr
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call, TransactionExecutionStatus
from starknet_py.net.signer.key_pair import KeyPair

from mmbot_pipelines.adapters.ethereum.node import RpcError
from mmbot_pipelines.adapters.origins.starknet_node import StarknetNode, word
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
            RpcError: the node refuses it, e.g. for want of STRK.
        """
        account = self._account(node)
        try:
            sent = await node.asked(account.execute_v3(list(calls), auto_estimate=True))
        except RpcError as e:
            if e.code in _UNDER_WAY:
                return None
            if e.code == _EXECUTION_ERROR:
                raise CallReverts(cleaned(e.data or e.message)) from None
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
        return cleaned(status.failure_reason or "no reason is told")

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
