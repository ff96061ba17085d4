"""The bot without Dagster: one process that does in a loop what sensors and jobs do.

It runs the product as it is wired from the environment, so MMBOT_FAILPOINTS arms it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mmbot_pipelines.adapters.alerts.apprise import AppriseChannel
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.alerting.notify import AlertService, send_alerts
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.settings import load
from mmbot_pipelines.wiring import bridge as wiring

AppriseChannel("json://127.0.0.1")  # loads all its plugins, once for all who are forked from us

PATIENCE = 300.0  # seconds until all orders must be at rest


def work(environ: Mapping[str, str], expected: int, hours: int, packed: bool) -> None:
    """Take `expected` orders to where nothing moves any more.

    hours: how much later than now it is; a run that died is asked for again after a while.
    packed: whether one run has all orders that are due, or each its own.
    """
    settings = load(environ)
    late = timedelta(hours=hours)
    bridge = replace(wiring.bridge(settings), clock=lambda: datetime.now(UTC) + late)
    alert_service = replace(wiring.alert_service(settings), bridge=bridge)
    end = time.monotonic() + PATIENCE
    turn(bridge, alert_service, packed)
    while not is_settled(bridge, expected):
        if time.monotonic() > end:
            raise TimeoutError(f"not at rest: {bridge.store.orders.find(OrderFilter())}")
        turn(bridge, alert_service, packed)


def turn(bridge: steps.Bridge, alert_service: AlertService, packed: bool) -> None:
    """Do once what all sensors and schedules do, each with its own troubles."""
    orders(bridge, packed)
    receipts(bridge, packed)
    for step in (settlements, backfill, retry):
        step(bridge)
    send_alerts(alert_service)


def orders(bridge: steps.Bridge, packed: bool) -> None:
    for origin in bridge.origins:
        tried(lambda run, origin=origin: steps.detect(bridge, origin, run))
        asked = steps.take_orders(bridge, [Status.PENDING, Status.PROCESSING], origin)
        for keys in runs_of(asked, packed):
            tried(lambda run, keys=keys: steps.transfer(bridge, keys, run))


def receipts(bridge: steps.Bridge, packed: bool) -> None:
    tried(lambda run: steps.check_l1_reorgs(bridge, run))
    tried(lambda run: steps.process_receipts(bridge, run))
    tried(lambda run: steps.replace_stuck(bridge, run))
    for keys in runs_of(steps.take_orders(bridge, [Status.FULFILLED]), packed):
        tried(lambda run, keys=keys: steps.repay(bridge, keys, run))


def runs_of(asked: Sequence[Order], packed: bool) -> list[list[str]]:
    """Return the orders' keys by runs."""
    keys = [order.key for order in asked]
    return [keys] if packed else [[key] for key in keys]


def settlements(bridge: steps.Bridge) -> None:
    for origin in bridge.origins:
        tried(lambda run, origin=origin: steps.settle(bridge, origin, run))


def backfill(bridge: steps.Bridge) -> None:
    tried(lambda run: steps.advance(bridge, steps.backfill(bridge, run), run))


def retry(bridge: steps.Bridge) -> None:
    tried(lambda run: steps.advance(bridge, steps.retry(bridge, run), run))


def tried(step: Callable[[Run], object]) -> None:
    """Do a step as a run that may fail: what matters is stored with its orders."""
    try:
        step(Run("driver", print))
    except (steps.OrdersFailed, Failure) as e:
        print(e)


def is_settled(bridge: steps.Bridge, expected: int) -> bool:
    found = bridge.store.orders.find(OrderFilter())
    return len(found) == expected and all(o.status.is_final or o.is_parked for o in found)
