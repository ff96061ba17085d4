"""How suites write orders and transactions into a store."""

from dataclasses import replace
from datetime import timedelta

from mmbot_pipelines.bridge.journal import Fault
from mmbot_pipelines.bridge.lifecycle import Fact
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.orders import Cursor, Orders, Scan
from mmbot_pipelines.bridge.ports.outbox import Lane
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Fees, Outcome, Receipt, Transaction, TxState
from tests.bridge.orders import NOON, an_order

CHAIN = 31337
OURS = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
THEIRS = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
TOP = 2**256 - 1
FAULT = Fault(subject="zksync:7", step="transfer", kind="RpcRefused", message="no")


def a_scan(*orders: Order, last: int = 10, faults: tuple[Fault, ...] = ()) -> Scan:
    return Scan(last=Block(last, f"0x{last:064x}"), orders=list(orders), faults=list(faults))


def add(store: Orders, *orders: Order, last: int = 10, faults: tuple[Fault, ...] = ()) -> list[str]:
    scan = a_scan(*orders, last=last, faults=faults)
    return store.add("zksync", Cursor.LATEST, scan, at=NOON, run_id="scan")


def later(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def step(store: Orders, order: Order, *facts: Fact) -> Order:
    for fact in facts:
        order = store.change(order, order.after(fact, at=NOON), run_id="run", at=NOON)
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


def send(
    orders: Orders, *wanted: Order, chain_nonce: int = 0, wallet: Address = OURS
) -> list[Transaction]:
    sent = []
    with orders.lane(CHAIN, wallet) as lane:
        for order in lane.lock_orders(wanted):
            sent.append(a_transaction(order, lane.next_nonce(chain_nonce), wallet=wallet))
            put(lane, order, sent[-1])
    return sent


def put(lane: Lane, order: Order, transaction: Transaction) -> None:
    after = order.after(Fact.SENT, at=NOON + later(1), tx=transaction.hash)
    lane.store(order, after, transaction, "run")


def processing(orders: Orders, *numbers: int) -> list[Order]:
    add(orders, *map(an_order, numbers))
    return [step(orders, an_order(n), Fact.ACCEPTED) for n in numbers]


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
