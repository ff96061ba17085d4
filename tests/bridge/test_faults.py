"""What can go wrong on an order's way, and where it goes on from there."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.harness import BridgeHarness
from tests.ports.chain_memory import ETH
from tests.ports.store_writes import note

REJECTING = Address("0x00000000000000000000000000000000000000Fe")


def test_a_foreseen_revert_is_parked_without_spending_gas(harness: BridgeHarness) -> None:
    harness.registry.rejecting.add(REJECTING)
    bad = harness.set_and_detect(recipient=REJECTING)[0]
    good = harness.set_and_detect()[0]
    logged = harness.failing(lambda: harness.transfer([bad, good]))
    assert logged.startswith(
        "transfer: 1 order failed\nzksync:0: SimulationReverted: Transfer failed."
    )
    assert harness.order(bad).is_parked
    assert harness.order(bad).status is Status.PROCESSING
    assert "Transfer failed." in (harness.order(bad).reason or "")
    assert harness.order(good).status is Status.TRANSFERRING
    assert [e.fault.kind for e in harness.store.errors.of(bad)] == ["SimulationReverted"]
    harness.mine()
    assert len(harness.chain.executed()) == 1
    assert steps.retry(harness.bridge, harness.run) == []


def test_a_mined_revert_is_tried_again_later_and_then_parked(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    for attempt in (1, 2, 3):
        harness.transfer([key])
        assert harness.order(key).attempt == attempt
        harness.mine()
        order = harness.order(key)
        assert (order.status, order.failures) == (Status.PROCESSING, attempt)
        assert "Pausable: paused" in (order.reason or "")
        assert order.is_parked == (attempt == 3)
        harness.later(1000)
    assert [e.fault.kind for e in harness.store.errors.of(key)] == ["Reverted"] * 3
    assert [t.state for t in harness.store.outbox.of(key)] == [TxState.REVERTED] * 3


def test_a_failed_order_waits_for_its_backoff(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    harness.transfer([key])
    harness.mine()
    harness.chain.allow()
    assert steps.take_orders(harness.bridge, [Status.PROCESSING]) == []
    harness.later(44)  # 60 s * (0.5 + 0.5 / 2) = 45 s
    assert steps.retry(harness.bridge, harness.run) == []
    harness.later(2)
    assert steps.retry(harness.bridge, harness.run) == [key]
    steps.advance(harness.bridge, [key], harness.run)
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED
    assert harness.order(key).failures == 0
    assert harness.paid(key) == 1


def test_death_between_store_and_broadcast_loses_nothing(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(3)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.transfer(keys)
    harness.chain.broadcast_fault = None
    assert harness.chain.pool == {}
    steps.process_receipts(harness.bridge, harness.run)  # no node knows them: sent again
    harness.mine()
    assert set(harness.statuses().values()) == {Status.FULFILLED}
    assert [harness.paid(k) for k in keys] == [1, 1, 1]


def test_an_outage_leaves_orders_healthy_and_asked_for_again(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    assert [o.key for o in steps.take_orders(harness.bridge, [Status.PENDING])] == [key]
    harness.chain.fault = RpcUnavailable("L1: no node answered")
    for _ in range(9):
        harness.failing(lambda: harness.transfer([key]))
    assert not harness.order(key).failed
    assert len(harness.store.errors.of(key)) == 9
    harness.chain.fault = None
    assert steps.take_orders(harness.bridge, [Status.PENDING]) == []
    harness.later(10)
    assert [o.key for o in steps.take_orders(harness.bridge, [Status.PENDING])] == [key]


def test_a_nonce_lost_to_another_program_is_a_new_attempt(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.transfer([key])
    harness.chain.broadcast_fault = None
    harness.chain.elsewhere(harness.registry.claim(harness.order(key), value=1))
    steps.process_receipts(harness.bridge, harness.run)
    order = harness.order(key)
    assert (order.status, order.attempt, order.failed) == (Status.PROCESSING, 2, True)
    assert "used nonce 0" in (order.reason or "")
    steps.reprocess(harness.bridge, [key], harness.run)
    harness.mine()
    assert harness.order(key).status is Status.FULFILLED


def test_a_receipt_that_one_node_does_not_have_yet_is_no_loss(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.chain.mine()
    with monkeypatch.context() as patch:  # one URL, two nodes: one has the nonce, one is behind
        patch.setattr(harness.chain, "receipts", lambda hashes: [None] * len(hashes))
        assert steps.process_receipts(harness.bridge, harness.run) == 1
    assert harness.order(key).status is Status.TRANSFERRING
    assert harness.store.errors.of(key) == []
    assert len(harness.chain.broadcasts) == 1
    steps.process_receipts(harness.bridge, harness.run)
    assert harness.order(key).status is Status.FULFILLED


def test_an_order_paid_by_another_program_is_taken_up_at_its_claim(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect(amount=2 * 10**17)  # above the limit: paid is paid
    paid_in = harness.chain.elsewhere(harness.registry.transfer(harness.order(key)))
    harness.transfer([key])
    assert harness.order(key).status is Status.DROPPED  # no node was asked
    steps.reprocess(harness.bridge, [key], harness.run)  # which asks the registry first
    harness.mine()
    order = harness.order(key)
    assert (order.status, order.transfer_tx) == (Status.PROVED, paid_in)
    reasons = {entry.after: entry.reason for entry in harness.histories()[key]}
    assert reasons[Status.FULFILLED] == "the registry has this transfer already"


def test_an_order_the_escrow_has_paid_is_completed_without_a_claim(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.elsewhere(harness.registry.transfer(harness.order(key)))
    settled_in = harness.l2.pay(0)
    harness.transfer([key])
    harness.repay([key])
    order = harness.order(key)
    assert (order.status, order.settle_tx) == (Status.COMPLETED, settled_in)
    assert harness.chain.pool == {}


def test_an_order_the_escrow_has_paid_is_completed_while_l1_is_away(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.elsewhere(harness.registry.transfer(harness.order(key)))
    harness.l2.pay(0)
    harness.transfer([key])
    harness.chain.fault = RpcUnavailable("no RPC node of L1 answered")
    harness.repay([key])
    assert harness.order(key).status is Status.COMPLETED
    assert harness.errors() == []


def test_a_wallet_that_is_short_pays_what_it_can(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(3, amount=10**17)
    harness.chain.endowment = ETH // 4
    harness.transfer(keys)
    assert harness.order(keys[2]).reason == "waiting: the wallet has too little ETH"
    assert [harness.order(k).status for k in keys] == [
        Status.TRANSFERRING,
        Status.TRANSFERRING,
        Status.PROCESSING,
    ]
    harness.mine()
    assert [t.nonce for t in harness.chain.executed()] == [0, 1]
    harness.chain.endowment = ETH
    harness.later(1000)
    harness.transfer([o.key for o in steps.take_orders(harness.bridge, [Status.PROCESSING])])
    harness.mine()
    assert harness.paid(keys[2]) == 1


def test_an_escrow_that_does_not_confirm_is_never_paid_for(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.l2.pay(0)
    assert "AlreadyClaimed" in harness.failing(lambda: harness.transfer([key]))
    assert harness.order(key).is_parked
    assert harness.chain.broadcasts == []


def test_reprocess_clears_what_was_parked(harness: BridgeHarness) -> None:
    harness.registry.rejecting.add(REJECTING)
    (key,) = harness.set_and_detect(recipient=REJECTING)
    harness.failing(lambda: harness.transfer([key]))
    harness.registry.rejecting.clear()
    steps.reprocess(harness.bridge, [key], harness.run)
    assert harness.order(key).status is Status.TRANSFERRING
    assert not harness.order(key).failed
    assert harness.logged[-1] == f"{key}: now TRANSFERRING"


def test_a_malformed_event_is_kept_and_stops_nothing(harness: BridgeHarness) -> None:
    fault = harness.l2.garble()
    (key,) = harness.set_and_detect()
    assert [e.fault.message for e in harness.store.errors.of(fault.subject)] == [fault.message]
    harness.transfer([key])
    assert harness.order(key).status is Status.TRANSFERRING


def test_the_backfill_finds_what_the_sensor_lost(harness: BridgeHarness) -> None:
    harness.l2.set_order()
    harness.l2.mine(3)
    assert steps.backfill(harness.bridge, harness.run) == []  # not accepted yet
    harness.l2.mine(20)
    assert steps.backfill(harness.bridge, harness.run) == ["zksync:0"]
    assert steps.backfill(harness.bridge, harness.run) == []


def test_a_run_that_died_is_noted_and_asked_for_again(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    steps.take_orders(harness.bridge, [Status.PENDING])
    assert steps.record_run_failure(harness.bridge, [key], harness.run, "killed", step_ended=False)
    assert [e.fault.kind for e in harness.store.errors.of(key)] == ["RunDied"]
    assert [o.key for o in steps.take_orders(harness.bridge, [Status.PENDING])] == [key]
    assert not steps.record_run_failure(
        harness.bridge, [key], harness.run, "killed", step_ended=False
    )
    assert steps.take_orders(harness.bridge, [Status.PENDING]) == []


def test_a_run_that_could_not_keep_its_errors_is_noted_like_one_that_died(
    harness: BridgeHarness,
) -> None:
    keys = harness.set_and_detect(2)
    with harness.unreachable(), pytest.raises(StoreUnavailable):
        harness.transfer(keys)
    assert [harness.store.errors.of(key) for key in keys] == [[], []]
    assert steps.record_run_failure(
        harness.bridge, keys, harness.run, "no database", step_ended=True
    )
    (error,) = harness.store.errors.of("zksync")
    assert error.fault.message == "no database; it had 2 orders"


def test_a_fault_that_nobody_foresaw_is_not_run_into_without_pause(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    steps.take_orders(harness.bridge, [Status.PENDING])
    assert steps.record_run_failure(
        harness.bridge, [key], harness.run, "an unforeseen fault", step_ended=True
    )
    assert steps.take_orders(harness.bridge, [Status.PENDING]) == []
    harness.later(50)
    assert [o.key for o in steps.take_orders(harness.bridge, [Status.PENDING])] == [key]


def test_a_run_that_stored_one_orders_error_has_reported_everything(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(2)
    failed = Fault(subject=keys[0], step="transfer", kind="Reverted", message="no")
    note(harness.store, failed, at=harness.bridge.clock(), run_id=harness.run.id)
    assert not steps.record_run_failure(harness.bridge, keys, harness.run, "", step_ended=True)
    assert steps.record_run_failure(
        harness.bridge, keys, harness.run, "killed later", step_ended=False
    )
    kinds = [[e.fault.kind for e in harness.store.errors.of(key)] for key in keys]
    assert kinds == [["Reverted"], ["RunDied"]]


def test_a_claim_that_reverts_goes_back_to_paid(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    harness.chain.refuse(lambda c: c.value < 10**16, "no", foreseen=False)
    harness.repay([key])
    harness.mine()
    order = harness.order(key)
    assert (order.status, order.failed, order.is_parked) == (Status.FULFILLED, True, False)
    harness.chain.allow()
    harness.later(1000)
    steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    assert harness.paid(key) == 1


class NoWorkers:
    """Warm workers whose broker is away for a while."""

    away: str | None = "the broker redis://db does not answer (ConnectionError)"

    def fault(self) -> str | None:
        return self.away


def test_no_order_is_taken_while_no_run_can_start(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    workers = NoWorkers()
    bridge = replace(harness.bridge, workers=workers)
    assert steps.take_orders(bridge, [Status.PENDING]) == []
    workers.away = None
    assert [o.key for o in steps.take_orders(bridge, [Status.PENDING])] == [key]
