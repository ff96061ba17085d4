"""The bridge goes on with another database than the one that it began with."""

import json
from collections import Counter

from mmbot_pipelines.adapters.db import migrate
from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.errors import Failure
from tests.bridge.harness import BridgeHarness

_UNPAID = [Status.PENDING, Status.PROCESSING]


def go_on(harness: BridgeHarness, *, turns: int) -> None:
    """Do what sensors and schedules do within some minutes."""
    bridge, run = harness.bridge, harness.run
    for _ in range(turns):
        for step in (
            harness.detect,
            lambda: steps.advance(bridge, steps.retry(bridge, run), run),
            lambda: harness.transfer([o.key for o in steps.take_orders(bridge, _UNPAID, "zksync")]),
            harness.mine,
            lambda: harness.repay([o.key for o in steps.take_orders(bridge, [Status.FULFILLED])]),
            harness.mine,
            harness.l2.deliver,
            harness.settle,
            lambda: steps.guard(bridge, run),
        ):
            try:
                step()
            except (steps.OrdersFailed, Failure) as e:
                harness.logged.append(str(e))
        harness.later(60)


def begin_again(harness: BridgeHarness, url: str) -> None:
    """Let the bot begin with another database, as after `mmbot migrate`."""
    migrate.upgrade(url)
    harness.engine = connect(url)
    harness.store = PgBridgeStore(harness.engine)
    harness.replace(store=harness.store, accounts=PgAccounts(harness.engine))


def made(harness: BridgeHarness, kind: str) -> Counter[str]:
    """Count the transactions of a kind that did not revert, by order."""
    calls = [json.loads(call.data) for _, call in harness.chain.made() if call.data]
    return Counter(f"{call[1]}:{call[2]}" for call in calls if call[0] == kind)
