"""The published methods that the local node answers, with the specification's objects."""

from collections.abc import Callable, Sequence
from typing import Any

from starknet_py.net.models.transaction import InvokeV3
from starknet_py.net.schemas.broadcasted_txn import BroadcastedTransactionSchema

from mmbot_pipelines.devnet.starknet.chain import Executed, L1Message, StarknetBlock, StarknetEvent
from mmbot_pipelines.devnet.starknet.delivery import Inbox
from mmbot_pipelines.devnet.starknet.execution import ExecutionState
from mmbot_pipelines.devnet.starknet.felt import felt, felts, pseudo_hash
from mmbot_pipelines.devnet.starknet.gas import GAS, in_fri
from mmbot_pipelines.devnet.starknet.rpc import ErrorResponse
from mmbot_pipelines.devnet.starknet.sequencer import CHAIN_ID, SEQUENCER_ADDRESS, Sequencer

_ROOTS = (
    "new_root",
    "event_commitment",
    "transaction_commitment",
    "receipt_commitment",
    "state_diff_commitment",
)
_SIGNED = (
    *("version", "signature", "nonce", "resource_bounds", "tip"),
    *("calldata", "sender_address"),
)
Json = dict[str, Any]


class StarknetMethods:
    """Answer the published methods from one sequencer; parameters have their published names."""

    def __init__(self, sequencer: Sequencer, inbox: Inbox) -> None:
        self._sequencer = sequencer
        self._chain = sequencer.chain
        self._inbox = inbox

    def routes(self) -> dict[str, Callable[..., Any]]:
        """Return every method by its name."""
        chain = self._chain
        methods: dict[str, Callable[..., Any]] = {
            "specVersion": lambda: "0.10.2",
            "chainId": lambda: felt(CHAIN_ID),
            "blockNumber": lambda: chain.block("latest").number,
            "blockHashAndNumber": lambda: place(chain.block("latest")),
            "getBlockWithTxHashes": self.block_with_hashes,
            "getTransactionReceipt": self.receipt,
            "getTransactionStatus": self.transaction_status,
            "getMessagesStatus": self.messages_status,
            "getEvents": self.events,
            "getNonce": self.nonce,
            "getClassAt": self.class_at,
            "getClassHashAt": self.class_hash,
            "call": self.call,
            "estimateFee": self.estimate_fee,
            "estimateMessageFee": self.estimate_message_fee,
            "addInvokeTransaction": self.add_invoke,
        }
        return {f"starknet_{name}": method for name, method in methods.items()}

    def block_with_hashes(self, block_id: Any) -> Json:
        """Return a block with BLOCK_HEADER or, while it is being built, PRE_CONFIRMED_…"""
        block = self._chain.block(block_id)
        wei, fri = self._sequencer.prices, in_fri(self._sequencer.prices)
        answer = place(block) | {
            "timestamp": block.timestamp,
            "sequencer_address": felt(SEQUENCER_ADDRESS),
            "l1_da_mode": "BLOB",
            "starknet_version": "0.14.1",
            "transactions": felts(t.hash for t in block.transactions),
        }
        for gas in GAS:
            answer[f"{gas}_price"] = {
                "price_in_fri": felt(fri[gas]),
                "price_in_wei": felt(wei[gas]),
            }
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

    def receipt(self, transaction_hash: str) -> Json:
        block, executed = self._chain.place(int(transaction_hash, 16))
        answer: Json = {
            "type": "INVOKE",
            "transaction_hash": felt(executed.hash),
            "actual_fee": {"amount": felt(executed.fee), "unit": "FRI"},
            "finality_status": self._chain.finality(block),
            "messages_sent": [],
            "events": [event(e) for e in executed.events],
            "execution_resources": executed.gas,
            **status(executed, "revert_reason"),
            **place(block),
        }
        if executed.message is not None:
            answer["type"] = "L1_HANDLER"
            answer["message_hash"] = f"{executed.message.hash:#066x}"
            answer["actual_fee"]["unit"] = "WEI"
        return answer

    def transaction_status(self, transaction_hash: str) -> Json:
        block, executed = self._chain.place(int(transaction_hash, 16))
        finality = {"finality_status": self._chain.finality(block)}
        return finality | status(executed, "failure_reason")

    def messages_status(self, transaction_hash: str) -> list[Json]:
        handlers = [
            felt(message.handler)
            for message in self._inbox.executed()
            if message.l1_transaction == int(transaction_hash, 16)
        ]
        return [{"transaction_hash": h} | self.transaction_status(h) for h in handlers]

    def events(self, filter: Json) -> Json:  # noqa: A002  the published name
        """Return EVENTS_CHUNK: a page of events, and the token of the next page if any.

        The token is how many events the pages before had.
        """
        last = filter.get("to_block", "pre_confirmed")
        # Only the tag reaches the block being built.
        building = [self._chain.building] if last == "pre_confirmed" else []
        first = self._number(filter.get("from_block", {"block_number": 0}))
        blocks = [*self._chain.sealed, *building][first : self._number(last) + 1]
        keys = [set(allowed) for allowed in filter.get("keys", [])]
        found = [
            emitted
            for block in blocks
            for emitted in _emitted(block)
            if _matches(emitted, filter.get("address"), keys)
        ]
        start = int(filter.get("continuation_token", 0))
        end = start + filter["chunk_size"]
        more = {"continuation_token": str(end)} if end < len(found) else {}
        return {"events": found[start:end], **more}

    def nonce(self, block_id: Any, contract_address: str) -> str:
        state, address = self._deployed(block_id, contract_address)
        return felt(state.read("nonce", address))

    def class_at(self, block_id: Any, contract_address: str) -> Json:
        """Return CONTRACT_CLASS of Cairo 1, without a program or ABI: these have none."""
        self._deployed(block_id, contract_address)
        return {
            "sierra_program": [],
            "contract_class_version": "0.1.0",
            "entry_points_by_type": {"CONSTRUCTOR": [], "EXTERNAL": [], "L1_HANDLER": []},
            "abi": "[]",
        }

    def class_hash(self, block_id: Any, contract_address: str) -> str:
        state, address = self._deployed(block_id, contract_address)
        return felt(state.read("class", address).class_hash)

    def call(self, request: Json, block_id: Any) -> list[str]:
        to, selector = (int(request[f], 16) for f in ("contract_address", "entry_point_selector"))
        calldata = [int(word, 16) for word in request["calldata"]]
        block = self._chain.block(block_id)
        return felts(self._sequencer.call(to, selector, calldata, block))

    def estimate_fee(
        self, request: Sequence[Json], simulation_flags: Sequence[str], block_id: Any
    ) -> list[dict[str, str]]:
        block, validate = self._chain.block(block_id), "SKIP_VALIDATE" not in simulation_flags
        (only,) = request
        return [self._sequencer.estimate(_invoke(only), block, validate=validate)]

    def estimate_message_fee(self, message: Json, block_id: Any) -> dict[str, str]:
        block = self._chain.block(block_id)
        return self._sequencer.estimate_message(l1_message(message), block)

    def add_invoke(self, invoke_transaction: Json) -> Json:
        return {"transaction_hash": felt(self._sequencer.submit(_invoke(invoke_transaction)))}

    def _deployed(self, block_id: Any, contract_address: str) -> tuple[ExecutionState, int]:
        """Return the state after a block, and the address of a contract in it."""
        state, address = (
            ExecutionState(self._chain.block(block_id).state),
            int(contract_address, 16),
        )
        if state.contract(address) is None:
            raise ErrorResponse("CONTRACT_NOT_FOUND")
        return state, address

    def _number(self, block_id: Any) -> int:
        """Return a block's number, of one that is still to come too."""
        if isinstance(block_id, dict) and "block_number" in block_id:
            return int(block_id["block_number"])
        return self._chain.block(block_id).number


