"""Ticks and runs during an outage: red, with a one-line reason and no traceback."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.remote_representation.external_data import SensorExecutionErrorSnap
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._grpc.impl import get_external_sensor_execution
from dagster_shared.error import SerializableErrorInfo
from sqlalchemy.exc import OperationalError

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.order_stats import PgOrderStats
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.defs.bridge import (
    alerts,
    daemons,
    failed_orders,
    failed_runs,
    orders,
    safety,
    schedules,
)
from mmbot_pipelines.defs.shared import retention
from mmbot_pipelines.defs.shared.operator_errors import operator_errors
from mmbot_pipelines.devnet.stack import free_port
from tests.defs.test_alerts import AlertHarness

DEFINITIONS = (
    orders.definitions(["zksync"], max_runs=2),
    failed_runs.definitions,
    failed_orders.definitions,
    schedules.definitions,
    safety.definitions,
    alerts.definitions,
    daemons.definitions,
    retention.definitions(30),
)
SENSORS = sorted(s.name for d in DEFINITIONS for s in d.sensors or ())
ASK_CHAINS = {"zksync_orders", "zksync_settlements", "l1_receipts"}
DEAD = "postgresql://mmbot:s3cret@127.0.0.1:1/mmbot"
AWAY = "StoreUnavailable: database mmbot at 127.0.0.1: connection failed"


@pytest.fixture
def alert_harness(monkeypatch: pytest.MonkeyPatch) -> AlertHarness:
    for name in ("TURN_SECONDS", "TICK_SECONDS"):
        monkeypatch.setattr(orders, name, 0)  # one look
    return AlertHarness()


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def lose_database(alert_harness: AlertHarness) -> None:
    """Put Postgres' adapters into their places, and no Postgres behind them."""
    dead = connect(DEAD)
    stores = {"store": PgBridgeStore(dead), "accounts": PgAccounts(dead)}
    alert_harness.harness.bridge = replace(alert_harness.harness.bridge, **stores)
    records, heartbeats, log = PgOrderStats(dead), PgDaemons(dead), PgAlertLog(dead)
    alert_harness.alert_service = replace(
        alert_harness.alert_service,
        bridge=alert_harness.harness.bridge,
        records=records,
        reports=PgReports(dead),
        daemons=heartbeats,
        log=log,
    )


def given(alert_harness: AlertHarness) -> dict[str, object]:
    return {"bridge": alert_harness.harness.bridge, "alert_service": alert_harness.alert_service}


def red(
    name: str, instance: dg.DagsterInstance, resources: dict[str, object]
) -> SerializableErrorInfo:
    """Evaluate a tick as the code server does; return the error that the UI shows of it."""
    whole = dg.Definitions.merge(*DEFINITIONS, dg.Definitions(resources=resources))
    ended = get_external_sensor_execution(
        whole.get_repository_def(),
        InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="test")),
        instance.get_ref(),
        name,
        *[None] * 5,
    )
    assert isinstance(ended, SensorExecutionErrorSnap), f"{name} is not red"
    assert ended.error is not None
    return ended.error


def words(error: SerializableErrorInfo | None) -> str:
    """Return the one line that an error consists of."""
    assert error is not None
    assert error.to_string() == error.message  # no trace, no cause
    (line,) = error.message.splitlines()
    return line


@pytest.mark.parametrize("name", SENSORS)
def test_every_sensor_is_red_in_one_line_without_the_database(
    name: str, alert_harness: AlertHarness, instance: dg.DagsterInstance
) -> None:
    lose_database(alert_harness)
    instance.report_run_failed(create_run_for_test(instance))  # there is something to record
    logged = words(red(name, instance, given(alert_harness)))
    assert logged.replace("nothing is sent while the database is away: ", "").startswith(AWAY)
    assert "s3cret" not in logged


