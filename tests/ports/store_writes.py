"""How suites write orders and transactions into a store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mmbot_pipelines.bridge import transitions
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import BridgeStore, BridgeUnitOfWork, Cursor, Scan
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import (
    Block,
    Call,
    Fees,
    Outcome,
    Part,
    Receipt,
    Transaction,
    TxState,
)
from mmbot_pipelines.core.safety import ScopeState
from mmbot_pipelines.core.unit_of_work import Lane, Store
from tests.bridge.orders import NOON, an_order

CHAIN = 31337
OURS = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
THEIRS = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
TOP = 2**256 - 1
FAULT = Fault(subject="zksync:7", step="transfer", kind="RpcRefused", message="no")


def a_scan(*orders: Order, last: int = 10, faults: tuple[Fault, ...] = ()) -> Scan:
    return Scan(last=Block(last, f"0x{last:064x}"), orders=list(orders), faults=list(faults))


def add(
    store: BridgeStore, *orders: Order, last: int = 10, faults: tuple[Fault, ...] = ()
) -> list[str]:
    scan = a_scan(*orders, last=last, faults=faults)
    return add_scan(store, "zksync", Cursor.LATEST, scan, at=NOON, run_id="scan")


def add_scan(
    store: BridgeStore, origin: str, kind: Cursor, scan: Scan, *, at: datetime, run_id: str
) -> list[str]:
    with store.begin() as uow:
        return transitions.record_scan(uow, origin, kind, scan, at=at, run_id=run_id)


def change(store: BridgeStore, before: Order, after: Order, **how: Any) -> Order:
    with store.begin() as uow:
        return transitions.record(uow, before, after, **how)


def relocate(store: BridgeStore, before: Order, after: Order, **how: Any) -> Order:
    with store.begin() as uow:
        return transitions.record_other_content(uow, before, after, **how)


def note(store: Store, fault: Fault, *, at: datetime, run_id: str) -> None:
    with store.begin() as uow:
        uow.errors.add([fault], at=at, run_id=run_id)


def decide(
    store: BridgeStore, outcome: Outcome, before: Order | None, after: Order | None, **how: Any
) -> None:
    with store.begin() as uow:
        uow.outbox.decide([outcome])
        _follow(uow, outcome.transaction, before, after, **how)


def reopen(
    store: BridgeStore,
    row: Transaction,
    before: Order | None,
    after: Order | None,
    *,
    at: datetime,
    **how: Any,
) -> None:
    with store.begin() as uow:
        uow.outbox.reopen_nonce(row, at=at)
        _follow(uow, row, before, after, at=at, **how)


def _follow(
    uow: BridgeUnitOfWork,
    row: Transaction,
    before: Order | None,
    after: Order | None,
    *,
    at: datetime,
    run_id: str,
    fault: Fault | None = None,
) -> None:
    if before is not None and after is not None:
        transitions.record(uow, before, after, at=at, run_id=run_id, tx=row.hash, fault=fault)
    elif fault is not None:
        uow.errors.add([fault], at=at, run_id=run_id)


def change_state(
    store: Store, before: ScopeState, after: ScopeState, *, at: datetime
) -> ScopeState:
    with store.begin() as uow:
        return uow.safety.change(before, after, at=at)


def decided(decide: Callable[..., ScopeState], store: Store, *who: Any, **word: Any) -> ScopeState:
    """Halt or resume by a person's word."""
    with store.begin() as uow:
        return decide(uow.safety, *who, **word)


def take(store: BridgeStore, *which: Any, **how: Any) -> list[Order]:
    with store.begin() as uow:
        return uow.orders.take_for_run(*which, **how)


def release(store: BridgeStore, keys: list[str], *, asked_at: datetime | None = None) -> None:
    with store.begin() as uow:
        uow.orders.release(keys, asked_at=asked_at)


def rewind(store: BridgeStore, origin: str, kind: Cursor, seen: Block, to: Block | None) -> None:
    with store.begin() as uow:
        uow.orders.rewind(origin, kind, seen, to)


