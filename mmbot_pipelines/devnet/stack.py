"""The whole product on this machine: Postgres, chains, contracts, messenger, Dagster.

Everything started here ends with this process, whatever ends it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from mmbot_pipelines.adapters.db.embedded import embedded_url
from mmbot_pipelines.adapters.db.embedded import stop as stop_postgres
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT, Anvil, tied_to_parent
from mmbot_pipelines.devnet.chain import ask, connect
from mmbot_pipelines.devnet.deploy import Deployment, deploy_all, environment

L1_CHAIN_ID = 31337
ZKSYNC_CHAIN_ID = 31338
_START_SECONDS = 120
_STOP_SECONDS = 7.0
_LOOK_EVERY_SECONDS = 0.1


class StackError(RuntimeError):
    """Something did not start; the message names the log to look into."""


@dataclass
class Service:
    """One process of the product, with its log."""

    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End the process at once, as a power cut would: it alone, not its children."""
        self.process.kill()
        self.process.wait()


class Stack:
    """Start everything, as a context manager."""

    def __init__(
        self,
        home: Path,
        *,
        l1_block_seconds: int = 2,
        l2_block_seconds: int = 1,
        ui_port: int | None = None,
        settings: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe the stack.

        home: its folder; what an earlier stack left there is removed.
        settings: more of the product's settings, over the chains' own.
        tell: is told each thing that is being started.
        """
        self.home = home.resolve()
        self.ui_port = ui_port or free_port(3000)
        self.services: dict[str, Service] = {}
        self._block_seconds = (l1_block_seconds, l2_block_seconds)
        self._more = dict(settings or {})
        self._tell = tell
        self._cleanup = ExitStack()
        self.environ: dict[str, str] = {}
        self.deployment: Deployment

    @property
    def ui(self) -> str:
        """Return the address of the Dagster UI."""
        return f"http://127.0.0.1:{self.ui_port}"

    @property
    def dagster_home(self) -> Path:
        """Return the stack's own DAGSTER_HOME."""
        return self.home / "dagster_home"

    @property
    def database_url(self) -> str:
        """Return the URL of the embedded database."""
        return embedded_url(self._postgres)

    @property
    def _postgres(self) -> Path:
        return self.dagster_home / "postgres"

    def start(self) -> Self:
        """Start everything and return once Dagster has loaded the product.

        Raises:
            StackError: something did not start.
        """
        self._prepare_home()
        self._tell("two local chains")
        self.l1 = self._cleanup.enter_context(Anvil(chain_id=L1_CHAIN_ID, log=self.log("l1")))
        self.l2 = self._cleanup.enter_context(Anvil(chain_id=ZKSYNC_CHAIN_ID, log=self.log("l2")))
        self._tell("contracts")
        self.deployment = deploy_all(self.l1.url, self.l2.url)
        for chain, seconds in zip((self.l1, self.l2), self._block_seconds, strict=True):
            ask(connect(chain.url), "evm_setIntervalMining", seconds)
        self.environ = self._environ()
        self._tell("Postgres, and the tables in it")
        # A Postgres server daemonises itself, so it is stopped by its own folder.
        self._cleanup.callback(stop_postgres, self._postgres)
        self._run("mmbot", "migrate")
        self._run("dagster", "instance", "migrate")
        self._tell("Dagster's webserver and daemon")
        self._cleanup.callback(self._stop_services)
        self.start_messenger()
        self.start_webserver()
        self.start_daemon()
        self._await_ui()
        return self

    def start_messenger(self) -> Service:
        """Start what carries claims from L1 to the L2."""
        d = self.deployment
        return self._serve(
            "messenger",
            [
                *(sys.executable, "-m", "mmbot_pipelines.devnet.messenger"),
                *("--l1-rpc", self.l1.url, "--l2-rpc", self.l2.url),
                *("--diamond", d.zksync.diamond),
            ],
        )

    def start_webserver(self) -> Service:
        """Start the Dagster UI on 127.0.0.1."""
        at = ["-h", "127.0.0.1", "-p", str(self.ui_port)]
        return self._serve("webserver", [_program("dagster-webserver"), *self._workspace, *at])

    def start_daemon(self) -> Service:
        """Start Dagster's daemon: sensors, schedules, run monitoring."""
        return self._serve("daemon", [_program("dagster-daemon"), "run", *self._workspace])

    def log(self, name: str) -> Path:
        """Return the file that a process's output goes to."""
        return self.home / "logs" / f"{name}.log"

    def stop(self) -> None:
        """Stop everything, newest first; harmless when nothing runs."""
        self._cleanup.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _workspace(self) -> list[str]:
        return ["-w", str(PACKAGE_ROOT / "workspace.yaml")]

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
            "DAGSTER_GRPC_MAX_WORKERS": "32",
            "PYTHONUNBUFFERED": "1",
            **environment(self.deployment),
            **self._more,
        }

    def _run(self, program: str, *args: str) -> None:
        with self.log(program).open("ab") as log:
            done = subprocess.run(
                [_program(program), *args],
                env=self.environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        if done.returncode != 0:
            raise StackError(f"`{program} {' '.join(args)}` failed: see {self.log(program)}")

    def _serve(self, name: str, command: list[str]) -> Service:
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                tied_to_parent(command),
                env=self.environ,
                cwd=PACKAGE_ROOT,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is for us to handle
            )
        self.services[name] = Service(name, command, self.log(name), process)
        return self.services[name]

    def _stop_services(self) -> None:
        running = list(self.services.values())
        for service in running:
            if service.process.poll() is None:
                service.process.send_signal(signal.SIGINT)
        end = time.monotonic() + _STOP_SECONDS
        for service in running:
            try:
                service.process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                service.kill()
        for service in running:  # code servers and runs live in their starter's group
            try:
                os.killpg(service.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _await_ui(self) -> None:
        query = {
            "query": '{ instance { daemonHealth { daemonStatus(daemonType: "SENSOR") '
            "{ healthy } } } repositoriesOrError { ... on RepositoryConnection "
            "{ nodes { name } } } }"
        }
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            for service in self.services.values():
                if service.process.poll() is not None:
                    raise StackError(f"the {service.name} ended at once: see {service.log}")
            try:
                answer = requests.post(f"{self.ui}/graphql", json=query, timeout=5).json()["data"]
                healthy = answer["instance"]["daemonHealth"]["daemonStatus"]["healthy"]
                if healthy and answer["repositoriesOrError"].get("nodes"):
                    return
            except (requests.RequestException, ValueError, KeyError, TypeError):
                pass
            time.sleep(_LOOK_EVERY_SECONDS)
        raise StackError(f"Dagster did not come up: see {self.log('webserver')}")


def free_port(preferred: int) -> int:
    """Return the preferred port of 127.0.0.1, or one the system chooses when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)
