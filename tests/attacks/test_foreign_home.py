"""A webserver with another DAGSTER_HOME, at the code server that has the keys."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from sqlalchemy import create_engine, text

from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.adapters.processes import tied_to_parent
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from mmbot_pipelines.devnet.stack import free_port
from tests.attacks.dagster_server import SETTINGS, DagsterServer, webserver
from tests.attacks.test_env_sources import JOBS, ended
from tests.attacks.test_ui_guard import EVIL, LAUNCH, raw
from tests.polling import until

FAILED = """query ($id: ID!) { runOrError(runId: $id) { ... on Run { status
    eventConnection { events { ... on RunFailureEvent { message error { message } } } } } } }"""
LAUNCHED = "{ runsOrError { ... on Runs { results { runId } } } }"
TICK = """mutation ($sensor: SensorSelector!) { sensorDryRun(selectorData: $sensor, cursor: null) {
    ... on DryRunInstigationTick { evaluationResult { error { message } } } } }"""


@contextmanager
def code_server(home: Path, database_url: str, port: int) -> Iterator[None]:
    """Run the code server as systemd does, with our DAGSTER_HOME and the keys."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("MMBOT_", "DAGSTER_"))}
    given = {
        "DAGSTER_HOME": str(PACKAGE_ROOT / "dagster_home"),
        "MMBOT_DATABASE_URL": database_url,
    }
    serve = [sys.executable, "-m", "dagster", "api", "grpc", "--port", str(port)]
    with (home / "code.log").open("wb") as log:
        process = subprocess.Popen(
            tied_to_parent([*serve, "--module-name", "mmbot_pipelines.definitions"]),
            cwd=PACKAGE_ROOT,
            env=ours | SETTINGS | given,
            stdout=log,
            stderr=log,
        )
        try:
            yield
        finally:
            process.kill()
            process.wait(60)


@pytest.fixture
def foreign(database_url: str, tmp_path: Path) -> Iterator[DagsterServer]:
    """Return a webserver without our storage, on our code server."""
    port = free_port(0)
    location = {"host": "127.0.0.1", "port": port, "location_name": "mmbot"}
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": location}]}))
    concurrent_daemons = {
        "module": "dagster._core.run_coordinator",
        "class": "DefaultRunCoordinator",
    }
    given = {"telemetry": {"enabled": False}, "run_coordinator": concurrent_daemons}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(given))
    program = ("dagster-webserver", "-w", str(workspace))
    with (
        code_server(tmp_path, database_url, port),
        webserver(tmp_path, database_url, {}, *program) as running,
    ):
        until(lambda: running.ask(JOBS)["repositoriesOrError"].get("nodes"))
        yield running


def test_nothing_that_a_foreign_webserver_launches_is_done(foreign: DagsterServer) -> None:
    raw(foreign.port, f"GET /graphql?query={quote(LAUNCH)}", f"Host: {EVIL}")  # nothing guards it
    ((run,),) = (foreign.ask(LAUNCHED)["runsOrError"]["results"],)
    until(lambda: ended(foreign, run["runId"]))
    reported = foreign.ask(FAILED, id=run["runId"])["runOrError"]
    assert reported["status"] == "FAILURE"
    assert "refused: the Dagster that asks for this" in str(reported)
    sensor = {
        "repositoryLocationName": "mmbot",
        "repositoryName": "__repository__",
        "sensorName": "safety",
    }
    ticked = foreign.ask(TICK, sensor=sensor)["sensorDryRun"]["evaluationResult"]
    assert "refused: the Dagster that asks for this" in ticked["error"]["message"]
    with create_engine(store_url(foreign.database_url)).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM mmbot.safety_events")).scalar() == 0