@pytest.mark.parametrize("name", sorted(ASK_CHAINS))
def test_a_sensor_is_red_in_one_line_without_its_chain(
    name: str, alert_harness: AlertHarness, instance: dg.DagsterInstance
) -> None:
    keys = alert_harness.harness.set_and_detect(1)
    alert_harness.harness.transfer(keys)  # so that there is a receipt to read
    fault = RpcUnavailable("no RPC node answered: node.example timed out")
    alert_harness.harness.l2.fault = alert_harness.harness.chain.fault = fault
    assert words(red(name, instance, given(alert_harness))) == f"RpcUnavailable: {fault}"


@pytest.mark.parametrize("name", SENSORS)
def test_a_sensor_is_red_in_one_line_when_nothing_can_be_wired(
    name: str, instance: dg.DagsterInstance
) -> None:
    assert words(red(name, instance, unwired())).startswith(AWAY)


def unwired() -> dict[str, object]:
    @dg.resource
    @operator_errors()
    def resource(_: dg.InitResourceContext) -> object:
        return PgBridgeStore(connect(DEAD)).orders.get(["zksync:1"])

    return dict.fromkeys(("bridge", "alert_service"), resource)


def test_the_tables_of_dagster_are_the_database_too() -> None:
    def ask() -> None:
        psycopg_error = Exception("connection refused\n\tIs the server running?")
        raise OperationalError("SELECT 1", {}, psycopg_error)

    assert failing(ask) == "StoreUnavailable: the tables of Dagster: connection refused"


def test_what_nobody_foresaw_keeps_its_trace() -> None:
    with pytest.raises(ZeroDivisionError), operator_errors():
        _ = 1 // 0


def test_invalid_settings_end_the_code_server_with_an_operator_error() -> None:
    """As systemd starts it: it loads the definitions at once, or ends."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MMBOT_")}
    server = [sys.executable, "-m", "dagster", "api", "grpc", "--port", str(free_port(0))]
    ended = subprocess.run(
        [*server, "--module-name", "mmbot_pipelines.definitions"],
        env=environ | {"MMBOT_ORIGINS": "nowhere"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode != 0
    logged = ended.stderr.splitlines()
    assert logged[0].partition(": ")[2].startswith("MMBOT_ORIGINS ")
    assert all(line.startswith("MMBOT_") for line in logged[1:])


def failing(do: Callable[[], object]) -> str:
    with pytest.raises(dg.Failure) as failed, operator_errors():
        do()
    return failed.value.description or ""


RUNS = {
    "fill_orders": {"transfer": {"config": {"order_keys": ["zksync:1"]}}},
    "repay_orders": {"repay": {"config": {"order_keys": ["zksync:1"]}}},
    "reprocess_order": {"reprocess": {"config": {"zksync": 1}}},
    "halt": {"halt_transfers": {"config": {"by": "Ann", "reason": "a look"}}},
    "replace_stuck_transactions": {},
    "accepted_blocks_backfill": {},
    "failed_orders_retry": {},
    "daily_summary": {},
}


@pytest.mark.parametrize("job", RUNS)
def test_a_run_is_red_in_one_line(
    job: str, alert_harness: AlertHarness, instance: dg.DagsterInstance
) -> None:
    lose_database(alert_harness)
    assert failed_run(job, instance, given(alert_harness)).startswith(AWAY)


def test_a_run_is_red_in_one_line_when_nothing_can_be_wired(instance: dg.DagsterInstance) -> None:
    assert failed_run("fill_orders", instance, unwired()).startswith(AWAY)


def failed_run(job: str, instance: dg.DagsterInstance, resources: dict[str, object]) -> str:
    """Run a job; return the one line of the error that the UI shows."""
    whole = dg.Definitions.merge(*DEFINITIONS, dg.Definitions(resources=resources))
    run = whole.resolve_job_def(job).execute_in_process(
        run_config={"ops": RUNS[job]}, instance=instance, raise_on_error=False
    )
    logged = [
        *(e.step_failure_data.error for e in run.all_events if e.is_step_failure),
        *(e.job_failure_data.error for e in run.all_events if e.is_job_failure),
    ]
    (line,) = {words(error) for error in logged}
    return line
