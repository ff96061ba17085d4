"""What is still sent while the bridge is throttled or halted, and what waits."""

from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.db.safety import PgSafety, PgSafetyReads
from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import Failure, RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.safety import GLOBAL
from tests.bridge.guard_steps import complete, halt, throttle
from tests.bridge.harness import BridgeHarness
from tests.ports.origin_memory import OriginMemory

UNPAID = [Status.PENDING, Status.PROCESSING]
QUARTER = 10**17 // 4


def test_throttled_sends_few_and_small_ones(harness: BridgeHarness) -> None:
    large = harness.set_and_detect(amount=QUARTER + 1)[0]
    small = harness.set_and_detect(3, amount=QUARTER)
    throttle(harness)
    assert steps.is_throttled(harness.bridge, "zksync")
    harness.transfer([large, *small])
    sent = [k for k, s in harness.statuses().items() if s is Status.TRANSFERRING]
    assert sent == [small[0]]
    assert "no more than 0.025 ETH" in (harness.order(large).reason or "")
    assert "a run sends no more than 1" in (harness.order(small[1]).reason or "")
    harness.rules(caps=replace(harness.bridge.rules.caps, throttled_transfers=2))
    harness.transfer([large, *small])
    assert harness.order(large).status is Status.PROCESSING
    assert [harness.order(k).status for k in small] == [Status.TRANSFERRING] * 3
    assert not any(harness.order(k).failed for k in harness.statuses())


def test_while_halted_orders_wait_and_claims_go_on(harness: BridgeHarness) -> None:
    paid = complete(harness)
    new, accepted = harness.set_and_detect(2)
    harness.rules(dry_run=True)
    harness.transfer([accepted])
    harness.rules(dry_run=False)
    halt(harness)
    logged = len(harness.logged)
    harness.transfer([new, accepted])
    assert harness.logged[logged:] == [
        "transfer: nothing is sent, global is HALTED since 2026-11-20 12:00:01 UTC by Ann: "
        "a look; 2 orders wait"
    ]
    assert harness.statuses() == {
        paid: Status.FULFILLED,
        new: Status.PENDING,
        accepted: Status.PROCESSING,
    }
    assert not any(harness.order(k).failed for k in (new, accepted))
    assert {harness.order(k).reason for k in (new, accepted)} == {"waiting: global is HALTED"}
    harness.repay([paid])
    harness.mine()
    assert harness.order(paid).status is Status.PROVED


def test_an_order_paid_elsewhere_is_claimed_while_halted(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.elsewhere(harness.registry.transfer(harness.order(key)))
    halt(harness)
    harness.transfer([key])
    assert harness.order(key).status is Status.FULFILLED


def test_while_halted_an_order_gets_one_run_and_goes_on_after_the_resumption(
    harness: BridgeHarness,
) -> None:
    (key,) = harness.set_and_detect()
    halt(harness, "zksync")

    def asked() -> list[str]:
        return [o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")]

    assert asked() == [key]
    harness.transfer([key])
    for _ in range(9):
        harness.later(1000)
        assert asked() == []
    guard.resume(harness.bridge, "zksync", by="Ann", reason="all well")
    assert asked() == [key]
    harness.transfer([key])
    assert harness.order(key).status is Status.TRANSFERRING
    assert harness.order(key).reason is None


def test_one_origin_halts_alone(harness: BridgeHarness) -> None:
    other = OriginMemory(harness.registry, "starknet")
    harness.bridge = replace(harness.bridge, origins={"zksync": harness.l2, "starknet": other})
    other.set_orders(1)
    keys = [*steps.detect(harness.bridge, "starknet", harness.run), *harness.set_and_detect()]
    halt(harness, "starknet")
    harness.transfer(keys)
    assert harness.statuses() == {
        "starknet:0": Status.PENDING,
        "zksync:0": Status.TRANSFERRING,
    }


@pytest.mark.parametrize("scope", [GLOBAL, "zksync"])
def test_a_halt_between_decision_and_signing_holds(harness: BridgeHarness, scope: str) -> None:
    keys = harness.set_and_detect(2)
    check = harness.l2.check

    def halting_check(orders: list[Order]) -> list[Failure | None]:
        halt(harness, scope)
        return check(orders)

    harness.l2.check = halting_check
    harness.transfer(keys)
    assert [harness.order(k).status for k in keys] == [Status.PROCESSING] * 2
    assert [harness.order(k).reason for k in keys] == [f"waiting: {scope} is HALTED"] * 2
    assert harness.transactions() == []
    assert harness.chain.broadcasts == []


def test_what_was_signed_before_a_halt_and_never_sent_is_taken_back(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.transfer([key])
    harness.chain.broadcast_fault = None
    halt(harness)
    steps.process_receipts(harness.bridge, harness.run)
    assert harness.chain.broadcasts == []
    harness.later(100)
    harness.replace_stuck()
    harness.mine()
    assert [t.call.value for t in harness.chain.executed()] == [0]  # its nonce is used up
    assert (harness.order(key).status, harness.paid(key)) == (Status.PROCESSING, 0)


@pytest.mark.parametrize("where", ["before", "in the lane"])
def test_nothing_is_sent_when_the_states_cannot_be_read(
    harness: BridgeHarness, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = harness.set_and_detect()

    def away(*_: object) -> object:
        raise StoreUnavailable("database of the test: the states are away")

    monkeypatch.setattr(PgSafety, "hold", away)
    if where == "before":
        monkeypatch.setattr(PgSafetyReads, "scope_states", away)
    assert "StoreUnavailable" in harness.failing(lambda: harness.transfer([key]))
    assert not harness.order(key).failed
    assert harness.transactions() == []
    assert harness.chain.broadcasts == []
