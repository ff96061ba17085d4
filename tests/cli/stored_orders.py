"""Orders in a store, with what happened to them."""

import re
from datetime import datetime, timedelta

from mmbot_pipelines.bridge.journal import Fault
from mmbot_pipelines.bridge.lifecycle import Fact
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.orders import Cursor, Orders, Scan
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Fees, Transaction
from tests.bridge.orders import NOON

WALLET = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
HASH = TxHash("0x" + "ee" * 32)
HOSTILE = "[red]no[/red] \x1b[2J\x07 thanks \u202egnp.exe"


def add(store: Orders, *orders: Order) -> None:
    scan = Scan(last=Block(10, "0x" + "ab" * 32), orders=list(orders), faults=[])
    store.add(orders[0].origin, Cursor.LATEST, scan, at=NOON, run_id="tick-1")


def step(store: Orders, order: Order, fact: Fact, seconds: int, reason: str | None = None) -> Order:
    at = NOON + timedelta(seconds=seconds)
    after = order.after(fact, at=at, reason=reason)
    return store.change(order, after, run_id=f"run-{seconds}", at=at)


def fail(store: Orders, order: Order, why: str, next_attempt_at: datetime | None = None) -> Order:
    after = order.with_failure(why, failed=True, next_attempt_at=next_attempt_at)
    fault = Fault(subject=order.key, step="transfer", kind="SimulationReverted", message=why)
    return store.change(order, after, run_id="run-x", at=NOON, fault=fault)


def send(store: Orders, order: Order) -> tuple[Order, Transaction]:
    sent = Transaction(
        subject=order.key,
        purpose="transfer",
        attempt=order.attempt,
        chain_id=1,
        wallet=WALLET,
        nonce=41,
        hash=HASH,
        raw=b"\x02signed",
        call=Call(to=WALLET, data=b"", value=order.amount),
        gas=Gas(130_000),
        fees=Fees(base=Wei(10**9), priority=Wei(1), ceiling=Wei(2 * 10**9)),
        stored_at=NOON,
    )
    with store.lane(1, WALLET) as lane:
        (before,) = lane.lock_orders([order])
        after = before.after(Fact.SENT, at=NOON, tx=HASH)
        lane.store(before, after, sent, "run-send")
    return store.get([order.key])[0], sent


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines() if re.match(r" *\w+:\d", line)]
