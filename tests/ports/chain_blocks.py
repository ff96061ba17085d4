"""Blocks and transactions of the chain in memory."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Event, Fees, Receipt


@dataclass(frozen=True)
class Executed:
    """A transaction in a block."""

    hash: TxHash
    raw: bytes
    call: Call
    nonce: int
    gas: Gas
    fees: Fees
    wallet: Address
    block: Block | None = None
    gas_price: int = 0
    reason: str | None = None  # why it reverted
    inner: tuple[Call, ...] | None = None  # of a batch: the calls that our account's code made

    @property
    def made(self) -> tuple[Call, ...]:
        """Return the calls that took effect."""
        if self.reason:
            return ()
        return (self.call,) if self.inner is None else self.inner


@dataclass
class MinedBlock:
    block: Block
    transactions: list[Executed] = field(default_factory=list)


@dataclass
class Refusal:
    matches: Callable[[Call], bool]
    reason: str
    foreseen: bool


def transaction_of(raw: bytes) -> Executed:
    to, data, value, nonce, gas, base, priority, ceiling, wallet = json.loads(raw)
    return Executed(
        hash=hash_of(raw),
        raw=raw,
        call=Call(to=to, data=bytes.fromhex(data), value=value),
        nonce=nonce,
        gas=gas,
        fees=Fees(base=base, priority=priority, ceiling=ceiling),
        wallet=wallet,
    )


def batch_of(call: Call) -> list[tuple[Call, Gas]] | None:
    """Return the calls of a batch, each with its limit; None where it is none."""
    if not call.data.startswith(b'["batch"'):
        return None
    _, inner = json.loads(call.data)
    return [
        (Call(to=to, data=bytes.fromhex(data), value=value), gas) for to, data, value, gas in inner
    ]


def hash_of(raw: bytes) -> TxHash:
    return TxHash("0x" + hashlib.sha256(raw).hexdigest())


def block_of(number: int, salt: str) -> Block:
    return Block(number, "0x" + hashlib.sha256(f"{number}/{salt}".encode()).hexdigest())


def receipt_of(mined: Executed, gas_used: Gas) -> Receipt:
    """Return a transaction's receipt, with an event for each call that did something."""
    assert mined.block is not None
    return Receipt(
        hash=mined.hash,
        succeeded=mined.reason is None,
        block=mined.block,
        gas_used=gas_used,
        gas_price=Wei(mined.gas_price),
        events=tuple(
            Event(address=call.to, topics=(), data=call.data) for call in mined.made if call.data
        ),
    )


def outbids(new: Fees, old: Fees) -> bool:
    """Return whether both fees are a tenth higher, as geth requires."""
    return 10 * new.ceiling >= 11 * old.ceiling and 10 * new.priority >= 11 * old.priority
