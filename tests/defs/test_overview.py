"""The glance: green when all is well, red with a line a problem; one event a part, not an order."""

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg
from sqlalchemy import event

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.bridge.alerting.notify import JOURNAL
from mmbot_pipelines.core.alerts import Alert, AlertSnapshot, Severity
from mmbot_pipelines.defs.bridge.overview import OVERVIEW, definitions, overview, overview_sensor
from mmbot_pipelines.wiring.overview import overview as read_overview
from tests.bridge.harness import BridgeHarness

PARTS = {"escrow_orders/zksync", "transfers/zksync", "claims/zksync", "settlements/zksync"}


class Desk:
    """The sensor's ticks, one after the other."""

    def __init__(self, harness: BridgeHarness) -> None:
        self.harness = harness
        harness.now = datetime.now(UTC)
        PgDaemons(harness.engine).record_heartbeat("daemon-1", at=harness.now)
        self.cursor: str | None = None

    def tick(self) -> dict[str, Any]:
        """Return what a tick reports, by asset; the check's evaluation as "check"."""
        context = dg.build_sensor_context(
            cursor=self.cursor,
            resources={"read_overview": partial(read_overview, self.harness.engine)},
        )
        done = overview_sensor.evaluate_tick(context)
        self.cursor, self.said = done.cursor, done.skip_message
        return {
            "check" if isinstance(e, dg.AssetCheckEvaluation) else e.asset_key.to_user_string(): e
            for e in done.asset_events
        }


def plain(event: Any) -> dict[str, Any]:
    return {name: value.value for name, value in event.metadata.items()}


def test_all_is_well_is_green_and_said_once(harness: BridgeHarness) -> None:
    desk = Desk(harness)
    harness.set_and_detect()
    first = desk.tick()
    assert set(first) == {"overview", "check", *PARTS}
    assert (first["check"].passed, first["check"].description) == (True, "all is well")
    assert desk.said == "all is well"
    assert plain(first["overview"])["safety"] == "NORMAL"
    assert plain(first["overview"])["unfinished orders"] == 1
    assert desk.tick() == {}
    assert desk.cursor is not None
    at = json.loads(desk.cursor) | {"at": "2026-01-01T00:00:00+00:00"}
    desk.cursor = json.dumps(at)
    assert set(desk.tick()) == {"overview", "check"}  # a point in the plots, at last
    desk.cursor = '["edited by hand"]'
    assert set(desk.tick()) == set(first)


def test_what_waits_for_a_person_is_red_with_a_line_each(harness: BridgeHarness) -> None:
    desk = Desk(harness)
    (key,) = harness.set_and_detect()
    order = harness.order(key)
    harness.registry.rejecting.add(order.recipient)
    desk.tick()
    harness.rules(max_attempts=1)
    harness.failing(lambda: harness.transfer([key]))
    assert harness.order(key).is_parked
    found = Alert(key="k", severity=Severity.HIGH, title="too little ETH", text="send some")
    snapshot = AlertSnapshot(alerts=[found], unknown=frozenset())
    PgAlertLog(harness.engine).observe(JOURNAL, snapshot, at=harness.now)
    check = desk.tick()["check"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.description.startswith(f"{key} is parked at PROCESSING: ")
    lines = plain(check)["waits for you"].splitlines()
    assert len(lines) == 2
    assert "too little ETH" in lines[1]


def test_the_way_of_an_order_shows_amounts_and_who_is_next(harness: BridgeHarness) -> None:
    desk = Desk(harness)
    keys = harness.set_and_detect(2)
    found = plain(desk.tick()["escrow_orders/zksync"])
    assert (found["found today"], found["to be paid"]) == (2, 2)
    assert found["latest block read"] == harness.l2.sealed[-1].block.number
    harness.transfer(keys)
    harness.mine()
    tick = desk.tick()
    paid = plain(tick["transfers/zksync"])
    assert (paid["transferred today"], paid["paid today (wei)"]) == (2, str(2 * 10**16))
    assert paid["paid today (ETH)"] == 0.02
    assert plain(tick["claims/zksync"])["to be claimed"] == 2
    harness.repay(keys)
    harness.mine()
    harness.l2.deliver()
    harness.settle()
    tick = desk.tick()
    assert plain(tick["settlements/zksync"])["completed today"] == 2
    assert "escrow_orders/zksync" not in tick


def test_a_burst_costs_no_more_events_and_questions_than_one_order(harness: BridgeHarness) -> None:
    desk = Desk(harness)
    asked: list[str] = []

    def count(*given: Any) -> None:
        asked.append(str(given[2]))

    event.listen(harness.engine, "before_cursor_execute", count)
    costs = []
    for orders in (1, 30):
        harness.set_and_detect(orders)
        asked.clear()
        costs.append((len(desk.tick()), len(asked)))
    assert costs[1][0] <= costs[0][0]
    assert costs[1][1] == costs[0][1]


def test_a_person_may_read_it_at_once(harness: BridgeHarness) -> None:
    Desk(harness)
    with dg.instance_for_test() as instance:
        done = dg.materialize(
            [overview],
            instance=instance,
            resources={"read_overview": partial(read_overview, harness.engine)},
        )
        assert done.success
        (check,) = done.get_asset_check_evaluations()
        assert (check.asset_key, check.passed) == (OVERVIEW, True)
    assert [sensor.name for sensor in definitions.sensors or []] == ["overview"]
