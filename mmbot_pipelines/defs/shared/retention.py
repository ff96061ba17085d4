"""Deletion of old runs, their events, and the logs of old ticks from Dagster's storage.

old_runs_cleanup   every day at 03:30 UTC; by hand with another age, when the disk is full

A run leaves about 25 rows and 35 kB. The history of orders is in the store, and stays.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from mmbot_pipelines.defs.shared.dagster_internals import TICK_LOGS
from mmbot_pipelines.defs.shared.operator_errors import OperatorError, operator_errors

_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_BATCH = 100  # runs that are read at once
_MAX_DAYS = 36_500
_MAX_SECONDS = 3600  # a run that is ended then has deleted a part, and the next one goes on


def forget_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Delete runs that ended before a time, oldest first; return how many.

    Their events, tags, outputs and logs are deleted too. Unfinished runs stay.
    """
    filters = dg.RunsFilter(statuses=_FINISHED, updated_before=before)
    deleted = 0
    while records := instance.get_run_records(
        filters, limit=_BATCH, order_by="update_timestamp", ascending=True
    ):
        for record in records:
            run_id = record.dagster_run.run_id
            # The logs first: killed in between, the next cleanup finds the run again.
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            instance.delete_run(run_id)
        deleted += len(records)
    return deleted


def forget_tick_logs(folder: Path, before: datetime) -> int:
    """Delete logs of ticks that were written before a time; return how many.

    folder: where the ticks of all sensors and schedules log, one file each. Dagster deletes
    the ticks themselves (dagster.yaml, `retention`), but not these.
    """
    deleted = 0
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mtime < before.timestamp():
            path.unlink(missing_ok=True)
            deleted += 1
    return deleted


@dg.op(
    description="Delete runs that ended longer ago than `days`, and the logs of old ticks.",
    config_schema={"days": dg.Field(dg.Int, description="How many days to keep, e.g. 30.")},
)
def forget(context: dg.OpExecutionContext) -> None:
    days = context.op_config["days"]
    if not 1 <= days <= _MAX_DAYS:
        raise OperatorError(f"days is {days}: write a whole number from 1 to {_MAX_DAYS}")
    before = datetime.now(UTC) - timedelta(days=days)
    ticks = Path(context.instance.storage_directory()) / TICK_LOGS
    with operator_errors():
        logs = forget_tick_logs(ticks, before)
        runs = forget_runs(context.instance, before)
    context.log.info(f"deleted {runs} runs and {logs} logs of ticks, older than {before:%Y-%m-%d}")


def definitions(keep_days: int) -> dg.Definitions:
    """Return the cleanup job and its schedule; it keeps runs of the last `keep_days` days."""

    @dg.job(
        executor_def=dg.in_process_executor,
        description="Delete what Dagster keeps of runs that ended long ago. Orders are kept.",
        config={"ops": {"forget": {"config": {"days": keep_days}}}},
        tags={"dagster/max_runtime": _MAX_SECONDS},
    )
    def old_runs_cleanup() -> None:
        forget()

    schedule = dg.ScheduleDefinition(
        name="old_runs_cleanup",
        job=old_runs_cleanup,
        cron_schedule="30 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Deletes what Dagster keeps of runs that ended over {keep_days} days ago.",
    )
    return dg.Definitions(jobs=[old_runs_cleanup], schedules=[schedule])
