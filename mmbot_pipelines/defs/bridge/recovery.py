"""Backfill, retry and manual reprocessing, so that no order is lost.

accepted_blocks_backfill   every 5 min: detects orders that the sensors may have missed
failed_orders_retry        every 5 min: retries failed orders that are due
reprocess_order            from the launchpad: advances one order as far as possible
"""

from collections.abc import Callable
from datetime import timedelta

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.journal import Run
from mmbot_pipelines.bridge.origins import EXAMPLE_KEY
from mmbot_pipelines.defs.bridge.failed_orders import failed_order, failed_orders
from mmbot_pipelines.defs.bridge.failed_runs import failed_runs
from mmbot_pipelines.defs.bridge.run_requests import Bridge, op_run, order_tags, reprocess_one
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

_RUNS_KEPT = timedelta(days=30)  # `failed_runs` needs the orders of a run for an hour


@dg.op(
    description="Clear the failure of one order and advance it as far as possible.",
    config_schema={
        "order_key": dg.Field(dg.String, description=f'The order, e.g. "{EXAMPLE_KEY}".')
    },
)
def reprocess(context: dg.OpExecutionContext, bridge: Bridge) -> None:
    reprocess_one(context, bridge, context.op_config["order_key"])


@dg.job(
    executor_def=dg.in_process_executor,
    description="Retry one order by hand. Put its key into the launchpad.",
    config={"ops": {"reprocess": {"config": {"order_key": ""}}}},
)
def reprocess_order() -> None:
    reprocess()


def backfill(bridge: steps.Bridge, run: Run) -> list[str]:
    """Read the accepted blocks again; delete the orders of runs older than 30 days."""
    steps.forget_runs(bridge, before=bridge.clock() - _RUNS_KEPT)
    return steps.backfill(bridge, run)


def every_five_minutes(
    name: str, description: str, find: Callable[[steps.Bridge, Run], list[str]]
) -> dg.ScheduleDefinition:
    """Return a schedule of a job that finds orders and advances them."""

    @dg.op(name=f"{name}_op", description=description, config_schema={})
    def op(context: dg.OpExecutionContext, bridge: Bridge) -> None:
        run = op_run(context)
        with operator_errors():
            keys = find(bridge, run)
            run.log(f"orders to take on: {', '.join(keys) or 'none'}")
            context.instance.add_run_tags(context.run_id, order_tags(keys))
            steps.record_run(bridge, run.id, keys)
            steps.advance(bridge, keys, run)

    @dg.job(name=name, description=description, executor_def=dg.in_process_executor)
    def job() -> None:
        op()

    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule="*/5 * * * *",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )


definitions = dg.Definitions(
    assets=[failed_order],
    jobs=[reprocess_order],
    sensors=[failed_runs, failed_orders],
    schedules=[
        every_five_minutes(
            "accepted_blocks_backfill",
            "Reads the accepted blocks again, so that no order is lost.",
            backfill,
        ),
        every_five_minutes(
            "failed_orders_retry",
            "Tries failed orders again whose next attempt has come.",
            steps.retry,
        ),
    ],
)
