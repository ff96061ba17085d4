"""Transactions that enter the local Starknet: users' invokes, and messages from L1."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starknet_py.hash.transaction import (
    CommonTransactionV3Fields,
    TransactionHashPrefix,
    compute_invoke_v3_transaction_hash,
)
from starknet_py.net.client_models import DAMode, ResourceBounds, ResourceBoundsMapping

from mmbot_pipelines.devnet.starknet_felt import felt, felts, l1_handler_hash, l1_message_hash

QUERY = 2**128  # added to the version of a transaction that is only to be estimated
UNBOUNDED = ResourceBounds(max_amount=2**64 - 1, max_price_per_unit=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """INVOKE_TXN_V3: an account's signed calls."""

    sender: int
    calldata: tuple[int, ...]
    nonce: int
    version: int = 3
    signature: tuple[int, ...] = ()
    bounds: ResourceBoundsMapping = field(
        default_factory=lambda: ResourceBoundsMapping(
            l1_gas=UNBOUNDED, l1_data_gas=UNBOUNDED, l2_gas=UNBOUNDED
        )
    )
    tip: int = 0
    paymaster_data: tuple[int, ...] = ()
    deployment_data: tuple[int, ...] = ()
    nonce_mode: DAMode = DAMode.L1
    fee_mode: DAMode = DAMode.L1
    proof_facts: tuple[int, ...] = ()

    def hash(self, chain_id: int) -> int:
        """Return the hash that the account signs (Starknet docs, invoke v3)."""
        common = CommonTransactionV3Fields(
            tx_prefix=TransactionHashPrefix.INVOKE,
            version=self.version,
            address=self.sender,
            tip=self.tip,
            resource_bounds=self.bounds,
            paymaster_data=list(self.paymaster_data),
            chain_id=chain_id,
            nonce=self.nonce,
            nonce_data_availability_mode=self.nonce_mode,
            fee_data_availability_mode=self.fee_mode,
        )
        return compute_invoke_v3_transaction_hash(
            account_deployment_data=list(self.deployment_data),
            calldata=list(self.calldata),
            common_fields=common,
            proof_facts=list(self.proof_facts),
        )

    def body(self) -> dict[str, Any]:
        """Return TXN of the specification."""
        bounds = {
            name: {
                "max_amount": felt(getattr(self.bounds, name).max_amount),
                "max_price_per_unit": felt(getattr(self.bounds, name).max_price_per_unit),
            }
            for name in ("l1_gas", "l1_data_gas", "l2_gas")
        }
        return {
            "type": "INVOKE",
            "sender_address": felt(self.sender),
            "calldata": felts(self.calldata),
            "version": felt(self.version),
            "signature": felts(self.signature),
            "nonce": felt(self.nonce),
            "resource_bounds": bounds,
            "tip": felt(self.tip),
            "paymaster_data": felts(self.paymaster_data),
            "account_deployment_data": felts(self.deployment_data),
            "nonce_data_availability_mode": self.nonce_mode.name,
            "fee_data_availability_mode": self.fee_mode.name,
            "proof_facts": felts(self.proof_facts),
        }

    def most_it_may_cost(self) -> int:
        """Return the sum of each resource's limit times its highest price, in fri."""
        bounds = (self.bounds.l1_gas, self.bounds.l1_data_gas, self.bounds.l2_gas)
        tip = self.tip * self.bounds.l2_gas.max_amount
        return tip + sum(b.max_amount * b.max_price_per_unit for b in bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Message:
    """LogMessageToL2 of the L1 messaging contract."""

    from_address: int
    to_address: int
    selector: int
    payload: tuple[int, ...]
    nonce: int
    fee: int = 0  # wei
    l1_transaction: int = 0  # hash

    @property
    def hash(self) -> int:
        """Return the hash under which L1 keeps the message."""
        return l1_message_hash(
            self.from_address, self.to_address, self.nonce, self.selector, self.payload
        )

    @property
    def calldata(self) -> tuple[int, ...]:
        """Return the l1_handler's arguments: the sender on L1 comes first."""
        return (self.from_address, *self.payload)

    def transaction_hash(self, chain_id: int) -> int:
        """Return the hash of the L1_HANDLER transaction that the message becomes."""
        return l1_handler_hash(self.to_address, self.selector, self.calldata, self.nonce, chain_id)

    def body(self) -> dict[str, Any]:
        """Return TXN of the specification."""
        return {
            "type": "L1_HANDLER",
            "version": "0x0",
            "nonce": felt(self.nonce),
            "contract_address": felt(self.to_address),
            "entry_point_selector": felt(self.selector),
            "calldata": felts(self.calldata),
        }


def account_calldata(calls: Sequence[tuple[int, int, Sequence[int]]]) -> tuple[int, ...]:
    """Pack calls (contract, selector, arguments) as a Cairo 1 account takes them."""
    packed = [len(calls)]
    for address, selector, arguments in calls:
        packed += [address, selector, len(arguments), *arguments]
    return tuple(packed)
