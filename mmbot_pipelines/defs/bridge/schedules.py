"""The 5-minute schedules, so that no order is lost.

accepted_blocks_backfill   detects orders that the sensors may have missed, reads all receipts
failed_orders_retry        retries failed orders that are due

They begin two minutes apart: at the same time they would hold two of a few warm workers.
"""

from collections.abc import Callable
from datetime import timedelta

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.defs.bridge.run_requests import Bridge, op_run, order_tags, parked_is_green
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

_EVERY_5_MINUTES = "*/5 * * * *"
_BETWEEN = "2-57/5 * * * *"
_RUNS_KEPT = timedelta(days=30)  # `failed_runs` needs the orders of a run for an hour


def backfill(bridge: steps.Bridge, run: Run) -> list[str]:
    """Read the accepted blocks again; delete the orders of runs older than 30 days."""
    steps.forget_runs(bridge, before=bridge.clock() - _RUNS_KEPT)
    return steps.backfill(bridge, run)


def order_schedule(
    name: str,
    description: str,
    find: Callable[[steps.Bridge, Run], list[str]],
    *,
    cron: str,
    always: bool,
) -> dg.ScheduleDefinition:
    """Return a schedule of a job that finds orders and advances them.

    always: whether it reads the receipts of all transactions where it finds none, too.
    """

    @dg.op(name=f"{name}_op", description=description, config_schema={})
    def op(context: dg.OpExecutionContext, bridge: Bridge) -> None:
        run = op_run(context, bridge)
        with operator_errors():
            keys = find(bridge, run)
            run.log(f"orders to take on: {', '.join(keys) or 'none'}")
            context.instance.add_run_tags(context.run_id, order_tags(keys))
            steps.record_run(bridge, run.id, keys)
            if keys or always:
                with parked_is_green(context):
                    steps.advance(bridge, keys, run)

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor)
    def job() -> None:
        op()

    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )


definitions = dg.Definitions(
    schedules=[
        order_schedule(
            "accepted_blocks_backfill",
            "Reads the accepted blocks again, so that no order is lost.",
            backfill,
            cron=_EVERY_5_MINUTES,
            always=True,
        ),
        order_schedule(
            "failed_orders_retry",
            "Tries failed orders again whose next attempt has come.",
            steps.retry,
            cron=_BETWEEN,
            always=False,
        ),
    ],
)
