"""How the store adds up money and finished steps."""

from dataclasses import replace
from datetime import timedelta

from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY, BalanceMark
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Account, Block, Call, Transaction
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import (
    CHAIN,
    OURS,
    THEIRS,
    a_batch,
    a_scan,
    a_transaction,
    add,
    add_scan,
    change,
    decide,
    held,
    later,
    lost,
    mined,
    note,
    put,
    send,
    step,
    take,
)
from tests.ports.stores import Stores

COUNTED = [("transfer", "Reverted"), ("repay", "NonceTaken")]
RICH, POOR = Address("0x" + "11" * 20), Address("0x" + "22" * 20)


def processing(stores: Stores, *orders: Order) -> list[Order]:
    add(stores.store, *orders)
    return [step(stores.store, order, Fact.ACCEPTED) for order in orders]


def test_exposure_is_what_is_signed_and_not_yet_back(stores: Stores) -> None:
    assert stores.store.orders.exposure() == 0
    first, second, third = processing(stores, *(an_order(n, amount=10**n) for n in (1, 2, 3)))
    sent = send(stores.store, first, second)
    assert stores.store.orders.exposure() == 110
    for transaction, fact in ((sent[0], Fact.MINED), (sent[1], Fact.REVERTED)):
        (order,) = stores.store.orders.get([transaction.subject])
        outcome = mined(transaction, succeeded=fact is Fact.MINED)
        after = order.after(fact, at=NOON)
        decide(stores.store, outcome, order, after, run_id="run", at=NOON)
    assert stores.store.orders.exposure() == 10
    with held(stores.store, CHAIN, OURS) as (uow, lane):
        put(uow, lane, third, a_transaction(third, lane.next_nonce(0)))
        assert uow.orders.exposure() == 1010  # its own writing included
        assert stores.store.orders.exposure() == 10
    (paid,) = stores.store.orders.get([first.key])
    step(stores.store, paid, Fact.SETTLED)
    assert stores.store.orders.exposure() == 1000


def test_gas_lost_is_what_reverted_transfers_cost(stores: Stores) -> None:
    orders = processing(stores, *(an_order(n) for n in range(3)))
    sent = send(stores.store, *orders)
    for transaction, fact in zip(sent, (Fact.MINED, Fact.REVERTED, Fact.REVERTED), strict=True):
        (order,) = stores.store.orders.get([transaction.subject])
        outcome = mined(transaction, succeeded=fact is Fact.MINED)
        after = order.after(fact, at=NOON)
        decide(stores.store, outcome, order, after, run_id="run", at=NOON)
    (row,) = stores.store.outbox.of(orders[1].key)
    assert row.gas_used
    assert row.gas_price
    before = row.stored_at - later(1)
    assert stores.accounts.gas_lost(since=before) == 2 * row.gas_used * row.gas_price
    assert stores.accounts.gas_lost(since=row.stored_at) == 0


def test_gas_lost_is_also_what_reverted_claims_cost(stores: Stores) -> None:
    (claim,) = claims(stores, 1)
    decide(stores.store, mined(claim, succeeded=False), None, None, run_id="run", at=NOON)
    (row,) = stores.store.outbox.of(claim.subject)
    assert row.gas_used
    assert row.gas_price
    before = row.stored_at - later(1)
    assert stores.accounts.gas_lost(since=before) == row.gas_used * row.gas_price


def test_the_newest_claim_in_a_block_shows_whether_claims_succeed(stores: Stores) -> None:
    assert not stores.accounts.last_claim_succeeded("zksync")
    for claim, succeeded in zip(claims(stores, 4), (True, False, True, None), strict=True):
        if succeeded is not None:
            outcome = mined(claim, succeeded=succeeded)
            decide(stores.store, outcome, None, None, run_id="run", at=NOON)
            assert stores.accounts.last_claim_succeeded("zksync") is succeeded
    assert stores.accounts.last_claim_succeeded("zksync")  # the last one is undecided
    assert not stores.accounts.last_claim_succeeded("starknet")


def claims(stores: Stores, count: int) -> list[Transaction]:
    """Store the claims of paid orders; return them by nonce."""
    paid = [
        step(stores.store, order, Fact.PAID)
        for order in processing(stores, *(an_order(n) for n in range(count)))
    ]
    with held(stores.store, CHAIN, OURS) as (uow, lane):
        for nonce, order in enumerate(paid):
            claim = replace(a_transaction(order, nonce), purpose=REPAY)
            put(uow, lane, order, claim)
    return stores.store.outbox.in_flight()


def test_exposure_is_exact_for_the_largest_amounts(stores: Stores) -> None:
    top = 2**256 - 1
    many = processing(stores, *(an_order(n, amount=top) for n in range(3)))
    for order in many:
        step(stores.store, order, Fact.PAID)
    assert stores.store.orders.exposure() == 3 * top


