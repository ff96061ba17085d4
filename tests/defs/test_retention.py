"""Old runs are deleted whole, and nothing else is: on Dagster's own storage in Postgres."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from mmbot_pipelines.defs.shared import retention
from mmbot_pipelines.defs.storage import Storage

DAGSTER_YAML = Path(__file__).parents[2] / "dagster_home" / "dagster.yaml"


@dg.op
def speak(context: dg.OpExecutionContext) -> str:
    context.log.info("a word")
    return "an output"


@dg.job(tags={"order": "zksync:7"})
def talk() -> None:
    speak()


@pytest.fixture
def instance(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """Return the product's own instance: its dagster.yaml, its Postgres."""
    (tmp_path / "dagster.yaml").write_text(DAGSTER_YAML.read_text())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("MMBOT_DATABASE_URL", database_url)
    monkeypatch.setattr(Storage, "_has_tables", False)
    with dg.DagsterInstance.get() as made:
        yield made


def run(instance: dg.DagsterInstance, database_url: str, days_ago: float) -> str:
    run_id = talk.execute_in_process(instance=instance).run_id
    # As Dagster captured what a run prints, before dagster.yaml named `RunLogs`.
    (Path(instance.storage_directory()) / run_id / "compute_logs").mkdir(parents=True)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE dagster.runs SET update_timestamp = (now() AT TIME ZONE 'UTC') - %s"
            " WHERE run_id = %s",
            (timedelta(days=days_ago), run_id),
        )
    return run_id


def kept(database_url: str) -> dict[str, set[str]]:
    """Return the runs that each of Dagster's tables names."""
    with psycopg.connect(database_url) as connection:
        return {
            table: {row[0] for row in connection.execute(f"SELECT run_id FROM dagster.{table}")}
            for table in ("runs", "run_tags", "event_logs")
        }


def files(instance: dg.DagsterInstance) -> set[str]:
    return {path.name for path in Path(instance.storage_directory()).iterdir()}


def clean(instance: dg.DagsterInstance, *, keep: int, by_hand: int | None = None) -> str:
    """Run the job as its schedule does, or with other days; return its log."""
    job = retention.definitions(keep).resolve_job_def("old_runs_cleanup")
    run_config = {"ops": {"forget": {"config": {"days": by_hand}}}} if by_hand else None
    run = job.execute_in_process(run_config=run_config, instance=instance)
    logged = [r.user_message for r in instance.all_logs(run.run_id) if "deleted" in r.user_message]
    instance.delete_run(run.run_id)
    return logged[0]


def test_old_runs_go_with_all_they_left_and_young_ones_stay(
    instance: dg.DagsterInstance, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 2)
    old = {run(instance, database_url, days_ago) for days_ago in (400, 31, 31, 30.1, 30.1)}
    young = {run(instance, database_url, 29.9), run(instance, database_url, 0)}
    before = kept(database_url)
    assert set(before) == {"runs", "run_tags", "event_logs"}
    assert all(runs == old | young for runs in before.values())
    assert old <= files(instance)
    assert clean(instance, keep=30).startswith("deleted 5 runs and 0 logs of ticks, older than 20")
    assert all(runs == young for runs in kept(database_url).values())
    assert files(instance) & (old | young) == young


def test_the_age_can_be_chosen_by_hand(instance: dg.DagsterInstance, database_url: str) -> None:
    run(instance, database_url, 8)
    assert clean(instance, keep=30).startswith("deleted 0 runs")
    assert clean(instance, keep=30, by_hand=7).startswith("deleted 1 runs")


@pytest.mark.parametrize("days", [0, -1, 10**9])
def test_an_age_that_is_none_is_refused(days: int) -> None:
    job = retention.definitions(30).resolve_job_def("old_runs_cleanup")
    config = {"ops": {"forget": {"config": {"days": days}}}}
    assert not job.execute_in_process(run_config=config, raise_on_error=False).success


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_run_that_has_not_ended_is_never_deleted(status: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(talk, status=dg.DagsterRunStatus(status))
        assert retention.forget_runs(instance, datetime.now(UTC) + timedelta(days=1)) == 0
        assert instance.get_run_by_id(run.run_id) is not None


def test_only_the_old_logs_of_ticks_are_deleted(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for name, days in (("1.err", 31), ("2.err", 29)):
        path = tmp_path / "l1_receipts" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, 2 * ((now - timedelta(days=days)).timestamp(),))
    assert retention.forget_tick_logs(tmp_path, now - timedelta(days=30)) == 1
    assert [path.name for path in tmp_path.rglob("*.err")] == ["2.err"]
    assert retention.forget_tick_logs(tmp_path / "nowhere", now) == 0


def test_it_runs_every_day_by_itself_and_may_take_its_time() -> None:
    made = retention.definitions(12)
    (schedule,) = made.schedules or []
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.cron_schedule == "30 3 * * *"
    job = made.resolve_job_def("old_runs_cleanup")
    assert job.run_config["ops"] == {"forget": {"config": {"days": 12}}}
    # more than dagster.yaml gives to a run that moves orders
    assert int(job.tags["dagster/max_runtime"]) == 3600
