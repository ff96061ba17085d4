"""Our account on Starknet, which shows proofs to the escrow. Reads and writes the chain.

It signs and hands over; when, and with which nonce, is decided in `starknet_lane`. The key
is used nowhere else.
"""

import json
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr
from starknet_py.hash.utils import message_signature
from starknet_py.net.account.account import Account
from starknet_py.net.client_models import (
    Call,
    EstimatedFee,
    PriceUnit,
    ResourceBounds,
    ResourceBoundsMapping,
    TransactionExecutionStatus,
    TransactionStatus,
)
from starknet_py.net.models.transaction import InvokeV3
from starknet_py.net.schemas.broadcasted_txn import BroadcastedTransactionSchema
from starknet_py.net.signer.key_pair import KeyPair

from mmbot_pipelines.adapters.rpc.node import NodeFault, RpcError
from mmbot_pipelines.adapters.starknet.node import StarknetNode, innermost, reason, word
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.text import cleaned

# Starknet JSON-RPC specification, errors
EXECUTION_ERROR = 41
_TXN_HASH_NOT_FOUND = 29
_UNDER_WAY = (52, 59)  # the nonce is taken, or the very transaction is known

_ACCEPTED = (TransactionStatus.ACCEPTED_ON_L2, TransactionStatus.ACCEPTED_ON_L1)
_GASES = ("l1_gas", "l1_data_gas", "l2_gas")


