"""The whole product on this machine: Postgres, broker, chains, messenger, Dagster, workers.

Everything started here ends with this process, whatever ends it; what ends before is
started again.
"""

import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import psutil
import requests
import yaml

from mmbot_pipelines.adapters.broker import embedded as broker
from mmbot_pipelines.adapters.db.embedded import embedded_url
from mmbot_pipelines.adapters.db.embedded import stop as stop_postgres
from mmbot_pipelines.adapters.db.migrate import upgrade
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT, Anvil
from mmbot_pipelines.devnet.chain import ask, connect
from mmbot_pipelines.devnet.deploy import Deployment, deploy_all, environment
from mmbot_pipelines.devnet.starknet.deployment import (
    StarknetDeployment,
    StarknetProcess,
    deploy_messaging,
)
from mmbot_pipelines.devnet.supervision import Service, Supervisor
from mmbot_pipelines.devnet.users import Users
from mmbot_pipelines.settings import load_broker, without_keys
from mmbot_pipelines.wiring.shared import workers

L1_CHAIN_ID = 31337
ZKSYNC_CHAIN_ID = 31338
_START_SECONDS = 300
_PORTS = range(20_000, 32_768)  # Linux gives ports from 32768 on to connections
_POLL_EVERY_SECONDS = 0.1
_THREADS = "32"  # of the code server: each waiting sensor holds one
_START_RUN_SECONDS = "140"  # as in dagster.yaml; the daemon gives up after a minute otherwise
_WITH_KEYS = ("code", "workers")
_READY = """{ instance { daemonHealth { daemonStatus(daemonType: "SENSOR") { healthy } } }
    repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"""


class StackError(RuntimeError):
    """Something did not start; the message names the log to look into."""