def l1_message(given: Json) -> L1Message:
    """Read MSG_FROM_L1."""
    return L1Message(
        from_address=int(given["from_address"], 16),
        to_address=int(given["to_address"], 16),
        selector=int(given["entry_point_selector"], 16),
        payload=tuple(int(word, 16) for word in given["payload"]),
    )


def place(block: StarknetBlock) -> Json:
    """Return block number and hash; a block being built has no hash yet."""
    number: Json = {"block_number": block.number}
    return number if block.hash is None else number | {"block_hash": felt(block.hash)}


def event(emitted: StarknetEvent) -> Json:
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


def _emitted(block: StarknetBlock) -> list[Json]:
    """List a block's events as EMITTED_EVENT."""
    return [
        event(emitted)
        | place(block)
        | {
            "transaction_hash": felt(executed.hash),
            "transaction_index": index,
            "event_index": event_index,
        }
        for index, executed in enumerate(block.transactions)
        for event_index, emitted in enumerate(executed.events)
    ]


def _matches(emitted: Json, address: str | None, keys: Sequence[set[str]]) -> bool:
    """Return whether a filter lets the event through; an empty set allows any key."""
    if address not in (None, emitted["from_address"]) or len(keys) > len(emitted["keys"]):
        return False
    return all(
        not allowed or key in allowed for allowed, key in zip(keys, emitted["keys"], strict=False)
    )


def _invoke(transaction: Json) -> InvokeV3:
    """Read BROADCASTED_INVOKE_TXN_V3."""
    read = BroadcastedTransactionSchema().load(transaction)  # type: ignore[no-untyped-call]
    return InvokeV3(**{name: getattr(read, name) for name in _SIGNED})
