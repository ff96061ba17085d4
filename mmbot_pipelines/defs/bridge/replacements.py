"""When transactions are replaced: the receipts sensor sees them stuck and asks for a run."""

from collections.abc import Iterator

import dagster as dg

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.defs.bridge.run_requests import Bridge, op_run, order_tags
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

# One run for the same stuck transactions within this time: it decides for all of them.
_ASK_AGAIN_SECONDS = 30


@dg.op(description="Replace or cancel the transactions that are stuck.", config_schema={})
def replace(context: dg.OpExecutionContext, bridge: Bridge) -> None:
    with operator_errors():
        steps.replace_stuck(bridge, op_run(context))


@dg.job(
    executor_def=dg.in_process_executor,
    description="Replace transactions that block the lane, or take back what is not wanted.",
)
def replace_stuck_transactions() -> None:
    replace()


def replacements(bridge: steps.Bridge) -> Iterator[dg.RunRequest]:
    """Ask for one run where transactions are stuck."""
    stuck = steps.stuck_transactions(bridge)
    if stuck:
        turn = int(bridge.clock().timestamp()) // _ASK_AGAIN_SECONDS
        subjects = {row.subject for row in stuck}
        yield dg.RunRequest(
            run_key=f"replace {stuck[0].hash} {turn}",
            job_name=replace_stuck_transactions.name,
            tags=order_tags(sorted(s for s in subjects if bridge.orders.get([s]))),
        )
