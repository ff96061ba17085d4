"""The daily report, materialized by Dagster."""

import base64
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.report import TOTAL
from mmbot_pipelines.core.money import format_ether
from mmbot_pipelines.defs.bridge.reports import DailyReports, definitions
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import at

FIRST = date(2026, 11, 20)
KEY = dg.AssetKey("daily_report")


class Desk:
    """What an operator sees of the asset."""

    def __init__(self, harness: BridgeHarness, folder: Path) -> None:
        self.folder = folder
        sources = DailyReports(reports=PgReports(harness.engine), folder=folder)
        self.defs = dg.Definitions.merge(
            definitions(FIRST, ["zksync"]), dg.Definitions(resources={"daily_reports": sources})
        )

    def materialize(self, day: date) -> dict[str, Any]:
        done = self.defs.resolve_job_def("report_day").execute_in_process(
            partition_key=day.isoformat()
        )
        (event,) = done.asset_materializations_for_node("daily_report")
        assert event.partition == day.isoformat()
        return dict(event.metadata)

    def at_night(self, *, scheduled: datetime) -> Any:
        schedule = self.defs.resolve_schedule_def("daily_report")
        tick = dg.build_schedule_context(
            scheduled_execution_time=scheduled, repository_def=self.defs.get_repository_def()
        )
        return schedule.evaluate_tick(tick)


@pytest.fixture
def desk(harness: BridgeHarness, tmp_path: Path) -> Desk:
    return Desk(harness, tmp_path / "reports")


def test_a_day_is_a_table_charts_and_files(desk: Desk, harness: BridgeHarness) -> None:
    at(harness, Status.PROVED)
    harness.l2.deliver()
    harness.settle()
    shown = desk.materialize(FIRST)
    (figures,) = [d.figures for d in PgReports(harness.engine).days(since=harness.now)]
    assert figures.completed == 1
    assert shown["profit_wei"].value == str(figures.profit)
    assert shown["completed"].value == 1
    assert shown["fees_eth"].value == figures.earned / 10**18
    zksync, total = (record.data for record in shown["by_origin"].records)
    assert (zksync["origin"], total["origin"]) == ("zksync", TOTAL)
    assert zksync["profit"] == total["profit"] == format_ether(figures.profit)
    for chart in ("money", "exposure"):
        kind, _, image = shown[chart].value.partition(";base64,")
        assert kind.endswith("](data:image/png")
        assert base64.b64decode(image.removesuffix(")")).startswith(b"\x89PNG")
        assert len(image) < 60_000  # it is stored with the run
    csv = (desk.folder / "2026-11-20.csv").read_text()
    assert str(figures.profit) in csv
    assert shown["parquet"].value == str(desk.folder / "2026-11-20.parquet")


def test_a_day_without_orders_has_a_report(desk: Desk) -> None:
    shown = desk.materialize(date(2026, 11, 21))
    assert [record.data["origin"] for record in shown["by_origin"].records] == [TOTAL]
    assert shown["summary"].value == "0 orders completed, profit 0 ETH (0 wei); final"
    assert "transfer_p50_seconds" not in shown
    assert len((desk.folder / "2026-11-21.csv").read_text().splitlines()) == 2


def test_today_is_reported_as_far_as_it_is(desk: Desk) -> None:
    shown = desk.materialize(datetime.now(UTC).date())
    assert shown["summary"].value.endswith("; the day is not over")


def test_a_day_with_an_undecided_transaction_is_not_final(
    desk: Desk, harness: BridgeHarness
) -> None:
    at(harness, Status.TRANSFERRING)
    summary = desk.materialize(FIRST)["summary"].value
    assert summary.endswith("; 1 transactions are undecided: materialize it again later")


def test_each_night_reports_the_day_before(desk: Desk) -> None:
    midnight = datetime(2026, 11, 21, 0, 10, tzinfo=UTC)
    (request,) = desk.at_night(scheduled=midnight).run_requests
    assert request.partition_key == "2026-11-20"
    skipped = desk.at_night(scheduled=midnight - timedelta(days=1))
    assert skipped.skip_message == "no order was found by 2026-11-19"


def test_a_folder_that_cannot_be_written_is_named(harness: BridgeHarness, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    desk = Desk(harness, tmp_path / "file" / "reports")
    with pytest.raises(dg.Failure, match=r"file/reports cannot be written: Not a directory"):
        desk.materialize(FIRST)