def set_refund(store: Store, row: Transaction, refund: Wei) -> None:
    with store.begin() as uow:
        uow.outbox.set_refund(row, refund)


def move(store: Store, row: Transaction, receipt: Receipt) -> None:
    with store.begin() as uow:
        uow.outbox.move_to_block(row, receipt)


@contextmanager
def held(
    store: BridgeStore, chain_id: int, wallet: Address
) -> Iterator[tuple[BridgeUnitOfWork, Lane]]:
    with store.begin() as uow:
        yield uow, uow.outbox.lock_lane(chain_id, wallet)


def later(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def step(store: BridgeStore, order: Order, *facts: Fact) -> Order:
    for fact in facts:
        order = change(store, order, order.after(fact, at=NOON), run_id="run", at=NOON)
    return order


def a_transaction(
    order: Order, nonce: int, *, purpose: str = "transfer", wallet: Address = OURS
) -> Transaction:
    return Transaction(
        subject=order.key,
        purpose=purpose,
        attempt=order.attempt,
        chain_id=CHAIN,
        wallet=wallet,
        nonce=nonce,
        hash=TxHash(f"0x{hash((order.key, order.attempt, purpose, nonce, wallet)) % 2**256:064x}"),
        raw=bytes(range(256)),
        call=Call(to=THEIRS, data=b"\x00\xff", value=order.amount),
        gas=Gas(21_000),
        fees=Fees(base=Wei(1), priority=Wei(2), ceiling=Wei(3)),
        stored_at=NOON,
    )


def a_batch(orders: Sequence[Order], nonce: int, *, purpose: str = "repay") -> Transaction:
    """Make one transaction that serves several orders."""
    alone = a_transaction(orders[0], nonce, purpose=purpose)
    parts = [
        Part(subject=o.key, purpose=purpose, attempt=o.attempt, value=Wei(n))
        for n, o in enumerate(orders)
    ]
    return replace(alone, subject=f"{orders[0].key}+{len(orders) - 1}", batch=tuple(parts))


def send(
    store: BridgeStore, *wanted: Order, chain_nonce: int = 0, wallet: Address = OURS
) -> list[Transaction]:
    sent = []
    with held(store, CHAIN, wallet) as (uow, lane):
        for order in uow.orders.lock(wanted):
            sent.append(a_transaction(order, lane.next_nonce(chain_nonce), wallet=wallet))
            put(uow, lane, order, sent[-1])
    return sent


def put(uow: BridgeUnitOfWork, lane: Lane, order: Order, transaction: Transaction) -> None:
    put_step(
        uow,
        lane,
        order,
        order.after(Fact.SENT, at=NOON + later(1), tx=transaction.hash),
        transaction,
    )


def put_step(
    uow: BridgeUnitOfWork,
    lane: Lane,
    order: Order,
    after: Order,
    sent: Transaction,
    run_id: str = "run",
) -> None:
    lane.add(sent)
    transitions.record(uow, order, after, run_id=run_id, at=after.changed_at, tx=sent.hash)


def processing(store: BridgeStore, *numbers: int) -> list[Order]:
    add(store, *map(an_order, numbers))
    return [step(store, an_order(n), Fact.ACCEPTED) for n in numbers]


def mined(transaction: Transaction, *, succeeded: bool = True) -> Outcome:
    receipt = Receipt(
        hash=transaction.hash,
        succeeded=succeeded,
        block=Block(12, "0x12"),
        gas_used=Gas(20_000),
        gas_price=Wei(2),
    )
    state = TxState.MINED if succeeded else TxState.REVERTED
    return Outcome(transaction=transaction, state=state, receipt=receipt)


def lost(transaction: Transaction, *rivals: Transaction) -> Outcome:
    used = "nonce used"
    return Outcome(transaction=transaction, state=TxState.LOST, reason=used, rivals=rivals)


def a_bump(sent: Transaction, bump: int = 1, *, purpose: str = "transfer") -> Transaction:
    tx = TxHash(f"0x{hash((sent.hash, bump, purpose)) % 2**256:064x}")
    return replace(sent, bump=bump, hash=tx, purpose=purpose)