def test_transfers_are_summed_by_recipient_within_a_time(stores: Stores) -> None:
    many = processing(
        stores,
        *(replace(an_order(n, amount=10**n), recipient=RICH if n % 2 else POOR) for n in range(6)),
    )
    with held(stores.store, CHAIN, OURS) as (uow, lane):
        for nonce, order in enumerate(many):
            old = replace(a_transaction(order, nonce), stored_at=NOON + timedelta(hours=nonce))
            put(uow, lane, order, old)
        assert uow.orders.paid_since(NOON + timedelta(hours=3)) == {POOR: 10**4, RICH: 10**5}
    sent = stores.store.outbox.in_flight()
    decide(stores.store, mined(sent[5], succeeded=False), None, None, run_id="run", at=NOON)
    decide(stores.store, lost(sent[4]), None, None, run_id="run", at=NOON)
    decide(stores.store, mined(sent[3]), None, None, run_id="run", at=NOON)
    with held(stores.store, CHAIN, OURS) as (uow, lane):
        everything = uow.orders.paid_since(NOON - timedelta(hours=1))
        assert everything == {POOR: 10**0 + 10**2, RICH: 10**1 + 10**3}
    with held(stores.store, CHAIN, THEIRS) as (uow, lane):  # after a change of the key
        assert uow.orders.paid_since(NOON - timedelta(hours=1)) == everything


def test_a_claim_is_no_transfer(stores: Stores) -> None:
    (order,) = processing(stores, an_order(1))
    paid = step(stores.store, order, Fact.PAID)
    with held(stores.store, CHAIN, OURS) as (uow, lane):
        put(uow, lane, paid, a_transaction(paid, 0, purpose="repay"))
        assert uow.orders.paid_since(NOON - timedelta(hours=1)) == {}


def test_orders_held_back_are_the_healthy_ones_with_this_reason(stores: Stores) -> None:
    many = [replace(an_order(n), recipient=POOR if n == 6 else RICH) for n in (3, 1, 2, 4, 5, 6)]
    orders = processing(stores, *many)
    for order in (*orders[:2], orders[5]):
        change(stores.store, order, replace(order, reason="waits"), run_id="run", at=NOON)
    other = replace(orders[4], reason="waits for something else")
    change(stores.store, orders[4], other, run_id="run", at=NOON)
    failing = orders[2].with_failure("waits", failed=True, next_attempt_at=None)
    change(stores.store, orders[2], failing, run_id="run", at=NOON)
    with held(stores.store, CHAIN, OURS) as (uow, _lane):

        def waiting(
            origin: str = "zksync", recipient: Address | None = None, most: int = 10
        ) -> list[int]:
            found = uow.orders.held_back(origin, "waits", recipient=recipient, max_orders=most)
            return [order.number for order in found]

        assert waiting() == [1, 3, 6]
        assert waiting(most=2) == [1, 3]
        assert waiting(recipient=POOR) == [6]
        assert waiting("starknet") == []


def test_a_reason_alone_does_not_ask_for_another_run(stores: Stores) -> None:
    (order,) = processing(stores, an_order(1))

    def asked(seconds: float) -> int:
        at = NOON + later(seconds)
        return len(take(stores.store, [Status.PROCESSING], None, at=at, retake_after_seconds=30))

    assert asked(0) == 1
    waits = change(stores.store, order, replace(order, reason="waits"), run_id="run", at=NOON)
    assert (waits.reason, waits.version) == ("waits", order.version + 1)
    assert len(stores.store.orders.history(order.key)) == 2
    assert [asked(1), asked(30)] == [0, 1]


def test_finished_steps_are_those_that_a_chain_proved_or_that_count(stores: Stores) -> None:
    def noted(key: str, kind: str, seconds: float, step: str = "transfer") -> None:
        fault = Fault(subject=key, step=step, kind=kind, message="no")
        note(stores.store, fault, at=NOON + later(seconds), run_id="run")

    first, second = processing(stores, an_order(1), an_order(2))
    for seconds, fact in ((10, Fact.PAID), (20, Fact.SENT), (30, Fact.MINED), (40, Fact.SETTLED)):
        at = NOON + later(seconds)
        first = change(stores.store, first, first.after(fact, at=at), run_id="run", at=at)
    failing = second.with_failure("no", failed=False, next_attempt_at=None)
    change(stores.store, second, failing, run_id="run", at=NOON + later(50))
    noted(second.key, "Reverted", 25)
    noted(second.key, "Reverted", 35, step="repay")
    noted(second.key, "SimulationReverted", 45)
    noted(second.key, "NonceTaken", 60, step="repay")
    noted(second.key, "Reverted", 40)

    def reported(seconds: float | None, most: int = 99) -> list[tuple[str, float, bool]]:
        since = None if seconds is None else NOON + later(seconds)
        found = stores.accounts.finished(COUNTED, since=since, max_count=most)
        return [(f.key, (f.at - NOON).total_seconds(), f.failed) for f in found]

    good, bad = first.key, second.key
    everything = [(bad, 60, True), (bad, 40, True), (good, 40, False), (good, 30, False)]
    everything += [(bad, 25, True), (good, 10, False)]
    assert reported(None) == everything
    assert reported(None, most=2) == everything[:2]
    assert reported(30) == everything[:3]


