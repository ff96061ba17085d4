"""Writes blocks, transactions and receipts as the specification's objects."""

from typing import Any

from mmbot_pipelines.devnet.starknet_chain import Block, Chain, Executed
from mmbot_pipelines.devnet.starknet_execution import Event
from mmbot_pipelines.devnet.starknet_fees import GasPrices
from mmbot_pipelines.devnet.starknet_felt import felt, felts, pseudo_hash
from mmbot_pipelines.devnet.starknet_genesis import SEQUENCER_ADDRESS

Json = dict[str, Any]


def transaction(executed: Executed, *, proof_facts: bool = False) -> Json:
    """Return TXN; its proof facts only where the request's flags ask for them."""
    body = executed.source.body()
    if not proof_facts:
        body.pop("proof_facts", None)
    return body


def transaction_with_hash(executed: Executed, *, proof_facts: bool = False) -> Json:
    """Return TXN_WITH_HASH."""
    hashed = {"transaction_hash": felt(executed.hash)}
    return transaction(executed, proof_facts=proof_facts) | hashed


def status(executed: Executed) -> Json:
    """Return the execution status, with the reason where it reverted."""
    if executed.revert_reason is None:
        return {"execution_status": "SUCCEEDED"}
    return {"execution_status": "REVERTED", "revert_reason": executed.revert_reason}


def receipt(executed: Executed, finality: str) -> Json:
    """Return TXN_RECEIPT."""
    used = executed.resources
    answer: Json = {
        "type": executed.source.body()["type"],
        "transaction_hash": felt(executed.hash),
        "actual_fee": {"amount": felt(executed.fee), "unit": "FRI"},
        "finality_status": finality,
        "messages_sent": [],
        "events": [event(e) for e in executed.events],
        "execution_resources": {
            "l1_gas": used.l1_gas,
            "l1_data_gas": used.l1_data_gas,
            "l2_gas": used.l2_gas,
        },
        **status(executed),
    }
    if executed.message_hash is not None:
        answer["message_hash"] = f"{executed.message_hash:#066x}"
        answer["actual_fee"]["unit"] = "WEI"
    return answer


def event(emitted: Event) -> Json:
    """Return EVENT."""
    return {
        "from_address": felt(emitted.address),
        "keys": felts(emitted.keys),
        "data": felts(emitted.data),
    }


def place(block: Block) -> Json:
    """Return block number and hash; a block being built has no hash yet."""
    number: Json = {"block_number": block.number}
    return number if block.hash is None else number | {"block_hash": felt(block.hash)}


def header(chain: Chain, block: Block, prices: GasPrices) -> Json:
    """Return BLOCK_HEADER with the status, or PRE_CONFIRMED_BLOCK_HEADER."""
    fri = prices.in_fri()
    answer = {
        **place(block),
        "timestamp": block.timestamp,
        "sequencer_address": felt(SEQUENCER_ADDRESS),
        **{
            f"{gas}_price": {
                "price_in_fri": felt(getattr(fri, gas)),
                "price_in_wei": felt(getattr(prices, gas)),
            }
            for gas in ("l1_gas", "l2_gas", "l1_data_gas")
        },
        "l1_da_mode": "BLOB",
        "starknet_version": "0.14.1",
    }
    if block.hash is None:
        return answer
    roots = (
        "new_root",
        "event_commitment",
        "transaction_commitment",
        "receipt_commitment",
        "state_diff_commitment",
    )
    return answer | {
        "status": chain.finality(block),
        "parent_hash": felt(block.parent_hash),
        **{root: felt(pseudo_hash(root, block.hash)) for root in roots},
        "event_count": sum(len(t.events) for t in block.transactions),
        "transaction_count": len(block.transactions),
        "state_diff_length": len(chain.history.changed(block.number)),
    }
