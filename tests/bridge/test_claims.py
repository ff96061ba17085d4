"""The way of a claim after it was sent: messages that get lost, tasks of a prover."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.chains import Progress
from mmbot_pipelines.core.errors import Malformed, RpcUnavailable, Undelivered
from mmbot_pipelines.core.money import TxHash
from tests.bridge.harness import BridgeHarness

PROVEN_IN = TxHash("0x" + "77" * 32)
PATIENCE = 3600.0


@pytest.fixture(params=["zksync", "starknet"])
def harness(request: pytest.FixtureRequest) -> BridgeHarness:
    """Play the same way on either origin: the steps do not know which it is."""
    harness = BridgeHarness()
    harness.l2.name = request.param
    harness.bridge = replace(harness.bridge, origins={request.param: harness.l2})
    harness.rules(undelivered_after_seconds=PATIENCE)
    return harness


def paid(harness: BridgeHarness) -> str:
    (key,) = (o.key for o in harness.l2.set_orders(1))
    steps.detect(harness.bridge, harness.l2.name, harness.run)
    harness.transfer([key])
    harness.mine()
    return key


def proved(harness: BridgeHarness) -> str:
    key = paid(harness)
    harness.repay([key])
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    return key


def proving(harness: BridgeHarness) -> str:
    """Claim by a task."""
    harness.l2.by_task = True
    key = paid(harness)
    harness.repay([key])
    assert harness.order(key).status is Status.PROVING
    return key


def settle(harness: BridgeHarness) -> list[str]:
    return steps.settle(harness.bridge, harness.l2.name, harness.run)


def claims_mined(harness: BridgeHarness, key: str) -> int:
    number = harness.order(key)
    return sum(
        t.call.data == harness.registry.claim(number, value=t.call.value).data
        for t in harness.chain.executed(succeeded=True)
    )


def test_what_a_claim_goes_by_is_kept_with_the_order(harness: BridgeHarness) -> None:
    key = proved(harness)
    since = harness.order(key).changed_at
    harness.later(10)
    harness.l2.known[key] = Progress(ref="message 0xabc")
    assert settle(harness) == []
    order = harness.order(key)
    assert (order.claim_ref, order.status) == ("message 0xabc", Status.PROVED)
    assert order.changed_at == since
    version = order.version
    settle(harness)
    assert harness.order(key).version == version


def test_a_person_claims_again_what_did_not_arrive(harness: BridgeHarness) -> None:
    key = proved(harness)
    harness.later(PATIENCE + 1)
    steps.reprocess(harness.bridge, [key], harness.run)
    order = harness.order(key)
    assert (order.status, order.attempt) == (Status.PROVING, 2)
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    assert claims_mined(harness, key) == 2
    harness.l2.deliver()
    assert settle(harness) == [key]
    reported = [h.reason for h in harness.store.orders.history(key) if h.after is Status.FULFILLED]
    assert reported[-1] == "claimed again by hand: nothing arrived in 3601 s"
    assert harness.paid(key) == 1


def test_a_claim_is_not_made_again_before_its_time(harness: BridgeHarness) -> None:
    key = proved(harness)
    harness.later(PATIENCE)
    steps.reprocess(harness.bridge, [key], harness.run)
    assert harness.order(key).status is Status.PROVED
    assert f"{key}: claimed 3600 s ago, not again before 3600.0 s" in harness.logged
    harness.mine()
    assert claims_mined(harness, key) == 1


def test_what_the_escrow_has_paid_is_not_claimed_again(harness: BridgeHarness) -> None:
    key = proved(harness)
    harness.l2.deliver()
    harness.later(PATIENCE + 1)
    steps.reprocess(harness.bridge, [key], harness.run)
    harness.mine()
    assert harness.order(key).status is Status.COMPLETED
    assert claims_mined(harness, key) == 1


def test_an_escrow_that_cannot_be_asked_lets_nothing_be_claimed_again(
    harness: BridgeHarness,
) -> None:
    key = proved(harness)
    harness.later(PATIENCE + 1)
    harness.l2.fault = RpcUnavailable("no node answered")
    assert "RpcUnavailable" in harness.failing(
        lambda: steps.reprocess(harness.bridge, [key], harness.run)
    )
    assert harness.order(key).status is Status.PROVED


def test_nobody_but_a_person_claims_again(harness: BridgeHarness) -> None:
    key = proved(harness)
    harness.later(100 * PATIENCE)
    steps.advance(harness.bridge, [key, *steps.retry(harness.bridge, harness.run)], harness.run)
    settle(harness)
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    assert claims_mined(harness, key) == 1


def test_a_claim_proven_lost_is_made_again_after_a_backoff(harness: BridgeHarness) -> None:
    key = proved(harness)
    harness.l2.known[key] = Progress(lost=Undelivered("used up on L1, not paid"))
    settle(harness)
    order = harness.order(key)
    assert (order.status, order.failed, order.is_parked) == (Status.FULFILLED, True, False)
    assert order.reason == "Undelivered: used up on L1, not paid"
    assert [e.fault.kind for e in harness.store.errors.of(key)] == ["Undelivered"]
    assert steps.retry(harness.bridge, harness.run) == []
    harness.l2.known.clear()
    harness.later(61)
    steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    assert claims_mined(harness, key) == 2


@pytest.mark.parametrize("more", [1, -1], ids=["message alone", "message and gas"])
def test_a_claim_that_costs_what_it_brings_waits_for_lower_prices(
    harness: BridgeHarness, more: int
) -> None:
    costly = paid(harness)
    order, usual = harness.order(costly), harness.l2.message_gas
    brings = order.amount + order.fee
    harness.l2.message_gas = brings // harness.chain.fees().ceiling + more
    has = harness.chain.endowment
    if more > 0:  # whatever the wallet has: it need not be sent ETH for such a claim
        harness.chain.endowment -= harness.chain.balance()
    harness.repay([costly])
    order = harness.order(costly)
    assert (order.status, order.failed, order.failures) == (Status.FULFILLED, False, 0)
    assert order.reason == "waiting: its claim would cost what it brings"
    harness.l2.message_gas, harness.chain.endowment = usual, has
    harness.later(61)
    harness.repay([o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])])
    harness.mine()
    assert claims_mined(harness, costly) == 1


def test_claims_that_get_lost_again_and_again_are_parked(harness: BridgeHarness) -> None:
    key = proved(harness)
    for lost in (1, 2, 3):
        harness.l2.known[key] = Progress(lost=Undelivered("used up"))
        settle(harness)
        assert harness.order(key).is_parked == (lost == 3)
        harness.l2.known.clear()
        harness.later(3600)
        steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
        harness.mine()
    assert claims_mined(harness, key) == 3
    assert harness.order(key).status is Status.FULFILLED


def test_a_task_goes_the_same_way_as_a_message(harness: BridgeHarness) -> None:
    key = proving(harness)
    order = harness.order(key)
    assert (order.claim_ref, order.claim_tx) == (f"task {key}/1", None)
    settle(harness)
    assert harness.order(key).status is Status.PROVING
    harness.l2.known[key] = Progress(proven_in=PROVEN_IN)
    settle(harness)
    order = harness.order(key)
    assert (order.status, order.claim_tx) == (Status.PROVED, PROVEN_IN)
    settle(harness)
    harness.l2.pay(order.number)
    assert settle(harness) == [key]
    assert claims_mined(harness, key) == 0


def test_a_task_given_and_not_stored_is_given_once_more_and_is_the_same(
    harness: BridgeHarness,
) -> None:
    harness.l2.by_task = True
    key = paid(harness)
    (order,) = harness.store.orders.get([key])
    harness.l2.claims([order], harness.chain.fees())  # and the power fails
    harness.repay([key])
    assert harness.l2.tasks == [f"task {key}/1"]
    assert harness.order(key).claim_ref == f"task {key}/1"


def test_a_failing_task_is_a_new_attempt_after_a_backoff(harness: BridgeHarness) -> None:
    key = proving(harness)
    harness.l2.known[key] = Progress(lost=Undelivered("the task failed: out of memory"))
    settle(harness)
    order = harness.order(key)
    assert (order.status, order.attempt, order.failed) == (Status.FULFILLED, 2, True)
    harness.l2.known.clear()
    harness.later(61)
    steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
    assert harness.order(key).claim_ref == f"task {key}/2"
    assert harness.l2.tasks == [f"task {key}/1", f"task {key}/2"]


def test_a_task_without_end_is_given_again_by_a_person(harness: BridgeHarness) -> None:
    key = proving(harness)
    harness.later(PATIENCE + 1)
    steps.reprocess(harness.bridge, [key], harness.run)
    assert harness.order(key).claim_ref == f"task {key}/2"


def test_a_task_that_waits_for_a_known_reason_is_not_given_again_by_hand(
    harness: BridgeHarness,
) -> None:
    key = proving(harness)
    harness.l2.known[key] = Progress(waits="waiting: the escrow is paused")
    settle(harness)
    order = harness.order(key)
    assert (order.status, order.failed, order.reason) == (
        Status.PROVING,
        False,
        "waiting: the escrow is paused",
    )
    harness.later(PATIENCE + 1)
    steps.reprocess(harness.bridge, [key], harness.run)
    assert harness.order(key).claim_ref == f"task {key}/1"
    assert harness.l2.tasks == [f"task {key}/1"]


def test_a_proof_that_is_shown_again_goes_by_its_new_transaction(harness: BridgeHarness) -> None:
    key = proving(harness)
    harness.l2.known[key] = Progress(proven_in=PROVEN_IN)
    settle(harness)
    again = TxHash("0x" + "78" * 32)
    harness.l2.known[key] = Progress(proven_in=again)
    settle(harness)
    order = harness.order(key)
    assert (order.status, order.claim_tx, order.attempt) == (Status.PROVED, again, 1)


def test_a_task_that_is_refused_fails_its_own_order_only(harness: BridgeHarness) -> None:
    harness.l2.by_task = True
    bad, good = paid(harness), paid(harness)
    claims = harness.l2.claims
    harness.l2.claims = lambda orders, fees: [
        Malformed("no such thing can be proven") if o.key == bad else claims([o], fees)[0]
        for o in orders
    ]
    assert "no such thing can be proven" in harness.failing(lambda: harness.repay([bad, good]))
    assert harness.order(bad).is_parked
    assert harness.order(good).status is Status.PROVING


def test_a_paid_task_is_completed_even_before_it_is_proven(harness: BridgeHarness) -> None:
    key = proving(harness)
    harness.l2.pay(harness.order(key).number)
    assert settle(harness) == [key]


def test_a_prover_that_is_away_keeps_no_other_order_waiting(harness: BridgeHarness) -> None:
    key = proving(harness)
    harness.l2.by_task = False
    other = paid(harness)
    harness.l2.progress = _away
    with pytest.raises(RpcUnavailable):
        settle(harness)
    steps.advance(harness.bridge, [key, other], harness.run)
    assert harness.order(other).status is Status.PROVING
    assert any("settlements not seen, RpcUnavailable" in line for line in harness.logged)


def _away(_: object) -> list[Progress]:
    raise RpcUnavailable("the prover does not answer")
