"""The methods of Starknet's JSON-RPC 0.10.2 that the local node answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mmbot_pipelines.devnet import starknet_answers as answers
from mmbot_pipelines.devnet import starknet_params as read
from mmbot_pipelines.devnet.starknet_chain import Block, BlockId
from mmbot_pipelines.devnet.starknet_errors import RpcError
from mmbot_pipelines.devnet.starknet_events import EventFilter, event_filter, get_events
from mmbot_pipelines.devnet.starknet_execution import Contract
from mmbot_pipelines.devnet.starknet_felt import felt, felts
from mmbot_pipelines.devnet.starknet_genesis import CLASSES
from mmbot_pipelines.devnet.starknet_history import Slot
from mmbot_pipelines.devnet.starknet_routes import Route, optional, required
from mmbot_pipelines.devnet.starknet_sequencer import Call, Sequencer
from mmbot_pipelines.devnet.starknet_transactions import Invoke, L1Message

SPEC_VERSION = "0.10.2"
BLOCK = required("block_id", read.block_id)
ADDRESS = required("contract_address", read.felt)
HASH = required("transaction_hash", read.felt)
FLAGS = optional("response_flags", read.list_of(read.one_of("INCLUDE_PROOF_FACTS")), ())


class StarknetMethods:
    """Answer the published methods from one sequencer."""

    def __init__(
        self, sequencer: Sequencer, messages: Callable[[int], Sequence[L1Message]]
    ) -> None:
        self._sequencer = sequencer
        self._chain = sequencer.chain
        self._messages = messages  # those that an L1 transaction sent; RpcError if unknown

    def routes(self) -> Mapping[str, Route]:
        """Return every method by its name, with the parameters it takes."""
        calls = required("request", read.list_of(read.invoke))
        simulation = required("simulation_flags", read.list_of(read.one_of("SKIP_VALIDATE")))
        storage_flags = read.list_of(read.one_of("INCLUDE_LAST_UPDATE_BLOCK"))
        routes = {
            "specVersion": Route(lambda: SPEC_VERSION),
            "chainId": Route(lambda: felt(self._sequencer.chain_id)),
            "syncing": Route(lambda: False),
            "blockNumber": Route(lambda: self._chain.latest.number),
            "blockHashAndNumber": Route(lambda: answers.place(self._chain.latest)),
            "getBlockWithTxHashes": Route(self.block_with_hashes, BLOCK),
            "getBlockWithTxs": Route(self.block_with_transactions, BLOCK, FLAGS),
            "getBlockWithReceipts": Route(self.block_with_receipts, BLOCK, FLAGS),
            "getBlockTransactionCount": Route(self.transaction_count, BLOCK),
            "getTransactionByHash": Route(self.transaction, HASH, FLAGS),
            "getTransactionByBlockIdAndIndex": Route(
                self.transaction_at, BLOCK, required("index", read.natural), FLAGS
            ),
            "getTransactionReceipt": Route(self.receipt, HASH),
            "getTransactionStatus": Route(self.transaction_status, HASH),
            "getMessagesStatus": Route(
                self.messages_status, required("transaction_hash", read.l1_hash)
            ),
            "getEvents": Route(self.events, required("filter", event_filter)),
            "getStorageAt": Route(
                self.storage,
                ADDRESS,
                required("key", read.storage_key),
                BLOCK,
                optional("response_flags", storage_flags, ()),
            ),
            "getNonce": Route(self.nonce, BLOCK, ADDRESS),
            "getClass": Route(self.class_by_hash, BLOCK, required("class_hash", read.felt)),
            "getClassAt": Route(self.class_at, BLOCK, ADDRESS),
            "getClassHashAt": Route(self.class_hash, BLOCK, ADDRESS),
            "call": Route(self.call, required("request", read.function_call), BLOCK),
            "estimateFee": Route(self.estimate_fee, calls, simulation, BLOCK),
            "estimateMessageFee": Route(
                self.estimate_message_fee, required("message", read.message), BLOCK
            ),
            "addInvokeTransaction": Route(
                self.add_invoke, required("invoke_transaction", read.invoke)
            ),
        }
        return {f"starknet_{name}": route for name, route in routes.items()}

    def block_with_hashes(self, block_id: BlockId) -> Any:
        block = self._chain.block(block_id)
        return self._header(block) | {"transactions": felts(t.hash for t in block.transactions)}

    def block_with_transactions(self, block_id: BlockId, flags: Sequence[str]) -> Any:
        block = self._chain.block(block_id)
        full = [
            answers.transaction_with_hash(t, proof_facts=bool(flags)) for t in block.transactions
        ]
        return self._header(block) | {"transactions": full}

    def block_with_receipts(self, block_id: BlockId, flags: Sequence[str]) -> Any:
        block = self._chain.block(block_id)
        finality = self._chain.finality(block)
        full = [
            {
                "transaction": answers.transaction(t, proof_facts=bool(flags)),
                "receipt": answers.receipt(t, finality),
            }
            for t in block.transactions
        ]
        return self._header(block) | {"transactions": full}

    def transaction_count(self, block_id: BlockId) -> Any:
        return len(self._chain.block(block_id).transactions)

    def transaction(self, tx_hash: int, flags: Sequence[str]) -> Any:
        block, index = self._chain.place(tx_hash)
        return answers.transaction_with_hash(block.transactions[index], proof_facts=bool(flags))

    def transaction_at(self, block_id: BlockId, index: int, flags: Sequence[str]) -> Any:
        transactions = self._chain.block(block_id).transactions
        if index >= len(transactions):
            raise RpcError("INVALID_TXN_INDEX")
        return answers.transaction_with_hash(transactions[index], proof_facts=bool(flags))

    def receipt(self, tx_hash: int) -> Any:
        block, index = self._chain.place(tx_hash)
        executed = block.transactions[index]
        return answers.receipt(executed, self._chain.finality(block)) | answers.place(block)

    def transaction_status(self, tx_hash: int) -> Any:
        block, index = self._chain.place(tx_hash)
        status = answers.status(block.transactions[index])
        if "revert_reason" in status:
            status["failure_reason"] = status.pop("revert_reason")
        return {"finality_status": self._chain.finality(block)} | status

    def messages_status(self, l1_transaction: int) -> Any:
        hashes = [self._chain.handler_of(m.hash) for m in self._messages(l1_transaction)]
        return [
            {"transaction_hash": felt(tx_hash)} | self.transaction_status(tx_hash)
            for tx_hash in hashes
            if tx_hash is not None
        ]

    def events(self, wanted: EventFilter) -> Any:
        settings = self._sequencer.settings
        limits = {"max_chunk_size": settings.max_chunk_size, "max_keys": settings.max_keys}
        return get_events(self._chain, wanted, **limits)

    def storage(self, address: int, key: int, block_id: BlockId, flags: Sequence[str]) -> Any:
        block = self._chain.block(block_id)
        self._contract(block, address)
        slot = Slot("storage", address, key)
        value = felt(self._chain.history.read(slot, block.number))
        if not flags:
            return value
        written = self._chain.history.written(slot, block.number)
        return {"value": value, "last_update_block": written}

    def nonce(self, block_id: BlockId, address: int) -> Any:
        block = self._chain.block(block_id)
        self._contract(block, address)
        return felt(self._chain.history.read(Slot("nonce", address), block.number))

    def class_by_hash(self, block_id: BlockId, class_hash: int) -> Any:
        self._chain.block(block_id)
        if class_hash not in CLASSES:
            raise RpcError("CLASS_HASH_NOT_FOUND")
        return sierra(CLASSES[class_hash])

    def class_at(self, block_id: BlockId, address: int) -> Any:
        return sierra(self._contract(self._chain.block(block_id), address))

    def class_hash(self, block_id: BlockId, address: int) -> Any:
        return felt(self._contract(self._chain.block(block_id), address).class_hash)

    def call(self, request: Call, block_id: BlockId) -> Any:
        return felts(self._sequencer.call(request, self._chain.block(block_id)))

    def estimate_fee(self, txs: Sequence[Invoke], flags: Sequence[str], block_id: BlockId) -> Any:
        block = self._chain.block(block_id)
        return self._sequencer.estimate(txs, block, validate="SKIP_VALIDATE" not in flags)

    def estimate_message_fee(self, message: L1Message, block_id: BlockId) -> Any:
        return self._sequencer.estimate_message(message, self._chain.block(block_id))

    def add_invoke(self, tx: Invoke) -> Any:
        if tx.version != 3:
            raise RpcError("UNSUPPORTED_TX_VERSION")
        return {"transaction_hash": felt(self._sequencer.submit(tx).hash)}

    def _header(self, block: Block) -> dict[str, Any]:
        return answers.header(self._chain, block, self._sequencer.prices)

    def _contract(self, block: Block, address: int) -> Contract:
        contract = self._sequencer.world(block).contract(address)
        if contract is None:
            raise RpcError("CONTRACT_NOT_FOUND")
        return contract


def sierra(contract: Contract) -> dict[str, Any]:
    """Return CONTRACT_CLASS, without a program: the devnet's contracts have none."""
    external = [{"selector": felt(s), "function_idx": i} for i, s in enumerate(contract.externals)]
    handlers = [
        {"selector": felt(s), "function_idx": len(external) + i}
        for i, s in enumerate(contract.l1_handlers)
    ]
    return {
        "sierra_program": [],
        "contract_class_version": "0.1.0",
        "entry_points_by_type": {
            "CONSTRUCTOR": [],
            "EXTERNAL": external,
            "L1_HANDLER": handlers,
        },
        "abi": json.dumps(contract.abi),
    }
