"""The way of a claim after it was sent: messages that get lost, tasks of a prover."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.chain_ports import Progress
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.errors import Malformed, RpcUnavailable, Undelivered
from mmbot_pipelines.core.money import TxHash
from tests.bridge.world import World

TOLD_IN = TxHash("0x" + "77" * 32)
PATIENCE = 3600.0


@pytest.fixture(params=["zksync", "starknet"])
def world(request: pytest.FixtureRequest) -> World:
    """Play the same way on either origin: the steps do not know which it is."""
    world = World()
    world.l2.name = request.param
    world.bridge = replace(world.bridge, origins={request.param: world.l2})
    world.rules(undelivered_after_seconds=PATIENCE)
    return world


def paid(world: World) -> str:
    (key,) = (o.key for o in world.l2.set_orders(1))
    steps.detect(world.bridge, world.l2.name, world.run)
    world.transfer([key])
    world.mine()
    return key


def proved(world: World) -> str:
    key = paid(world)
    world.repay([key])
    world.mine()
    assert world.order(key).status is Status.PROVED
    return key


def proving(world: World) -> str:
    """Claim by a task."""
    world.l2.by_task = True
    key = paid(world)
    world.repay([key])
    assert world.order(key).status is Status.PROVING
    return key


def settle(world: World) -> list[str]:
    return steps.settle(world.bridge, world.l2.name, world.run)


def claims_mined(world: World, key: str) -> int:
    number = world.order(key)
    return sum(
        t.call.data == world.registry.claim(number, value=t.call.value).data
        for t in world.chain.executed(succeeded=True)
    )


def test_what_a_claim_goes_by_is_kept_with_the_order(world: World) -> None:
    key = proved(world)
    since = world.order(key).changed_at
    world.later(10)
    world.l2.known[key] = Progress(ref="message 0xabc")
    assert settle(world) == []
    order = world.order(key)
    assert (order.claim_ref, order.status) == ("message 0xabc", Status.PROVED)
    assert order.changed_at == since
    version = order.version
    settle(world)
    assert world.order(key).version == version


def test_a_person_claims_again_what_did_not_arrive(world: World) -> None:
    key = proved(world)
    world.later(PATIENCE + 1)
    steps.reprocess(world.bridge, [key], world.run)
    order = world.order(key)
    assert (order.status, order.attempt) == (Status.PROVING, 2)
    world.mine()
    assert world.order(key).status is Status.PROVED
    assert claims_mined(world, key) == 2
    world.l2.deliver()
    assert settle(world) == [key]
    told = [h.reason for h in world.store.history(key) if h.after is Status.FULFILLED]
    assert told[-1] == "claimed again by hand: nothing arrived in 3601 s"
    assert world.paid(key) == 1


def test_a_claim_is_not_made_again_before_its_time(world: World) -> None:
    key = proved(world)
    world.later(PATIENCE)
    steps.reprocess(world.bridge, [key], world.run)
    assert world.order(key).status is Status.PROVED
    assert f"{key}: claimed 3600 s ago, not again before 3600.0 s" in world.said
    world.mine()
    assert claims_mined(world, key) == 1


def test_what_the_escrow_has_paid_is_not_claimed_again(world: World) -> None:
    key = proved(world)
    world.l2.deliver()
    world.later(PATIENCE + 1)
    steps.reprocess(world.bridge, [key], world.run)
    world.mine()
    assert world.order(key).status is Status.COMPLETED
    assert claims_mined(world, key) == 1


def test_an_escrow_that_cannot_be_asked_lets_nothing_be_claimed_again(world: World) -> None:
    key = proved(world)
    world.later(PATIENCE + 1)
    world.l2.fault = RpcUnavailable("no node answered")
    assert "RpcUnavailable" in world.failing(
        lambda: steps.reprocess(world.bridge, [key], world.run)
    )
    assert world.order(key).status is Status.PROVED


def test_nobody_but_a_person_claims_again(world: World) -> None:
    key = proved(world)
    world.later(100 * PATIENCE)
    steps.advance(world.bridge, [key, *steps.retry(world.bridge, world.run)], world.run)
    settle(world)
    world.mine()
    assert world.order(key).status is Status.PROVED
    assert claims_mined(world, key) == 1


def test_a_claim_proven_lost_is_made_again_after_a_backoff(world: World) -> None:
    key = proved(world)
    world.l2.known[key] = Progress(lost=Undelivered("used up on L1, not paid"))
    settle(world)
    order = world.order(key)
    assert (order.status, order.failed, order.parked) == (Status.FULFILLED, True, False)
    assert order.reason == "Undelivered: used up on L1, not paid"
    assert [e.fault.kind for e in world.store.errors(key)] == ["Undelivered"]
    assert steps.retry(world.bridge, world.run) == []
    world.l2.known.clear()
    world.later(61)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
    world.mine()
    assert world.order(key).status is Status.PROVED
    assert claims_mined(world, key) == 2


def test_a_claim_that_costs_what_it_brings_waits_for_lower_prices(world: World) -> None:
    dear = paid(world)
    order, usual = world.order(dear), world.l2.message_gas
    brings = order.amount + order.fee
    world.l2.message_gas = brings // world.chain.fees().ceiling + 1
    world.repay([dear])
    order = world.order(dear)
    assert (order.status, order.failed, order.failures) == (Status.FULFILLED, False, 0)
    assert order.reason == "waits: its claim would cost what it brings"
    world.l2.message_gas = usual
    world.later(61)
    world.repay([o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])])
    world.mine()
    assert claims_mined(world, dear) == 1


def test_claims_that_get_lost_again_and_again_are_parked(world: World) -> None:
    key = proved(world)
    for lost in (1, 2, 3):
        world.l2.known[key] = Progress(lost=Undelivered("used up"))
        settle(world)
        assert world.order(key).parked == (lost == 3)
        world.l2.known.clear()
        world.later(3600)
        steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
        world.mine()
    assert claims_mined(world, key) == 3
    assert world.order(key).status is Status.FULFILLED


def test_a_task_goes_the_same_way_as_a_message(world: World) -> None:
    key = proving(world)
    order = world.order(key)
    assert (order.claim_ref, order.claim_tx) == (f"task {key}/1", None)
    settle(world)
    assert world.order(key).status is Status.PROVING
    world.l2.known[key] = Progress(proven_in=TOLD_IN)
    settle(world)
    order = world.order(key)
    assert (order.status, order.claim_tx) == (Status.PROVED, TOLD_IN)
    settle(world)
    world.l2.pay(order.number)
    assert settle(world) == [key]
    assert claims_mined(world, key) == 0


def test_a_task_given_and_not_stored_is_given_once_more_and_is_the_same(world: World) -> None:
    world.l2.by_task = True
    key = paid(world)
    (order,) = world.store.get([key])
    world.l2.claims([order], world.chain.fees())  # and the power fails
    world.repay([key])
    assert world.l2.tasks == [f"task {key}/1"]
    assert world.order(key).claim_ref == f"task {key}/1"


def test_a_failing_task_is_a_new_attempt_after_a_backoff(world: World) -> None:
    key = proving(world)
    world.l2.known[key] = Progress(lost=Undelivered("the task failed: out of memory"))
    settle(world)
    order = world.order(key)
    assert (order.status, order.attempt, order.failed) == (Status.FULFILLED, 2, True)
    world.l2.known.clear()
    world.later(61)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
    assert world.order(key).claim_ref == f"task {key}/2"
    assert world.l2.tasks == [f"task {key}/1", f"task {key}/2"]


def test_a_task_without_end_is_given_again_by_a_person(world: World) -> None:
    key = proving(world)
    world.later(PATIENCE + 1)
    steps.reprocess(world.bridge, [key], world.run)
    assert world.order(key).claim_ref == f"task {key}/2"


def test_a_task_that_waits_for_a_known_reason_is_not_given_again_by_hand(world: World) -> None:
    key = proving(world)
    world.l2.known[key] = Progress(waits="waiting: the escrow is paused")
    settle(world)
    order = world.order(key)
    assert (order.status, order.failed, order.reason) == (
        Status.PROVING,
        False,
        "waiting: the escrow is paused",
    )
    world.later(PATIENCE + 1)
    steps.reprocess(world.bridge, [key], world.run)
    assert world.order(key).claim_ref == f"task {key}/1"
    assert world.l2.tasks == [f"task {key}/1"]


def test_a_proof_that_is_shown_again_goes_by_its_new_transaction(world: World) -> None:
    key = proving(world)
    world.l2.known[key] = Progress(proven_in=TOLD_IN)
    settle(world)
    again = TxHash("0x" + "78" * 32)
    world.l2.known[key] = Progress(proven_in=again)
    settle(world)
    order = world.order(key)
    assert (order.status, order.claim_tx, order.attempt) == (Status.PROVED, again, 1)


def test_a_task_that_is_refused_fails_its_own_order_only(world: World) -> None:
    world.l2.by_task = True
    bad, good = paid(world), paid(world)
    claims = world.l2.claims
    world.l2.claims = lambda orders, fees: [  # type: ignore[method-assign]
        Malformed("no such thing can be proven") if o.key == bad else claims([o], fees)[0]
        for o in orders
    ]
    assert "no such thing can be proven" in world.failing(lambda: world.repay([bad, good]))
    assert world.order(bad).parked
    assert world.order(good).status is Status.PROVING


def test_a_paid_task_is_completed_even_before_it_is_proven(world: World) -> None:
    key = proving(world)
    world.l2.pay(world.order(key).number)
    assert settle(world) == [key]


def test_a_prover_that_is_away_keeps_no_other_order_waiting(world: World) -> None:
    key = proving(world)
    world.l2.by_task = False
    other = paid(world)
    world.l2.progress = _away  # type: ignore[method-assign]
    with pytest.raises(RpcUnavailable):
        settle(world)
    steps.advance(world.bridge, [key, other], world.run)
    assert world.order(other).status is Status.PROVING
    assert any("settlements not seen, RpcUnavailable" in line for line in world.said)


def _away(_: object) -> list[Progress]:
    raise RpcUnavailable("the prover does not answer")