class Stack:
    """Start everything, as a context manager."""

    def __init__(
        self,
        home: Path,
        *,
        origins: Sequence[str] = ("zksync",),
        l1_block_seconds: int = 2,
        l2_block_seconds: int = 1,
        ui_port: int | None = None,
        settings: Mapping[str, str] | None = None,
        log_start: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe the stack.

        home: its folder; what an earlier stack left there is removed.
        origins: which networks orders come from; zkSync's chain runs in any case.
        settings: more of the product's settings, over the chains' own.
        log_start: called with the name of each service before it starts.
        """
        self.home = home.resolve()
        self.dagster_home = self.home / "dagster_home"
        self.ui_port = ui_port or free_port(3000)
        self.code_port = free_port(0)
        self.environ: dict[str, str] = {}
        self.deployment: Deployment
        self.starknet: StarknetDeployment | None = None
        self.origins = tuple(origins)
        self.services = Supervisor(log_start, self._keep_postgres)
        self._block_seconds = (l1_block_seconds, l2_block_seconds)
        self._more = dict(settings or {})
        self._log_start = log_start
        self._cleanup = ExitStack()

    @property
    def ui(self) -> str:
        """Return the address of the Dagster UI."""
        return f"http://127.0.0.1:{self.ui_port}"

    @property
    def database_url(self) -> str:
        """Return the URL of the embedded database."""
        return embedded_url(self._postgres)

    @property
    def is_warm(self) -> bool:
        """Return whether warm workers execute the runs; else each starts a process of its own."""
        return bool(self.environ["MMBOT_BROKER_URL"])

    @property
    def postmaster(self) -> int | None:
        """Return the process id of Postgres, or None while it does not run."""
        try:
            pid_file = (self._postgres / "postmaster.pid").read_text()
            return int(pid_file.splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def start(self) -> Self:
        """Start everything and return once Dagster has loaded the product.

        Raises:
            StackError: something did not start.
        """
        self._prepare_home()
        self._log_start("Postgres and the local chains")
        # A Postgres server daemonises itself, so it is stopped by its own folder.
        self._cleanup.callback(stop_postgres, self._postgres)
        upgrade(self.database_url)
        self.l1 = self._cleanup.enter_context(Anvil(chain_id=L1_CHAIN_ID, log=self.log("l1")))
        self.l2 = self._cleanup.enter_context(Anvil(chain_id=ZKSYNC_CHAIN_ID, log=self.log("l2")))
        self.deployment = deploy_all(self.l1.url, self.l2.url)
        if "starknet" in self.origins:
            self.starknet = self._start_starknet()
        for chain, seconds in zip((self.l1, self.l2), self._block_seconds, strict=True):
            ask(connect(chain.url), "evm_setIntervalMining", seconds)
        self.environ = self._environ()
        self._log_start("the workers, and Dagster's code server, daemon and webserver")
        self._cleanup.callback(self.services.stop)
        if self.is_warm:
            self._serve("broker", *broker.command(self._broker))
            self._serve("workers", "mmbot", "workers")
        self._serve("code", *self._code_server())
        self._serve("daemon", "dagster-daemon", "run", *self._workspace())
        self._serve(
            "webserver",
            *("dagster-webserver", "-h", "127.0.0.1", "-p", str(self.ui_port)),
            *self._workspace(),
        )
        self._serve(
            "messenger",
            *("python", "-m", "mmbot_pipelines.devnet.messenger"),
            *("--l1-rpc", self.l1.url, "--l2-rpc", self.l2.url),
            *("--diamond", self.deployment.zksync.diamond),
        )
        self._await_dagster()
        self.services.watch()
        return self

    def users(self) -> Users:
        """Return who locks orders on the stack's origins."""
        return Users(self.deployment.zksync, self.starknet)

    def log(self, name: str) -> Path:
        """Return the file that a process's output goes to."""
        return self.home / "logs" / f"{name}.log"

    def stop(self) -> None:
        """Stop everything; harmless when nothing runs."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _postgres(self) -> Path:
        return self.dagster_home / "postgres"

    @property
    def _broker(self) -> Path:
        return self.dagster_home / "broker"

    def _keep_postgres(self) -> None:
        if not (self._postgres / "postmaster.pid").exists() or not _alive(self._postgres):
            self._log_start("Postgres again, which ended")
            _ = self.database_url

    def _prepare_home(self) -> None:
        stop_postgres(self._postgres)  # of a demo that was killed
        shutil.rmtree(self.home, ignore_errors=True)
        self.dagster_home.mkdir(parents=True)
        (self.home / "logs").mkdir()
        shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", self.dagster_home)

    def _environ(self) -> dict[str, str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("MMBOT_", "DAGSTER_"))}
        return ours | {
            "DAGSTER_HOME": str(self.dagster_home),
            "DAGSTER_GRPC_TIMEOUT_SECONDS": _START_RUN_SECONDS,
            "PYTHONUNBUFFERED": "1",
            **environment(self.deployment),
            **(self.starknet.settings() if self.starknet else {}),
            "MMBOT_ORIGINS": ",".join(self.origins),
            "MMBOT_BROKER_URL": broker.embedded_url(self._broker),
            **self._more,
        }

    def _start_starknet(self) -> StarknetDeployment:
        messaging = deploy_messaging(self.deployment.l1)
        node = StarknetProcess(
            self.deployment.l1,
            messaging,
            block_time=self._block_seconds[1],
            log=self.log("starknet"),
        )
        url = self._cleanup.enter_context(node).url
        return StarknetDeployment(rpc_url=url, messaging=messaging)

    def _code_server(self) -> list[str]:
        """Return the command of the one process that webserver and daemon ask for our code.

        Each would start its own from workspace.yaml, and the daemon a new one every minute.
        The module is read from that file, so that it is named once.
        """
        described = yaml.safe_load((PACKAGE_ROOT / "workspace.yaml").read_text())
        code = described["load_from"][0]["python_module"]
        served = {"host": "127.0.0.1", "port": self.code_port}
        served["location_name"] = code["location_name"]
        (self.home / "workspace.yaml").write_text(
            yaml.safe_dump({"load_from": [{"grpc_server": served}]})
        )
        return [
            *("dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(self.code_port)),
            *("-m", code["module_name"], "--location-name", code["location_name"]),
            *("--max-workers", _THREADS),
        ]

    def _workspace(self) -> tuple[str, str]:
        return ("-w", str(self.home / "workspace.yaml"))

    def _serve(self, name: str, program: str, *args: str) -> None:
        path = str(Path(sys.executable).parent / program)
        environ = self.environ if name in _WITH_KEYS else without_keys(self.environ)
        self.services.start(Service(name, [path, *args], self.log(name)), environ)

    def _await_dagster(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            for service in self.services.services:
                if not service.running:
                    raise StackError(f"the {service.name} ended at once: see {service.log}")
            if self._workers_are_up() and self._dagster_is_up():
                return
            time.sleep(_POLL_EVERY_SECONDS)
        raise StackError(f"Dagster did not come up: see {self.log('webserver')}")

    def _workers_are_up(self) -> bool:
        known = workers(load_broker(self.environ))
        return known is None or known.fault() is None

    def _dagster_is_up(self) -> bool:
        try:
            answer = requests.post(f"{self.ui}/graphql", json={"query": _READY}, timeout=30)
            data = answer.json()["data"]
            healthy = data["instance"]["daemonHealth"]["daemonStatus"]["healthy"]
            return bool(healthy and data["repositoriesOrError"].get("nodes"))
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return False


def free_port(preferred: int) -> int:
    """Return the preferred port of 127.0.0.1, or another one that is free.

    The system gives none of these to a connection, so it is still free when a service listens.
    """
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", preferred or secrets.choice(_PORTS)))
                return int(probe.getsockname()[1])
            except OSError:
                preferred = 0


def _alive(data_dir: Path) -> bool:
    pid = int((data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
