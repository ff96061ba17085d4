"""What can go wrong on an order's way, and where it goes on from there."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.ports import Fault
from mmbot_pipelines.core.errors import RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.world import World
from tests.ports.chain_memory import ETH

REJECTING = Address("0x00000000000000000000000000000000000000Fe")


def test_a_foreseen_revert_is_parked_without_spending_gas(world: World) -> None:
    world.registry.rejecting.add(REJECTING)
    bad = world.set_and_detect(recipient=REJECTING)[0]
    good = world.set_and_detect()[0]
    said = world.failing(lambda: world.transfer([bad, good]))
    assert said.startswith("transfer: 1 order failed\nzksync:0: RevertForeseen: Transfer failed.")
    assert world.order(bad).parked
    assert world.order(bad).status is Status.PROCESSING
    assert "Transfer failed." in (world.order(bad).reason or "")
    assert world.order(good).status is Status.TRANSFERRING
    assert [e.fault.kind for e in world.store.errors(bad)] == ["RevertForeseen"]
    world.mine()
    assert len(world.chain.executed()) == 1
    assert steps.retry(world.bridge, world.run) == []


def test_a_mined_revert_is_tried_again_later_and_then_parked(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    for attempt in (1, 2, 3):
        world.transfer([key])
        assert world.order(key).attempt == attempt
        world.mine()
        order = world.order(key)
        assert (order.status, order.failures) == (Status.PROCESSING, attempt)
        assert "Pausable: paused" in (order.reason or "")
        assert order.parked == (attempt == 3)
        world.later(1000)
    assert [e.fault.kind for e in world.store.errors(key)] == ["Reverted"] * 3
    assert [t.state for t in world.store.transactions(key)] == [TxState.REVERTED] * 3


def test_a_failed_order_waits_for_its_backoff(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.refuse(lambda _: True, "Pausable: paused", foreseen=False)
    world.transfer([key])
    world.mine()
    world.chain.allow()
    assert steps.wanted(world.bridge, [Status.PROCESSING]) == []
    world.later(44)  # 60 s * (0.5 + 0.5 / 2) = 45 s
    assert steps.retry(world.bridge, world.run) == []
    world.later(2)
    assert steps.retry(world.bridge, world.run) == [key]
    steps.advance(world.bridge, [key], world.run)
    world.mine()
    assert world.order(key).status is Status.FULFILLED
    assert world.order(key).failures == 0
    assert world.paid(key) == 1


def test_death_between_store_and_broadcast_loses_nothing(world: World) -> None:
    keys = world.set_and_detect(3)
    world.chain.broadcast_fault = RpcUnavailable("gone")
    world.transfer(keys)
    world.chain.broadcast_fault = None
    assert world.chain.pool == {}
    steps.settle_receipts(world.bridge, world.run)  # no node knows them: sent again
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}
    assert [world.paid(k) for k in keys] == [1, 1, 1]


def test_an_outage_leaves_orders_healthy_and_asked_for_again(world: World) -> None:
    (key,) = world.set_and_detect()
    assert [o.key for o in steps.wanted(world.bridge, [Status.PENDING])] == [key]
    world.chain.fault = RpcUnavailable("L1: no node answered")
    for _ in range(9):
        world.failing(lambda: world.transfer([key]))
    assert not world.order(key).failed
    assert len(world.store.errors(key)) == 9
    world.chain.fault = None
    assert steps.wanted(world.bridge, [Status.PENDING]) == []
    world.later(10)
    assert [o.key for o in steps.wanted(world.bridge, [Status.PENDING])] == [key]


def test_a_nonce_lost_to_another_program_is_a_new_attempt(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.broadcast_fault = RpcUnavailable("gone")
    world.transfer([key])
    world.chain.broadcast_fault = None
    world.chain.elsewhere(world.registry.claim(world.order(key), value=1))  # type: ignore[arg-type]
    steps.settle_receipts(world.bridge, world.run)
    order = world.order(key)
    assert (order.status, order.attempt, order.failed) == (Status.PROCESSING, 2, True)
    assert "used nonce 0" in (order.reason or "")
    steps.reprocess(world.bridge, [key], world.run)
    world.mine()
    assert world.order(key).status is Status.FULFILLED


def test_a_receipt_that_one_node_does_not_have_yet_is_no_loss(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.chain.mine()
    with monkeypatch.context() as patch:  # one URL, two nodes: one tells the nonce, one is behind
        patch.setattr(world.chain, "receipts", lambda hashes: [None] * len(hashes))
        assert steps.settle_receipts(world.bridge, world.run) == 1
    assert world.order(key).status is Status.TRANSFERRING
    assert world.store.errors(key) == []
    assert len(world.chain.broadcasts) == 1
    steps.settle_receipts(world.bridge, world.run)
    assert world.order(key).status is Status.FULFILLED


def test_an_order_paid_by_another_program_is_taken_up_at_its_claim(world: World) -> None:
    (key,) = world.set_and_detect(amount=2 * 10**17)  # above the limit: paid is paid
    paid_in = world.chain.elsewhere(world.registry.transfer(world.order(key)))
    world.transfer([key])
    assert world.order(key).status is Status.DROPPED  # no node was asked
    steps.reprocess(world.bridge, [key], world.run)  # which asks the registry first
    world.mine()
    order = world.order(key)
    assert (order.status, order.transfer_tx) == (Status.PROVED, paid_in)


def test_an_order_the_escrow_has_paid_is_completed_without_a_claim(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.elsewhere(world.registry.transfer(world.order(key)))
    settled_in = world.l2.pay(0)
    world.transfer([key])
    world.repay([key])
    order = world.order(key)
    assert (order.status, order.settle_tx) == (Status.COMPLETED, settled_in)
    assert world.chain.pool == {}


def test_a_wallet_that_is_short_pays_what_it_can(world: World) -> None:
    keys = world.set_and_detect(3, amount=10**17)
    world.chain.endowment = ETH // 4
    world.transfer(keys)
    assert world.order(keys[2]).reason == "waits: the wallet has too little ETH"
    assert [world.order(k).status for k in keys] == [
        Status.TRANSFERRING,
        Status.TRANSFERRING,
        Status.PROCESSING,
    ]
    world.mine()
    assert [t.nonce for t in world.chain.executed()] == [0, 1]
    world.chain.endowment = ETH
    world.later(1000)
    world.transfer([o.key for o in steps.wanted(world.bridge, [Status.PROCESSING])])
    world.mine()
    assert world.paid(keys[2]) == 1


def test_an_escrow_that_does_not_confirm_is_never_paid_for(world: World) -> None:
    (key,) = world.set_and_detect()
    world.l2.pay(0)
    assert "AlreadyClaimed" in world.failing(lambda: world.transfer([key]))
    assert world.order(key).parked
    assert world.chain.broadcasts == []


def test_reprocess_clears_what_was_parked(world: World) -> None:
    world.registry.rejecting.add(REJECTING)
    (key,) = world.set_and_detect(recipient=REJECTING)
    world.failing(lambda: world.transfer([key]))
    world.registry.rejecting.clear()
    steps.reprocess(world.bridge, [key], world.run)
    assert world.order(key).status is Status.TRANSFERRING
    assert not world.order(key).failed
    assert world.said[-1] == f"{key}: now TRANSFERRING"


def test_a_malformed_event_is_kept_and_stops_nothing(world: World) -> None:
    fault = world.l2.garble()
    (key,) = world.set_and_detect()
    assert [e.fault.message for e in world.store.errors(fault.subject)] == [fault.message]
    world.transfer([key])
    assert world.order(key).status is Status.TRANSFERRING


def test_the_backfill_finds_what_the_sensor_lost(world: World) -> None:
    world.l2.set_order()
    world.l2.mine(3)
    assert steps.backfill(world.bridge, world.run) == []  # not accepted yet
    world.l2.mine(20)
    assert steps.backfill(world.bridge, world.run) == ["zksync:0"]
    assert steps.backfill(world.bridge, world.run) == []


def test_a_run_that_died_is_noted_and_asked_for_again(world: World) -> None:
    (key,) = world.set_and_detect()
    steps.wanted(world.bridge, [Status.PENDING])
    assert steps.run_died(world.bridge, [key], world.run, "killed", spoke=False)
    assert [e.fault.kind for e in world.store.errors(key)] == ["RunDied"]
    assert [o.key for o in steps.wanted(world.bridge, [Status.PENDING])] == [key]
    assert not steps.run_died(world.bridge, [key], world.run, "killed", spoke=False)
    assert steps.wanted(world.bridge, [Status.PENDING]) == []


def test_a_run_that_could_not_keep_its_errors_is_noted_like_one_that_died(world: World) -> None:
    keys = world.set_and_detect(2)
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        world.transfer(keys)
    world.store.down = False
    assert [world.store.errors(key) for key in keys] == [[], []]
    assert steps.run_died(world.bridge, keys, world.run, "no database", spoke=True)
    (error,) = world.store.errors("zksync")
    assert error.fault.message == "no database; it had 2 orders"


def test_a_fault_that_nobody_foresaw_is_not_run_into_without_pause(world: World) -> None:
    (key,) = world.set_and_detect()
    steps.wanted(world.bridge, [Status.PENDING])
    assert steps.run_died(world.bridge, [key], world.run, "an unforeseen fault", spoke=True)
    assert steps.wanted(world.bridge, [Status.PENDING]) == []
    world.later(50)
    assert [o.key for o in steps.wanted(world.bridge, [Status.PENDING])] == [key]


def test_a_run_that_kept_one_orders_error_said_all_it_had_to_say(world: World) -> None:
    keys = world.set_and_detect(2)
    failed = Fault(subject=keys[0], step="transfer", kind="Reverted", message="no")
    world.store.note(failed, at=world.bridge.clock(), run_id=world.run.id)
    assert not steps.run_died(world.bridge, keys, world.run, "", spoke=True)
    assert steps.run_died(world.bridge, keys, world.run, "killed later", spoke=False)
    kinds = [[e.fault.kind for e in world.store.errors(key)] for key in keys]
    assert kinds == [["Reverted"], ["RunDied"]]


def test_a_claim_that_reverts_goes_back_to_paid(world: World) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.mine()
    world.chain.refuse(lambda c: c.value < 10**16, "no", foreseen=False)
    world.repay([key])
    world.mine()
    order = world.order(key)
    assert (order.status, order.failed, order.parked) == (Status.FULFILLED, True, False)
    world.chain.allow()
    world.later(1000)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
    world.mine()
    assert world.order(key).status is Status.PROVED
    assert world.paid(key) == 1
