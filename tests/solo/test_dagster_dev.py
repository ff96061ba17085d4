"""`dagster dev` with nothing but settings in the environment, on chains of one's own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.embedded import embedded_url, stop
from mmbot_pipelines.adapters.db.engine import connect as connect_database
from mmbot_pipelines.adapters.db.versions import pending
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT, Anvil
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deploy import Deployment, deploy_all, environment
from mmbot_pipelines.devnet.messenger import Messenger
from mmbot_pipelines.devnet.orders import burst, place_many
from mmbot_pipelines.devnet.stack import free_port
from mmbot_pipelines.settings import KEYS
from tests.attacks.conftest import HOST
from tests.attacks.test_ui_guard import EVIL, MUTATION, post, raw, websocket
from tests.polling import is_listening, until

DAGSTER = str(Path(sys.executable).parent / "dagster")
# With workers it is the product of tests/e2e from there on: a run of theirs has paid.
WANTED = {
    "alone": (Status.COMPLETED,),
    "with workers": (Status.FULFILLED, Status.PROVING, Status.PROVED, Status.COMPLETED),
}
AWS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


@dataclass(frozen=True)
class DagsterDev:
    process: subprocess.Popen[bytes]
    port: int  # of the UI
    log: Path
    database_url: str
    deployment: Deployment
    wanted: tuple[Status, ...]  # of an order, before the rest is left to other tests

    def check_runs(self) -> None:
        """Fail with the log's end where the process has ended."""
        assert self.process.poll() is None, self.log.read_text()[-3000:]


@pytest.fixture(scope="module", params=list(WANTED))
def dagster_dev(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DagsterDev]:
    """Return a running `dagster dev`, with its chains and their messenger."""
    folder = tmp_path_factory.mktemp("dev")
    home, log, port = folder / "home", folder / "dev.log", free_port(0)
    home.mkdir()
    shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", home)
    with Anvil(chain_id=1, block_time=1) as l1, Anvil(chain_id=324, block_time=1) as l2:
        deployment = deploy_all(l1.url, l2.url)
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("MMBOT_", "DAGSTER_"))}
        environ = ours | AWS | environment(deployment) | {"DAGSTER_HOME": str(home)}
        commands = [[DAGSTER, "dev", "-w", "workspace.yaml", "-p", str(port)]]
        if request.param == "with workers":
            environ["MMBOT_BROKER_URL"] = "embedded"
            commands.append([str(Path(DAGSTER).with_name("mmbot")), "workers"])
        started = [
            subprocess.Popen(
                command,
                env=environ,
                cwd=PACKAGE_ROOT,
                stdout=log.open("ab"),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            for command in commands
        ]
        stopped = threading.Event()
        messenger = Messenger(
            l1=connect(l1.url), l2=connect(l2.url), diamond=deployment.zksync.diamond
        )
        carrying = threading.Thread(target=messenger.run, args=(stopped,))
        carrying.start()
        try:
            url = embedded_url(home / "postgres")
            yield DagsterDev(started[0], port, log, url, deployment, WANTED[request.param])
        finally:
            stopped.set()
            carrying.join()
            for process in reversed(started):
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(120)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # what it may have left
            stop(home / "postgres")


def has_come(url: str, key: str, wanted: tuple[Status, ...]) -> bool:
    if pending(url):  # `dagster dev` makes the tables
        return False
    orders = PgBridgeStore(connect_database(url)).orders.get([key])
    return any(o.status in wanted for o in orders)


@pytest.mark.timeout(600)
def test_dagster_dev_serves_other_chains_by_environment_alone(dagster_dev: DagsterDev) -> None:
    deployment = dagster_dev.deployment
    (number,) = place_many(deployment.zksync, burst(deployment, 1, seed=1))
    end = time.monotonic() + 400
    key = f"zksync:{number}"
    while not has_come(dagster_dev.database_url, key, dagster_dev.wanted):
        dagster_dev.check_runs()
        assert time.monotonic() < end, dagster_dev.log.read_text()[-3000:]
        time.sleep(0.3)


def test_dagster_dev_is_guarded_too(dagster_dev: DagsterDev) -> None:
    port = dagster_dev.port
    until(
        lambda: is_listening(port), dagster_dev.check_runs
    )  # an order may be done before it serves
    here = f"Host: 127.0.0.1:{port}"
    assert post(port, here, f"Origin: http://127.0.0.1:{port}") == 200
    assert post(port, f"Host: {EVIL}") == 403
    assert post(port, f"Host: {HOST}") == 403  # not named in this one's settings
    assert post(port, here, f"Origin: http://{EVIL}") == 403
    assert websocket(port, here, f"Origin: http://{EVIL}") == 403
    assert raw(port, f"GET /graphql?query={quote(MUTATION)}", here)[0] == 405


def test_webserver_and_daemon_of_dagster_dev_keep_no_key(dagster_dev: DagsterDev) -> None:
    """As `/proc/PID/environ` has it, which shows what a program began with."""
    parts = {"dagster_webserver": "", "dagster._daemon": ""}
    for process in psutil.Process(dagster_dev.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            for part in parts:
                if part in process.cmdline():
                    parts[part] = (Path("/proc") / str(process.pid) / "environ").read_text()
    for part, environ in parts.items():
        began = {line.partition("=")[0] for line in environ.split("\0")}
        assert "DAGSTER_HOME" in began, part
        assert not KEYS & began, part
