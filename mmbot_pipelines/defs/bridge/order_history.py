"""Any order's whole history by its key, whether it ever failed or not. Dagster and the store.

show_order      from the launchpad: writes the history of one order to the run's log
order_history   the asset that it materializes: the same as tables, with links
"""

import dagster as dg

from mmbot_pipelines.defs.bridge.assets import OWNERS
from mmbot_pipelines.defs.bridge.order_story import order_story, story_lines
from mmbot_pipelines.defs.bridge.run_requests import (
    EXAMPLE_CONFIG,
    ONE_ORDER,
    SHOW_JOB,
    Bridge,
    key_of,
    tagged_order,
)
from mmbot_pipelines.defs.shared.operator_errors import operator_errors


@dg.asset(
    config_schema=ONE_ORDER,
    group_name="orders",
    owners=OWNERS,
    kinds={"postgres"},
    description="One order's whole history: its terms, changes, transactions, errors and links. "
    f"Launch the job `show_order` with an order as config, e.g. {EXAMPLE_CONFIG}.",
)
def order_history(context: dg.AssetExecutionContext, bridge: Bridge) -> dg.MaterializeResult[None]:
    with operator_errors():
        order = tagged_order(
            context.op_execution_context, bridge, key_of(context.op_execution_context.op_config)
        )
        story = order_story(bridge, order)
    for line in story_lines(order, story):
        context.log.info(line)
    return dg.MaterializeResult(metadata=story)


show_order = dg.define_asset_job(
    SHOW_JOB,
    selection=[order_history],
    executor_def=dg.in_process_executor,
    description=f"Show one order's whole history. Put it into the launchpad as config: "
    f"{EXAMPLE_CONFIG}. It changes nothing.",
)

definitions = dg.Definitions(assets=[order_history], jobs=[show_order])
