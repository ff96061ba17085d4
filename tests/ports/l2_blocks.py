"""Blocks of an L2 in memory, and how claims of several orders are executed in them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Block


@dataclass
class L2Block:
    block: Block
    orders: list[Order] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    payments: dict[int, TxHash] = field(default_factory=dict)
    batches: dict[TxHash, bool] = field(default_factory=dict)  # claims of several: success


def execute(
    claimed: Sequence[tuple[TxHash, list[list[Any]]]], unpaid: Sequence[Order]
) -> tuple[dict[int, TxHash], dict[TxHash, bool]]:
    """Return which order each claim of several pays, and whether it succeeds: for all or for none.

    claimed: number, recipient and amount of each order, by the claim on L1.
    """
    held = {o.number: [o.number, o.recipient, o.amount] for o in unpaid}
    paid: dict[int, TxHash] = {}
    ended: dict[TxHash, bool] = {}
    for tx, named in claimed:
        numbers = [number for number, *_ in named]
        ended[tx] = [held.get(number) for number in numbers] == named
        if ended[tx]:
            paid |= dict.fromkeys(numbers, tx)
            held = {number: terms for number, terms in held.items() if number not in paid}
    return paid, ended


def hash_of(text: str) -> TxHash:
    """Return a hash as chains have it."""
    return TxHash("0x" + hashlib.sha256(text.encode()).hexdigest())
