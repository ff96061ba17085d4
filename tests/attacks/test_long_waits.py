"""Orders that wait, healthy, for hours: a person hears of it once a reason, never once an order."""

import pytest

from mmbot_pipelines.bridge import guard
from mmbot_pipelines.bridge.fill import PricesTooHigh
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.alerts import Alert, Severity
from mmbot_pipelines.core.errors import InsufficientFunds, RpcUnavailable, Waits
from mmbot_pipelines.core.safety import GLOBAL
from tests.bridge.harness import BridgeHarness
from tests.bridge.test_alert_rules import proved
from tests.ports.store_writes import change


def waits(harness: BridgeHarness) -> list[Alert]:
    return [alert for alert in harness.alerts().alerts if alert.title == "orders wait for long"]


def wait(harness: BridgeHarness, keys: list[str], reason: str) -> None:
    for key in keys:
        order = harness.order(key)
        change(
            harness.store,
            order,
            order.with_wait_reason(reason, at=harness.now),
            run_id="r",
            at=harness.now,
        )


def every(kind: type[Waits]) -> list[type[Waits]]:
    """Return all kinds that have a reason of their own."""
    found = [one for sub in kind.__subclasses__() for one in (sub, *every(sub))]
    return [one for one in found if hasattr(one, "reason")]


def test_many_orders_that_wait_for_hours_are_one_notice_a_reason(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(40)
    harness.later(1800)
    wait(harness, keys[:30], PricesTooHigh.reason)
    wait(harness, keys[30:], "waiting: MMBOT_MAX_PER_DAY_WEI reached")
    assert waits(harness) == []
    harness.later(1801)
    first, second = waits(harness)
    assert {first.severity, second.severity} == {Severity.LOW}
    assert f"30 orders, healthy: {PricesTooHigh.reason}. The oldest is {keys[0]}" in first.text
    assert "10 orders, healthy: waiting: MMBOT_MAX_PER_DAY_WEI reached" in second.text
    assert first.key != second.key
    key = first.key
    wait(harness, keys[20:30], "waiting: MMBOT_MAX_PER_DAY_WEI reached")
    assert key in {alert.key for alert in waits(harness)}  # the same alert, whatever its count


def test_what_nodes_keep_back_for_hours_is_a_notice_too(harness: BridgeHarness) -> None:
    """Nodes that disagree are an outage, which stores no reason with the orders."""
    (key,) = harness.set_and_detect()
    harness.chain.fault = RpcUnavailable("nodes disagree")
    harness.failing(lambda: harness.transfer([key]))
    harness.chain.fault = None
    harness.later(3601)
    (alert,) = waits(harness)
    assert "1 order, healthy: no reason is stored, see its errors" in alert.text


def test_a_paid_order_that_waits_has_the_reason_in_the_alert_of_its_claim(
    harness: BridgeHarness,
) -> None:
    key = proved(harness)
    order = harness.order(key)
    reason = "waiting: fund our Starknet account 0x1, it needs 1 STRK"
    change(
        harness.store,
        order,
        order.with_wait_reason(reason, at=harness.now),
        run_id="r",
        at=harness.now,
    )
    harness.later(3601)
    (alert,) = harness.alerts().alerts
    assert alert.key == f"undelivered {key}"
    assert reason in alert.text


@pytest.mark.parametrize("kind", every(Waits), ids=lambda kind: kind.__name__)
def test_no_reason_to_wait_is_without_an_alert(harness: BridgeHarness, kind: type[Waits]) -> None:
    (key,) = harness.set_and_detect()
    wait(harness, [key], kind.reason)
    if "HALTED" in kind.reason:
        guard.halt(harness.bridge, GLOBAL, by="Ann", reason="a look")
    harness.later(3601)
    alerts = harness.alerts().alerts
    assert len(alerts) == 1
    assert harness.order(key).status is Status.PENDING


def test_what_has_an_alert_of_its_own_is_not_sent_twice(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    wait(harness, [key], InsufficientFunds.reason)
    harness.later(3601)
    assert [alert.key for alert in harness.alerts().alerts] == ["wallet-short"]