class CallReverts(Exception):
    """The estimate reverts within the called contract: nothing was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInvoke:
    """A signed transaction: its hash as computed here, and its JSON."""

    hash: TxHash
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TxStatus:
    """What a node knows of a transaction."""

    accepted: bool  # in a sealed block
    reverted: str | None  # why, where it failed


class StarknetWallet:
    """An account that must exist; it pays fees in STRK. Printing it shows no key."""

    def __init__(self, address: Address, private_key: SecretStr, *, chain_id: int) -> None:
        self.address = Address(word(int(address, 16)))
        self.chain_id = chain_id
        self.cairo: int | None = None  # version of the account's class, once witnesses agree
        self._key = private_key
        self._accounts: weakref.WeakKeyDictionary[StarknetNode, Account] = (
            weakref.WeakKeyDictionary()
        )

    def __repr__(self) -> str:
        return f"StarknetWallet({self.address})"

    async def nonce(self, node: StarknetNode, at: str) -> int:
        """Return the account's next nonce after the block of a tag."""
        return await node.asked(self._account(node).get_nonce(block_number=at))  # type: ignore[arg-type]

    async def class_version(self, node: StarknetNode) -> int:
        """Return of which Cairo the account's class is, as this node shows it: 0 or 1."""
        return await node.asked(self._account(node).cairo_version)

    async def reverts(self, node: StarknetNode, calls: Sequence[Call]) -> str | None:
        """Return why the called contract refuses these calls now; None where it takes them.

        Raises:
            RpcError: the node refuses the estimate for another reason.
        """
        try:
            unpriced = await self._unpriced(node, calls, await self.nonce(node, "pre_confirmed"))
            await self._estimate(node, unpriced, calls)
        except CallReverts as e:
            return str(e)
        return None

    async def sign(
        self, node: StarknetNode, calls: Sequence[Call], *, nonce: int, bump: int
    ) -> SignedInvoke:
        """Sign one transaction of all calls: all of them happen, or none.

        It may use half as much again as estimated, at half as much again; `bump` makes the
        hash another one.

        Raises:
            CallReverts: the called contract would refuse it.
            RpcRefused: our account does not take our signature.
        """
        account = self._account(node)
        unpriced = await self._unpriced(node, calls, nonce)
        # Without our signature first: so that a revert is the calls' own.
        await self._estimate(node, unpriced, calls)
        try:
            used = await self._estimate(node, unpriced, calls, validate=True)
        except RpcError as e:
            raise RpcRefused(
                f"our account {self.address} does not take our signature ({reason(e)}): "
                "fix MMBOT_STARKNET_PRIVATE_KEY or MMBOT_STARKNET_WALLET_ADDRESS"
            ) from None
        bounds = ResourceBoundsMapping(
            l1_gas=_bound(used.l1_gas_consumed, used.l1_gas_price),
            l1_data_gas=_bound(used.l1_data_gas_consumed, used.l1_data_gas_price),
            l2_gas=_bound(used.l2_gas_consumed, used.l2_gas_price, more=bump),
        )
        signed = await node.asked(
            account.sign_invoke_v3(list(calls), nonce=nonce, resource_bounds=bounds)
        )
        raw = json.dumps(BroadcastedTransactionSchema().dump(obj=signed))  # type: ignore[no-untyped-call]
        return SignedInvoke(
            hash=TxHash(word(signed.calculate_hash(self.chain_id))), raw=raw.encode()
        )

    async def broadcast(self, node: StarknetNode, raw: bytes) -> RpcError | None:
        """Hand a signed transaction over; return why it is refused, None where it is not.

        One that is known already, or whose nonce is taken by now, counts as handed over.
        """
        try:
            await node.add_invoke(json.loads(raw))
        except RpcError as e:
            return None if e.code in _UNDER_WAY else e
        return None

    async def status(self, node: StarknetNode, tx: TxHash) -> TxStatus | None:
        """Return what a node knows of a transaction of ours; None where it knows none."""
        try:
            reported = await node.asked(node.client.get_transaction_status(int(tx, 16)))
        except RpcError as e:
            if e.code == _TXN_HASH_NOT_FOUND:
                return None
            raise
        reverted = reported.execution_status is TransactionExecutionStatus.REVERTED
        why = cleaned(innermost(reported.failure_reason or "no reason is given"))
        return TxStatus(
            accepted=reported.finality_status in _ACCEPTED, reverted=why if reverted else None
        )

    async def fee(self, node: StarknetNode, tx: TxHash) -> int | None:
        """Return what the execution of a transaction cost, in fri; None where a node has none."""
        try:
            reported = await node.asked(node.client.get_transaction_receipt(int(tx, 16)))
        except RpcError as e:
            if e.code == _TXN_HASH_NOT_FOUND:
                return None
            raise
        if (
            reported.transaction_hash != int(tx, 16)
            or reported.actual_fee.unit is not PriceUnit.FRI
        ):
            raise NodeFault(f"answered a receipt of {tx} that cannot be")
        return reported.actual_fee.amount

    def signature(self, message_hash: int) -> list[int]:
        """Sign a hash, as the account's `is_valid_signature` takes it."""
        return list(message_signature(message_hash, int(self._key.get_secret_value(), 16)))

    async def _unpriced(self, node: StarknetNode, calls: Sequence[Call], nonce: int) -> InvokeV3:
        nothing = ResourceBounds(max_amount=0, max_price_per_unit=0)
        none = ResourceBoundsMapping(l1_gas=nothing, l1_data_gas=nothing, l2_gas=nothing)
        return await node.asked(
            self._account(node).sign_invoke_v3(list(calls), nonce=nonce, resource_bounds=none)
        )

    async def _estimate(
        self, node: StarknetNode, tx: InvokeV3, calls: Sequence[Call], *, validate: bool = False
    ) -> EstimatedFee:
        try:
            estimate = await node.asked(
                self._account(node).estimate_fee(tx, skip_validate=not validate)
            )
        except RpcError as e:
            # What speaks against the transaction itself, e.g. its nonce, names no contract.
            reported = json.dumps(e.data, default=str).lower()
            if e.code == EXECUTION_ERROR and any(f"{c.to_addr:x}" in reported for c in calls):
                raise CallReverts(reason(e)) from None
            raise
        if not isinstance(estimate, EstimatedFee):
            raise TypeError("one transaction has one estimate")
        return estimate

    def _account(self, node: StarknetNode) -> Account:
        # An account asks its node once which kind of contract it is.
        if node not in self._accounts:
            key = KeyPair.from_private_key(int(self._key.get_secret_value(), 16))
            self._accounts[node] = Account(
                address=int(self.address, 16),
                client=node.client,
                key_pair=key,
                chain=self.chain_id,
            )
        account = self._accounts[node]
        if self.cairo is not None:
            account._cairo_version = self.cairo  # type: ignore[assignment]  # whatever a node says
        return account


def prices(raw: bytes) -> list[int]:
    """Return the highest prices that a stored transaction takes, in fri by kind of gas."""
    bounds = json.loads(raw)["resource_bounds"]
    return [int(bounds[gas]["max_price_per_unit"], 16) for gas in _GASES]


def at_most(raw: bytes) -> int:
    """Return what a stored transaction may cost at most, in fri: the account must hold it."""
    bounds = json.loads(raw)["resource_bounds"]
    amounts = [int(bounds[gas]["max_amount"], 16) for gas in _GASES]
    return sum(amount * price for amount, price in zip(amounts, prices(raw), strict=True))


def _bound(amount: int, price: int, *, more: int = 0) -> ResourceBounds:
    return ResourceBounds(max_amount=amount * 3 // 2 + more, max_price_per_unit=price * 3 // 2)
