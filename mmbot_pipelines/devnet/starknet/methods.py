"""The published methods that the local node answers, with the specification's objects."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmbot_pipelines.devnet.starknet import rpc
from mmbot_pipelines.devnet.starknet.chain import (
    Block,
    BlockId,
    Call,
    Event,
    Executed,
    Invoke,
    L1Message,
    RpcError,
)
from mmbot_pipelines.devnet.starknet.execution import Contract, ExecutionState
from mmbot_pipelines.devnet.starknet.felt import felt, felts, pseudo_hash
from mmbot_pipelines.devnet.starknet.gas import GAS
from mmbot_pipelines.devnet.starknet.rpc import Method, Readers
from mmbot_pipelines.devnet.starknet.sequencer import SEQUENCER_ADDRESS, Sequencer

SPEC_VERSION = "0.10.2"
_MAX_CHUNK = 1024
_TOKEN = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")  # block, and index of the event in it
_ROOTS = (
    "new_root",
    "event_commitment",
    "transaction_commitment",
    "receipt_commitment",
    "state_diff_commitment",
)
Json = dict[str, Any]


class StarknetMethods:
    """Answer the published methods from one sequencer."""

    def __init__(
        self, sequencer: Sequencer, messages: Callable[[int], Sequence[L1Message]]
    ) -> None:
        self._sequencer = sequencer
        self._chain = sequencer.chain
        self._messages = messages  # those that an L1 transaction sent; RpcError if unknown

    def routes(self) -> Mapping[str, Method]:
        """Return every method by its name, with its parameters."""
        block: Readers = {"block_id": rpc.block_id}
        address: Readers = {"contract_address": rpc.felt}
        transaction = {"transaction_hash": rpc.felt}
        estimated: Readers = {"request": rpc.invokes, "simulation_flags": rpc.flags, **block}
        methods = {
            "specVersion": Method(lambda: SPEC_VERSION, {}),
            "chainId": Method(lambda: felt(self._sequencer.chain_id), {}),
            "blockNumber": Method(lambda: self._chain.latest.number, {}),
            "blockHashAndNumber": Method(lambda: place(self._chain.latest), {}),
            "getBlockWithTxHashes": Method(self.block_with_hashes, block),
            "getTransactionReceipt": Method(self.receipt, transaction),
            "getTransactionStatus": Method(self.transaction_status, transaction),
            "getMessagesStatus": Method(self.messages_status, {"transaction_hash": rpc.hex_number}),
            "getEvents": Method(self.events, {"filter": dict}),
            "getNonce": Method(self.nonce, {**block, **address}),
            "getClassAt": Method(self.class_at, {**block, **address}),
            "getClassHashAt": Method(self.class_hash, {**block, **address}),
            "call": Method(self.call, {"request": rpc.function_call, **block}),
            "estimateFee": Method(self.estimate_fee, estimated),
            "estimateMessageFee": Method(
                self.estimate_message_fee, {"message": rpc.message, **block}
            ),
            "addInvokeTransaction": Method(self.add_invoke, {"invoke_transaction": rpc.invoke}),
        }
        return {f"starknet_{name}": method for name, method in methods.items()}

    def block_with_hashes(self, block_id: BlockId) -> Json:
        block = self._chain.block(block_id)
        return self._header(block) | {"transactions": felts(t.hash for t in block.transactions)}

    def receipt(self, transaction_hash: int) -> Json:
        block, executed = self._chain.place(transaction_hash)
        answer: Json = {
            "type": "INVOKE",
            "transaction_hash": felt(executed.hash),
            "actual_fee": {"amount": felt(executed.fee), "unit": "FRI"},
            "finality_status": self._chain.finality(block),
            "messages_sent": [],
            "events": [event(e) for e in executed.events],
            "execution_resources": {gas: getattr(executed.resources, gas) for gas in GAS},
            **status(executed, "revert_reason"),
            **place(block),
        }
        if isinstance(executed.source, L1Message):
            answer["type"] = "L1_HANDLER"
            answer["message_hash"] = f"{executed.source.hash:#066x}"
            answer["actual_fee"]["unit"] = "WEI"
        return answer

    def transaction_status(self, transaction_hash: int) -> Json:
        block, executed = self._chain.place(transaction_hash)
        finality = {"finality_status": self._chain.finality(block)}
        return finality | status(executed, "failure_reason")

    def messages_status(self, transaction_hash: int) -> list[Json]:
        hashes = [self._chain.handler_of(m.hash) for m in self._messages(transaction_hash)]
        return [
            {"transaction_hash": felt(tx_hash)} | self.transaction_status(tx_hash)
            for tx_hash in hashes
            if tx_hash is not None
        ]

    def events(self, filter: Json) -> Json:  # noqa: A002  the published name
        """Return EVENTS_CHUNK: a page of events, and the token of the next page if any.

        Raises:
            RpcError: PAGE_SIZE_TOO_BIG, BLOCK_NOT_FOUND, INVALID_CONTINUATION_TOKEN.
        """
        if filter["chunk_size"] > _MAX_CHUNK:
            raise RpcError("PAGE_SIZE_TOO_BIG")
        first = self._height(filter.get("from_block", {"block_number": 0}))
        last = self._height(filter.get("to_block", "pre_confirmed"))
        if isinstance(filter.get("to_block"), dict):
            # Only the tag `pre_confirmed` reaches the block being built.
            last = min(last, self._chain.latest.number)
        start, skip = _position(filter.get("continuation_token"), first, last)
        given = filter.get("address", [])
        addresses = set(rpc.felts(given if isinstance(given, list) else [given]))
        keys = [set(rpc.felts(allowed)) for allowed in filter.get("keys", [])]
        blocks = [*self._chain.sealed, self._chain.building][start : last + 1]
        found: list[Json] = []
        for block in blocks:
            for position, (place_of, emitted) in enumerate(_emitted(block)):
                if block.number == start and position < skip:
                    continue
                if not _matches(emitted, addresses, keys):
                    continue
                if len(found) == filter["chunk_size"]:
                    return {"events": found, "continuation_token": f"{block.number}-{position}"}
                found.append(event(emitted) | place(block) | place_of)
        return {"events": found}

    def nonce(self, block_id: BlockId, contract_address: int) -> str:
        block = self._chain.block(block_id)
        self._contract(block, contract_address)
        return felt(ExecutionState(block.state).read("nonce", contract_address))

    def class_at(self, block_id: BlockId, contract_address: int) -> Json:
        """Return CONTRACT_CLASS of Cairo 1, without a program or ABI: these have none."""
        self._contract(self._chain.block(block_id), contract_address)
        return {
            "sierra_program": [],
            "contract_class_version": "0.1.0",
            "entry_points_by_type": {"CONSTRUCTOR": [], "EXTERNAL": [], "L1_HANDLER": []},
            "abi": "[]",
        }

    def class_hash(self, block_id: BlockId, contract_address: int) -> str:
        return felt(self._contract(self._chain.block(block_id), contract_address).class_hash)

    def call(self, request: Call, block_id: BlockId) -> list[str]:
        return felts(self._sequencer.call(request, self._chain.block(block_id)))

    def estimate_fee(
        self, request: Sequence[Invoke], simulation_flags: Sequence[str], block_id: BlockId
    ) -> list[dict[str, str]]:
        block, validate = self._chain.block(block_id), "SKIP_VALIDATE" not in simulation_flags
        return self._sequencer.estimate(request, block, validate=validate)

    def estimate_message_fee(self, message: L1Message, block_id: BlockId) -> dict[str, str]:
        return self._sequencer.estimate_message(message, self._chain.block(block_id))

    def add_invoke(self, invoke_transaction: Invoke) -> Json:
        if invoke_transaction.version != 3:
            raise RpcError("UNSUPPORTED_TX_VERSION")
        return {"transaction_hash": felt(self._sequencer.submit(invoke_transaction).hash)}

    def _header(self, block: Block) -> Json:
        """Return BLOCK_HEADER with the status, or PRE_CONFIRMED_BLOCK_HEADER."""
        wei, fri = self._sequencer.prices, self._sequencer.prices.in_fri()
        answer = place(block) | {
            "timestamp": block.timestamp,
            "sequencer_address": felt(SEQUENCER_ADDRESS),
            "l1_da_mode": "BLOB",
            "starknet_version": "0.14.1",
        }
        for gas in GAS:
            prices = {"price_in_fri": getattr(fri, gas), "price_in_wei": getattr(wei, gas)}
            answer[f"{gas}_price"] = {unit: felt(price) for unit, price in prices.items()}
        if block.hash is None:
            return answer
        return answer | {
            "status": self._chain.finality(block),
            "parent_hash": felt(block.parent_hash),
            **{root: felt(pseudo_hash(root, block.hash)) for root in _ROOTS},
            "event_count": sum(len(t.events) for t in block.transactions),
            "transaction_count": len(block.transactions),
            "state_diff_length": 0,  # not counted
        }

    def _contract(self, block: Block, address: int) -> Contract:
        contract = ExecutionState(block.state).contract(address)
        if contract is None:
            raise RpcError("CONTRACT_NOT_FOUND")
        return contract

    def _height(self, given: Any) -> int:
        block_id = rpc.block_id(given)
        return self._chain.block(block_id).number if block_id.number is None else block_id.number


def place(block: Block) -> Json:
    """Return block number and hash; a block being built has no hash yet."""
    number: Json = {"block_number": block.number}
    return number if block.hash is None else number | {"block_hash": felt(block.hash)}


def event(emitted: Event) -> Json:
    """Return EVENT."""
    return {
        "from_address": felt(emitted.address),
        "keys": felts(emitted.keys),
        "data": felts(emitted.data),
    }


def status(executed: Executed, reason: str) -> Json:
    """Return the execution status, with the reason under this name where it reverted."""
    if executed.revert_reason is None:
        return {"execution_status": "SUCCEEDED"}
    return {"execution_status": "REVERTED", reason: executed.revert_reason}


def _emitted(block: Block) -> list[tuple[Json, Event]]:
    """List a block's events, each with its place in the block."""
    return [
        (
            {
                "transaction_hash": felt(executed.hash),
                "transaction_index": index,
                "event_index": event_index,
            },
            emitted,
        )
        for index, executed in enumerate(block.transactions)
        for event_index, emitted in enumerate(executed.events)
    ]


def _matches(emitted: Event, addresses: set[int], keys: Sequence[set[int]]) -> bool:
    """Return whether a filter lets the event through; an empty set allows anything."""
    if addresses and emitted.address not in addresses:
        return False
    present = (*emitted.keys, *(None for _ in keys))
    return all(not allowed or key in allowed for allowed, key in zip(keys, present, strict=False))


def _position(token: str | None, first: int, last: int) -> tuple[int, int]:
    """Return block and event index where the page begins."""
    if token is None:
        return first, 0
    found = _TOKEN.fullmatch(token)
    if found is None or not first <= int(found[1]) <= last:
        raise RpcError("INVALID_CONTINUATION_TOKEN")
    return int(found[1]), int(found[2])
