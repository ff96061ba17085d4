"""Orders in a store, with what happened to them."""

import re
from datetime import datetime, timedelta

from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeStore, Cursor, Scan
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Fees, Transaction
from tests.bridge.orders import NOON
from tests.ports.store_writes import add_scan, change, held, put_step

WALLET = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
HASH = TxHash("0x" + "ee" * 32)
HOSTILE = "[red]no[/red] \x1b[2J\x07 thanks \u202egnp.exe"


def add(store: BridgeStore, *orders: Order) -> None:
    scan = Scan(last=Block(10, "0x" + "ab" * 32), orders=list(orders), faults=[])
    add_scan(store, orders[0].origin, Cursor.LATEST, scan, at=NOON, run_id="tick-1")


def step(
    store: BridgeStore, order: Order, fact: Fact, seconds: int, reason: str | None = None
) -> Order:
    at = NOON + timedelta(seconds=seconds)
    after = order.after(fact, at=at, reason=reason)
    return change(store, order, after, run_id=f"run-{seconds}", at=at)


def fail(
    store: BridgeStore, order: Order, why: str, next_attempt_at: datetime | None = None
) -> Order:
    after = order.with_failure(why, failed=True, next_attempt_at=next_attempt_at)
    fault = Fault(subject=order.key, step="transfer", kind="SimulationReverted", message=why)
    return change(store, order, after, run_id="run-x", at=NOON, fault=fault)


def send(store: BridgeStore, order: Order) -> tuple[Order, Transaction]:
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
    with held(store, 1, WALLET) as (uow, lane):
        (before,) = uow.orders.lock([order])
        after = before.after(Fact.SENT, at=NOON, tx=HASH)
        put_step(uow, lane, before, after, sent, "run-send")
    return store.orders.get([order.key])[0], sent


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines() if re.match(r" *\w+:\d+ ", line)]
