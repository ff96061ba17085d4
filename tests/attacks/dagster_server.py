"""Dagster without chains and daemon, for attacks on what it answers and launches."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from mmbot_pipelines.adapters.processes import tied_to_parent
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from mmbot_pipelines.devnet.stack import free_port
from tests.polling import until
from tests.settings.environments import GOOD, STARKNET

SECRET_NAME = "MMBOT_SECRET_TEST"
SECRET = "5ec2e7" * 7
# The nodes answer nothing: no test here needs a chain, and no sensor finds work.
SETTINGS = {
    **GOOD,
    **STARKNET,
    "MMBOT_ORIGINS": "zksync,starknet",
    "MMBOT_L1_RPC_URLS": "http://127.0.0.1:9",
    "MMBOT_ZKSYNC_RPC_URLS": "http://127.0.0.1:9",
    "MMBOT_STARKNET_RPC_URLS": "http://127.0.0.1:9",
    SECRET_NAME: SECRET,
}


@dataclass(frozen=True)
class DagsterServer:
    port: int
    home: Path
    database_url: str

    def ask(self, query: str, **variables: object) -> Any:
        """Ask Dagster's own GraphQL API, as the UI does."""
        answer = requests.post(
            f"http://127.0.0.1:{self.port}/graphql",
            json={"query": query, "variables": variables},
            timeout=120,
        ).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    @property
    def answers(self) -> bool:
        """Return whether the webserver can be asked."""
        try:
            return requests.get(f"http://127.0.0.1:{self.port}/server_info", timeout=120).ok
        except requests.RequestException:
            return False

    def written(self) -> str:
        """Return all that Dagster's processes wrote into files: logs of runs, ticks, servers."""
        files = [path for path in self.home.rglob("*") if path.is_file()]
        return "\n".join(path.read_bytes().decode(errors="replace") for path in files)


@contextmanager
def webserver(
    home: Path, database_url: str, more: Mapping[str, str], *program: str
) -> Iterator[DagsterServer]:
    """Run Dagster's webserver until the block ends, with our dagster.yaml where it has none.

    program: what starts it, with the option -p for the port.
    """
    if not (home / "dagster.yaml").exists():
        shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", home)
    dagster_server = DagsterServer(free_port(0), home, database_url)
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("MMBOT_", "DAGSTER_"))}
    given = {"DAGSTER_HOME": str(home), "MMBOT_DATABASE_URL": database_url}
    path = str(Path(sys.executable).parent / program[0])
    with (home / "processes.log").open("wb") as log:
        process = subprocess.Popen(
            tied_to_parent([path, *program[1:], "-p", str(dagster_server.port)]),
            cwd=PACKAGE_ROOT,
            env=ours | SETTINGS | given | more,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            until(lambda: dagster_server.answers or process.poll() is not None)
            assert process.poll() is None, (home / "processes.log").read_text()
            yield dagster_server
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind
