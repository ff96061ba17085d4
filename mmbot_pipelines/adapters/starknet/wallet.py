"""Our account on Starknet, which submits proofs to the escrow. Reads and writes chain.

It signs and broadcasts; `starknet.lane` decides when, and with which nonce. The key
is used nowhere else.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from typing import Any

from pydantic import SecretStr
from starknet_py.constants import QUERY_VERSION_BASE
from starknet_py.hash.utils import message_signature
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping
from starknet_py.net.models.transaction import InvokeV3
from starknet_py.net.schemas.broadcasted_txn import BroadcastedTransactionSchema

from mmbot_pipelines.adapters.rpc.health import NodeFault
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.starknet.decoding import (
    GASES,
    FeeEstimate,
    felt,
    innermost,
    listed,
    members,
    reason,
    text,
    word,
)
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.text import cleaned

# Starknet JSON-RPC specification, errors
EXECUTION_ERROR = 41
_TXN_HASH_NOT_FOUND = 29
_UNDER_WAY = (52, 59)  # the nonce is taken, or the very transaction is known

_STATUS, _RECEIPT = "getTransactionStatus", "getTransactionReceipt"
_ACCEPTED = ("ACCEPTED_ON_L2", "ACCEPTED_ON_L1")


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
        self._short = hex(int(address, 16))  # as the specification writes a felt

    def __repr__(self) -> str:
        return f"StarknetWallet({self.address})"

    def nonce(self, node: StarknetNode, at: str) -> int:
        """Return the account's next nonce after the block of a tag."""
        return felt(node.call("getNonce", block_id=at, contract_address=self._short))

    def class_version(self, node: StarknetNode) -> int:
        """Return of which Cairo the account's class is, as this node shows it: 0 or 1."""
        found = node.call("getClassAt", block_id="pre_confirmed", contract_address=self._short)
        return int("sierra_program" in members(found))

    def reverts(self, node: StarknetNode, calls: Sequence[Call]) -> str | None:
        """Return why the called contract refuses these calls now; None where it takes them.

        Raises:
            RpcError: the node refuses the estimate for another reason.
        """
        try:
            unpriced = self._unpriced(node, calls, self.nonce(node, "pre_confirmed"))
            self._estimate(node, unpriced, calls)
        except CallReverts as e:
            return str(e)
        return None

    def sign(
        self, node: StarknetNode, calls: Sequence[Call], *, nonce: int, bump: int
    ) -> SignedInvoke:
        """Sign one transaction of all calls: all of them happen, or none.

        It may use half as much again as estimated, at half as much again; `bump` makes the
        hash another one.

        Raises:
            CallReverts: the called contract would refuse it.
            RpcRefused: our account does not take our signature.
        """
        unpriced = self._unpriced(node, calls, nonce)
        # Without our signature first: so that a revert is the calls' own.
        self._estimate(node, unpriced, calls)
        try:
            used = self._estimate(node, unpriced, calls, validate=True).gas
        except RpcError as e:
            raise RpcRefused(
                f"our account {self.address} does not take our signature ({reason(e)}): "
                "fix MMBOT_STARKNET_PRIVATE_KEY or MMBOT_STARKNET_WALLET_ADDRESS"
            ) from None
        bounds = ResourceBoundsMapping(
            l1_gas=_bound(*used["l1_gas"]),
            l1_data_gas=_bound(*used["l1_data_gas"]),
            l2_gas=_bound(*used["l2_gas"], more=bump),
        )
        signed = self._signed(replace(unpriced, resource_bounds=bounds))
        return SignedInvoke(
            hash=TxHash(word(signed.calculate_hash(self.chain_id))),
            raw=json.dumps(_broadcasted(signed)).encode(),
        )

    def broadcast(self, node: StarknetNode, raw: bytes) -> RpcError | None:
        """Hand a signed transaction over; return why it is refused, None where it is not.

        One that is known already, or whose nonce is taken by now, counts as handed over.
        """
        try:
            node.call("addInvokeTransaction", invoke_transaction=json.loads(raw))
        except RpcError as e:
            return None if e.code in _UNDER_WAY else e
        return None

    def statuses(self, node: StarknetNode, txs: Sequence[TxHash]) -> list[TxStatus | None]:
        """Return what a node knows of transactions of ours; None where it knows none."""
        return [None if one is None else _status(one) for one in _known(node, _STATUS, txs)]

    def costs(self, node: StarknetNode, txs: Sequence[TxHash]) -> list[int | None]:
        """Return what executions have cost, in fri; None where a node has no receipt."""
        receipts = zip(txs, _known(node, _RECEIPT, txs), strict=True)
        return [None if receipt is None else _cost(tx, receipt) for tx, receipt in receipts]

    def signature(self, message_hash: int) -> list[int]:
        """Sign a hash, as the account's `is_valid_signature` takes it."""
        return list(message_signature(message_hash, int(self._key.get_secret_value(), 16)))

    def _unpriced(self, node: StarknetNode, calls: Sequence[Call], nonce: int) -> InvokeV3:
        nothing = ResourceBounds(max_amount=0, max_price_per_unit=0)
        cairo = self.class_version(node) if self.cairo is None else self.cairo
        return InvokeV3(
            version=3,
            signature=[],
            nonce=nonce,
            resource_bounds=ResourceBoundsMapping(nothing, nothing, nothing),
            tip=0,
            calldata=encoded(calls, cairo),
            sender_address=int(self.address, 16),
        )

    def _signed(self, tx: InvokeV3) -> InvokeV3:
        return replace(tx, signature=self.signature(tx.calculate_hash(self.chain_id)))

    def _estimate(
        self, node: StarknetNode, tx: InvokeV3, calls: Sequence[Call], *, validate: bool = False
    ) -> FeeEstimate:
        query = self._signed(replace(tx, version=tx.version + QUERY_VERSION_BASE))
        try:
            (estimate,) = listed(
                node.call(
                    "estimateFee",
                    request=[_broadcasted(query)],
                    simulation_flags=[] if validate else ["SKIP_VALIDATE"],
                    block_id="pre_confirmed",
                )
            )
        except ValueError:
            raise NodeFault("answered not one estimate for one transaction") from None
        except RpcError as e:
            # What speaks against the transaction itself, e.g. its nonce, names no contract.
            reported = json.dumps(e.data, default=str).lower()
            if e.code == EXECUTION_ERROR and any(f"{c.to_addr:x}" in reported for c in calls):
                raise CallReverts(reason(e)) from None
            raise
        return FeeEstimate.read(estimate)


def encoded(calls: Sequence[Call], cairo: int) -> list[int]:
    """Return the calldata of an account's `__execute__` for many calls.

    cairo: version of the account's class; 0 takes all calldata behind all calls.
    """
    if cairo == 1:
        ours = [[c.to_addr, c.selector, len(c.calldata), *c.calldata] for c in calls]
        return [len(calls), *chain(*ours)]
    given = [value for c in calls for value in c.calldata]
    starts = [0, *accumulate(len(c.calldata) for c in calls)]
    heads = [[c.to_addr, c.selector, at, len(c.calldata)] for c, at in zip(calls, starts)]  # noqa: B905
    return [len(calls), *chain(*heads), len(given), *given]


def _broadcasted(tx: InvokeV3) -> dict[str, Any]:
    """Write a transaction as BROADCASTED_INVOKE_TXN of the specification."""
    written: dict[str, Any] = BroadcastedTransactionSchema().dump(obj=tx)  # type: ignore[no-untyped-call]
    return written


def _known(node: StarknetNode, method: str, txs: Sequence[TxHash]) -> list[Any]:
    """Ask about transactions; None stands for one that the node does not know."""
    answers = node.batch([(method, {"transaction_hash": hex(int(tx, 16))}) for tx in txs])
    for answer in answers:
        if isinstance(answer, RpcError) and answer.code != _TXN_HASH_NOT_FOUND:
            raise answer
    return [None if isinstance(answer, RpcError) else answer for answer in answers]


def _status(answer: object) -> TxStatus:
    reported = members(answer, finality_status=text)
    reverted = reported.get("execution_status") == "REVERTED"
    why = cleaned(innermost(str(reported.get("failure_reason") or "no reason is given")))
    return TxStatus(
        accepted=reported["finality_status"] in _ACCEPTED, reverted=why if reverted else None
    )


def _cost(tx: TxHash, answer: object) -> int:
    reported = members(answer, transaction_hash=felt, actual_fee=members)
    fee = members(reported["actual_fee"], amount=felt, unit=text)
    if reported["transaction_hash"] != int(tx, 16) or fee["unit"] != "FRI":
        raise NodeFault(f"answered a receipt of {tx} that cannot be")
    return int(fee["amount"])


def prices(raw: bytes) -> list[int]:
    """Return the highest prices that a stored transaction takes, in fri by kind of gas."""
    bounds = json.loads(raw)["resource_bounds"]
    return [int(bounds[gas]["max_price_per_unit"], 16) for gas in GASES]


def at_most(raw: bytes) -> int:
    """Return what a stored transaction may cost at most, in fri: the account must hold it."""
    bounds = json.loads(raw)["resource_bounds"]
    amounts = [int(bounds[gas]["max_amount"], 16) for gas in GASES]
    return sum(amount * price for amount, price in zip(amounts, prices(raw), strict=True))


def _bound(amount: int, price: int, *, more: int = 0) -> ResourceBounds:
    return ResourceBounds(max_amount=amount * 3 // 2 + more, max_price_per_unit=price * 3 // 2)
