"""Orders that wait, healthy, for hours: a person hears of it once a reason, never once an order."""

import pytest

from mmbot_pipelines.bridge import guard
from mmbot_pipelines.bridge.fill import PricesTooHigh
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.alerts import Alert, Severity
from mmbot_pipelines.core.errors import OutOfFunds, RpcUnavailable, Waits
from mmbot_pipelines.core.safety import GLOBAL
from tests.bridge.test_conditions import proved, seen
from tests.bridge.world import World


def waits(world: World) -> list[Alert]:
    return [alert for alert in seen(world).alerts if alert.title == "orders wait for long"]


def wait(world: World, keys: list[str], reason: str) -> None:
    for key in keys:
        order = world.order(key)
        world.store.change(order, order.waiting(reason, at=world.now), run_id="r", at=world.now)


def every(kind: type[Waits]) -> list[type[Waits]]:
    """Return all kinds that have a reason of their own."""
    found = [one for sub in kind.__subclasses__() for one in (sub, *every(sub))]
    return [one for one in found if hasattr(one, "reason")]


def test_a_crowd_that_waits_for_hours_is_one_notice_a_reason(world: World) -> None:
    keys = world.set_and_detect(40)
    world.later(1800)
    wait(world, keys[:30], PricesTooHigh.reason)
    wait(world, keys[30:], "waits: no room under MMBOT_MAX_PER_DAY_WEI now")
    assert waits(world) == []
    world.later(1801)
    first, second = waits(world)
    assert {first.severity, second.severity} == {Severity.LOW}
    assert f"30 orders, healthy: {PricesTooHigh.reason}. The oldest is {keys[0]}" in first.text
    assert "10 orders, healthy: waits: no room under MMBOT_MAX_PER_DAY_WEI now" in second.text
    assert first.key != second.key
    key = first.key
    wait(world, keys[20:30], "waits: no room under MMBOT_MAX_PER_DAY_WEI now")
    assert key in {alert.key for alert in waits(world)}  # the same alert, whatever its count


def test_what_nodes_keep_back_for_hours_is_a_notice_too(world: World) -> None:
    """They disagree, say: an outage stores no reason with the orders."""
    (key,) = world.set_and_detect()
    world.chain.fault = RpcUnavailable("nodes disagree")
    world.failing(lambda: world.transfer([key]))
    world.chain.fault = None
    world.later(3601)
    (alert,) = waits(world)
    assert "1 order, healthy: no reason is stored, see its errors" in alert.text


def test_a_paid_order_that_waits_has_the_reason_in_the_alert_of_its_claim(world: World) -> None:
    key = proved(world)
    order = world.order(key)
    reason = "waiting: fund our Starknet account 0x1, it needs 1 STRK"
    world.store.change(order, order.waiting(reason, at=world.now), run_id="r", at=world.now)
    world.later(3601)
    (alert,) = seen(world).alerts
    assert alert.key == f"undelivered {key}"
    assert reason in alert.text


@pytest.mark.parametrize("kind", every(Waits), ids=lambda kind: kind.__name__)
def test_no_reason_to_wait_is_without_an_alert(world: World, kind: type[Waits]) -> None:
    (key,) = world.set_and_detect()
    wait(world, [key], kind.reason)
    if "HALTED" in kind.reason:
        guard.halt(world.bridge, GLOBAL, by="Ann", reason="a look")
    world.later(3601)
    alerts = seen(world).alerts
    assert len(alerts) == 1
    assert world.order(key).status is Status.PENDING


def test_what_has_an_alert_of_its_own_is_not_told_twice(world: World) -> None:
    (key,) = world.set_and_detect()
    wait(world, [key], OutOfFunds.reason)
    world.later(3601)
    assert [alert.key for alert in seen(world).alerts] == ["wallet-short"]
