"""What a node answers to a wallet, and what the wallet sends."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Fees, Transaction

TO = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
CALL = Call(to=TO, data=b"\1\2", value=Wei(3))
FEES = Fees(base=Wei(10), priority=Wei(1), ceiling=Wei(21))
TX = TxHash("0x" + "ab" * 32)
BLOCK = "0x" + "cd" * 32


def header(**changes: Any) -> Any:
    block = {"number": "0x64", "hash": BLOCK, "gasLimit": hex(30_000_000), "baseFeePerGas": "0x64"}
    return lambda *_: block | changes


def reported(**changes: Any) -> dict[str, Any]:
    return {
        "transactionHash": TX,
        "status": "0x1",
        "blockNumber": "0x64",
        "blockHash": BLOCK,
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x65",
    } | changes


def transaction(**changes: Any) -> Transaction:
    row = Transaction(
        subject="zksync:0",
        purpose="transfer",
        attempt=1,
        chain_id=1,
        wallet=TO,
        nonce=0,
        hash=TX,
        raw=b"",
        call=CALL,
        gas=Gas(100_000),
        fees=FEES,
        stored_at=datetime.now(UTC),
    )
    return replace(row, **changes)