def test_gas_of_the_newest_mined_of_a_kind_and_origin(stores: Stores) -> None:
    def paid(order: Order, gas: int, *, succeeded: bool = True) -> None:
        (sent,) = send(stores.store, order)
        outcome = mined(sent, succeeded=succeeded)
        assert outcome.receipt
        receipt = replace(outcome.receipt, gas_used=Gas(gas))
        outcome = replace(outcome, receipt=receipt)
        decide(stores.store, outcome, None, None, run_id="run", at=NOON)

    orders = processing(stores, *map(an_order, range(5)))
    other = replace(an_order(9), origin="starknet")
    scan = a_scan(other)
    add_scan(stores.store, "starknet", Cursor.LATEST, scan, at=NOON, run_id="scan")
    paid(step(stores.store, other, Fact.ACCEPTED), 99)
    for gas, order in enumerate(orders[:3], 10):
        paid(order, gas)
    paid(orders[3], 13, succeeded=False)
    send(stores.store, orders[4])  # in no block yet
    assert stores.accounts.gas_used("transfer", "zksync", max_count=2) == [12, 11]
    assert stores.accounts.gas_used("transfer", "zksync", max_count=9) == [12, 11, 10]
    assert stores.accounts.gas_used("transfer", "starknet", max_count=9) == [99]
    assert stores.accounts.gas_used("transfer", "zk", max_count=9) == []
    assert stores.accounts.gas_used("repay", "zksync", max_count=9) == []


def test_spent_is_what_mined_transactions_of_these_nonces_took(stores: Stores) -> None:
    sent = send(stores.store, *processing(stores, *(an_order(n) for n in (1, 2, 3, 4))))
    ends = (mined(sent[0]), mined(sent[1], succeeded=False), lost(sent[2]))
    for outcome in ends:
        decide(stores.store, outcome, None, None, run_id="run", at=NOON)
    first = sent[0].nonce

    def spent(end: int, wallet: Address = OURS) -> int | None:
        return stores.accounts.spent(CHAIN, wallet, first=first, end=end)

    gas = 20_000 * 2
    assert spent(first) == 0
    assert spent(first + 1) == sent[0].call.value + gas
    assert spent(first + 3) == sent[0].call.value + 2 * gas  # a revert costs its gas alone
    assert spent(first + 4) is None  # the last one is undecided
    assert spent(first + 4, THEIRS) == 0


def test_spent_of_a_self_call_is_what_its_calls_paid(stores: Stores) -> None:
    orders = processing(stores, *(an_order(n) for n in (1, 2, 3)))
    with held(stores.store, CHAIN, OURS) as (_, lane):
        sent = a_batch(orders, lane.next_nonce(0), purpose="transfer")
        call = Call(to=OURS, data=b"all of them", value=Wei(0))
        parts = [replace(p, value=Wei(10**n)) for n, p in enumerate(sent.batch, 2)]
        lane.add(sent := replace(sent, call=call, batch=tuple(parts)))
    one_failed = (parts[0], replace(parts[1], failed=True), parts[2])
    outcome = mined(replace(sent, batch=one_failed))
    decide(stores.store, outcome, None, None, run_id="run", at=NOON)
    spent = stores.accounts.spent(CHAIN, OURS, first=sent.nonce, end=sent.nonce + 1)
    assert spent == 10**2 + 10**4 + 20_000 * 2


def test_the_newest_balance_mark_of_a_wallet_stands(stores: Stores) -> None:
    assert stores.accounts.balance_mark(CHAIN, OURS) is None
    for nonce, block in ((1, None), (2, Block(2**255, "0xb10c")), (3, None)):
        account = Account(nonce=nonce, balance=Wei(2**255 + nonce), block=block)
        mark = BalanceMark(account=account, at=NOON)
        stores.accounts.mark_balance(CHAIN, OURS, mark)
        assert stores.accounts.balance_mark(CHAIN, OURS) == mark
    assert stores.accounts.balance_mark(CHAIN, THEIRS) is None
    assert stores.accounts.balance_mark(CHAIN + 1, OURS) is None
