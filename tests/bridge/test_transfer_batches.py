"""Transfers of several orders in one transaction of our delegated account (MMBOT_BATCH)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.policy import Batching
from mmbot_pipelines.core.delegation import AccountCode
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call, TxState
from mmbot_pipelines.core.safety import GLOBAL, State
from tests.bridge.delegated import batches, delegated
from tests.bridge.harness import BridgeHarness

UNPAID = [Status.PENDING, Status.PROCESSING]
WAITS = "waiting: the delegated account has a transaction in flight"


@pytest.fixture
def harness() -> BridgeHarness:
    return delegated()


def pays(number: int) -> Callable[[Call], bool]:
    def matches(call: Call) -> bool:
        return b'"transfer"' in call.data and f'"zksync", {number}, '.encode() in call.data

    return matches


def spent(harness: BridgeHarness) -> int:
    """Return what left the wallet beside what the stored rows explain: 0, or money is lost."""
    chain = harness.chain
    count = len(chain.executed())
    known = harness.bridge.accounts.spent(chain.chain_id, chain.wallet, first=0, end=count)
    assert known is not None
    return chain.endowment - chain.balance() - known


def test_a_burst_is_one_transaction(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(5)
    harness.transfer(keys)
    (row,) = harness.transactions()
    assert (row.is_self_call, row.subject, len(row.batch)) == (True, f"{keys[0]}+4", 5)
    assert row.max_cost > sum(harness.order(key).amount for key in keys)
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.FULFILLED}
    assert [harness.paid(key) for key in keys] == [1] * 5
    assert spent(harness) == 0


def test_one_order_goes_as_ever(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect()
    harness.transfer(keys)
    (row,) = harness.transactions()
    assert (row.subject, row.batch) == (keys[0], ())
    harness.mine()
    assert harness.order(keys[0]).status is Status.FULFILLED


def test_the_next_orders_collect_while_one_is_in_flight(harness: BridgeHarness) -> None:
    first = harness.set_and_detect(2)
    harness.transfer(first)
    second = harness.set_and_detect(3)
    assert steps.take_orders(harness.bridge, UNPAID, "zksync") == []
    harness.transfer(second)  # of a run that was asked for before
    assert {harness.order(key).reason for key in second} == {WAITS}
    assert len(harness.transactions()) == 1
    harness.mine()
    taken = steps.take_orders(harness.bridge, UNPAID, "zksync")
    assert sorted(o.key for o in taken) == sorted(second)
    harness.transfer(second)
    harness.mine()
    assert {harness.order(key).status for key in [*first, *second]} == {Status.FULFILLED}
    assert harness.chain.refused_second == 0
    assert [len(row.batch) for row in batches(harness)] == [2, 3]


def test_orders_taken_while_the_lane_was_taken_do_not_wait_for_a_run_that_died(
    harness: BridgeHarness,
) -> None:
    harness.transfer(harness.set_and_detect(2))
    late = harness.set_and_detect(1)
    harness.later(1)
    with harness.store.begin() as uow:  # as the sensor takes them
        uow.orders.release(late, asked_at=harness.now)
    harness.transfer(late)
    harness.mine()
    assert [o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")] == late


def test_a_claim_waits_for_the_batch_and_a_batch_for_the_claim(harness: BridgeHarness) -> None:
    paid = harness.set_and_detect(2)
    harness.transfer(paid)
    harness.mine()
    more = harness.set_and_detect(2)
    harness.repay(paid)  # one claim goes, one waits
    harness.transfer(more)
    assert len(harness.chain.pool) == 1
    harness.mine()
    harness.transfer(more)
    harness.repay(paid)
    assert len(harness.chain.pool) == 1
    for _ in range(3):
        harness.mine()
        harness.repay([k for k in [*paid, *more] if harness.order(k).status is Status.FULFILLED])
    assert harness.chain.refused_second == 0
    assert {harness.order(key).claim_tx is None for key in paid} == {False}


def test_a_recipient_that_refuses_is_parked_and_stops_no_neighbour(
    harness: BridgeHarness,
) -> None:
    keys = harness.set_and_detect(4)
    harness.chain.refuse(pays(1), "Transfer failed.", foreseen=False)
    harness.transfer(keys)
    harness.mine()
    assert [harness.order(key).status for key in keys] == [
        Status.FULFILLED,
        Status.PROCESSING,
        Status.FULFILLED,
        Status.FULFILLED,
    ]
    refused = harness.order(keys[1])
    assert refused.is_parked
    assert "RecipientRefused" in (refused.reason or "")
    (row,) = batches(harness)
    assert [part.failed for part in row.batch] == [False, True, False, False]
    assert spent(harness) == 0
    assert harness.store.orders.exposure() == 3 * refused.amount
    assert {key: harness.paid(key) for key in keys} == dict(zip(keys, (1, 0, 1, 1), strict=True))
    assert steps.guard(harness.bridge, harness.run) == []


def test_a_delegation_removed_before_mining_pays_nobody_and_nobody_is_believed_paid(
    harness: BridgeHarness,
) -> None:
    keys = harness.set_and_detect(3)
    harness.transfer(keys)
    harness.chain.account_code = AccountCode.NONE
    harness.mine()
    (row,) = harness.transactions()
    assert row.state is TxState.MINED
    assert {harness.order(key).status for key in keys} == {Status.PROCESSING}
    assert all("BatchFailed" in (harness.order(key).reason or "") for key in keys)
    assert harness.store.orders.exposure() == 0
    assert spent(harness) == 0
    faults = [e.fault for e in harness.errors()]
    assert [(f.subject, f.kind) for f in faults if f.subject == row.subject] == [
        (row.subject, "Reverted")
    ]
    harness.later(100)
    harness.transfer(steps.retry(harness.bridge, harness.run))
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.FULFILLED}
    assert [harness.paid(key) for key in keys] == [1] * 3
    assert len(batches(harness)) == 1


def test_an_account_without_code_sends_one_by_one_and_is_named(harness: BridgeHarness) -> None:
    harness.chain.account_code = AccountCode.NONE
    keys = harness.set_and_detect(3)
    harness.transfer(keys)
    assert [row.batch for row in harness.transactions()] == [(), (), ()]
    assert any("run `mmbot halt` and `mmbot delegation set`" in line for line in harness.logged)


def test_a_delegation_to_what_is_not_there_sends_one_at_a_time(harness: BridgeHarness) -> None:
    harness.chain.account_code = AccountCode.MISSING
    keys = harness.set_and_detect(2)
    harness.transfer(keys)
    (row,) = harness.transactions()
    assert row.batch == ()


def test_foreign_code_in_the_account_halts(harness: BridgeHarness) -> None:
    harness.chain.account_code = AccountCode.FOREIGN
    keys = harness.set_and_detect(2)
    harness.transfer(keys)
    harness.later(6)
    harness.transfer(keys)
    assert harness.transactions() == []
    (state,) = harness.store.safety.scope_states()
    assert (state.scope, state.state) == (GLOBAL, State.HALTED)


def test_an_order_that_failed_goes_alone(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(3)
    harness.chain.refuse(pays(1), "whatever", foreseen=False)
    harness.transfer(keys)
    harness.mine()
    assert "BatchFailed" in (harness.order(keys[1]).reason or "")
    harness.chain.allow()
    harness.later(100)
    harness.transfer([*steps.retry(harness.bridge, harness.run), *harness.set_and_detect(1)])
    alone = harness.transactions()[-1]
    assert alone.batch == ()
    harness.mine()
    harness.transfer(list(harness.statuses()))
    harness.mine()
    assert set(harness.statuses().values()) == {Status.FULFILLED}
    assert [harness.paid(key) for key in harness.statuses()] == [1] * 4


def test_limits_hold_for_a_batch_as_a_whole(harness: BridgeHarness) -> None:
    order = 10**16
    harness.chain.endowment = 4 * order
    keys = harness.set_and_detect(6, amount=order, fee=10**15)
    harness.transfer(keys)
    (row,) = harness.transactions()
    assert len(row.batch) == 3
    assert row.max_cost <= harness.chain.endowment
    waiting = [k for k in keys if harness.order(k).status is Status.PROCESSING]
    assert {harness.order(key).reason for key in waiting} == {
        "waiting: the wallet has too little ETH"
    }


def test_a_batch_stays_under_what_one_transaction_can_have(harness: BridgeHarness) -> None:
    harness.chain.call_gas = 235_000
    keys = harness.set_and_detect(60)
    harness.transfer(keys)
    (row,) = harness.transactions()
    assert row.gas <= 15_000_000 < row.gas + 320_000
    waiting = {harness.order(k).reason for k in keys if harness.order(k).transfer_tx is None}
    assert waiting == {WAITS}


def test_what_takes_much_gas_goes_alone(harness: BridgeHarness) -> None:
    harness.chain.call_gas = 250_000
    keys = harness.set_and_detect(2)
    harness.transfer(keys)
    (row,) = harness.transactions()
    assert row.batch == ()


def test_a_reverted_batch_pays_nobody_and_parks_nobody(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(3)
    harness.chain.refuse(
        lambda call: call.data.startswith(b'["batch"'), "reverted without a reason", foreseen=False
    )
    harness.transfer(keys)
    harness.mine()
    harness.look()
    for key in keys:
        assert "BatchFailed" in (harness.order(key).reason or "")
        assert not harness.order(key).is_parked
    assert harness.store.orders.exposure() == 0


def test_a_late_batch_is_sent_again_only_while_all_its_orders_are_wanted(
    harness: BridgeHarness,
) -> None:
    keys = harness.set_and_detect(2)
    harness.transfer(keys)
    (row,) = harness.transactions()
    harness.chain.drop(row.hash)
    harness.later(5)
    harness.look()
    assert set(harness.chain.pool) == {row.nonce}  # the node forgot it; it is sent again


def test_a_number_that_stood_for_another_order_is_not_believed_paid(
    harness: BridgeHarness,
) -> None:
    keys = harness.set_and_detect(2)
    harness.transfer(keys)
    other = harness.order(keys[0])
    harness.chain.mine()
    now = replace(other, amount=Wei(other.amount + 1), recipient=Address("0x" + "77" * 20))
    harness.put(now)
    harness.look()
    faults = [entry.fault for entry in harness.errors() if entry.fault.subject == keys[0]]
    assert [fault.kind for fault in faults] == ["ReorgAfterPayment"]
    assert harness.order(keys[1]).status is Status.FULFILLED
    assert spent(harness) == 0


def test_claims_of_many_orders_go_in_one_transaction_of_the_account_too(
    harness: BridgeHarness,
) -> None:
    harness.rules(batching=Batching(max_orders=8, max_age_seconds=30))
    harness.l2.max_batch = 96
    keys = harness.set_and_detect(5)
    harness.transfer(keys)
    harness.mine()
    harness.repay(keys)
    harness.mine()
    assert [(row.purpose, len(row.batch)) for row in harness.transactions()] == [
        ("transfer", 5),
        ("repay", 5),
    ]
    harness.l2.deliver()
    harness.settle()
    assert set(harness.statuses().values()) == {Status.COMPLETED}
    assert harness.chain.refused_second == 0
    assert spent(harness) == 0
