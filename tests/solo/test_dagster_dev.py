"""`dagster dev` with nothing but settings in the environment, on chains of one's own."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mmbot_pipelines.adapters.db.bridge.orders import PgOrders
from mmbot_pipelines.adapters.db.embedded import embedded_url, stop
from mmbot_pipelines.adapters.db.engine import connect as connect_database
from mmbot_pipelines.adapters.db.migrate import pending
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT, Anvil
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deploy import deploy_all, environment
from mmbot_pipelines.devnet.messenger import Messenger
from mmbot_pipelines.devnet.orders import burst, place_many
from mmbot_pipelines.devnet.stack import free_port

DAGSTER = str(Path(sys.executable).parent / "dagster")


def completed(url: str, key: str) -> bool:
    if pending(url):  # `dagster dev` makes the tables
        return False
    orders = PgOrders(connect_database(url)).get([key])
    return any(o.status is Status.COMPLETED for o in orders)


@pytest.mark.timeout(600)
def test_dagster_dev_serves_other_chains_by_environment_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", home)
    with Anvil(chain_id=1, block_time=1) as l1, Anvil(chain_id=324, block_time=1) as l2:
        deployment = deploy_all(l1.url, l2.url)
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("MMBOT_", "DAGSTER_"))}
        settings = environment(deployment) | {"DAGSTER_HOME": str(home)}
        url = embedded_url(home / "postgres")
        dev = subprocess.Popen(
            [DAGSTER, "dev", "-w", "workspace.yaml", "-p", str(free_port(0))],
            env=ours | settings,
            cwd=PACKAGE_ROOT,
            stdout=(tmp_path / "dev.log").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stopped = threading.Event()
        messenger = Messenger(
            l1=connect(l1.url), l2=connect(l2.url), diamond=deployment.zksync.diamond
        )
        carrying = threading.Thread(target=messenger.run, args=(stopped,))
        carrying.start()
        try:
            (number,) = place_many(deployment.zksync, burst(deployment, 1, seed=1))
            end = time.monotonic() + 400
            while not completed(url, f"zksync:{number}"):
                assert dev.poll() is None, (tmp_path / "dev.log").read_text()[-3000:]
                assert time.monotonic() < end, (tmp_path / "dev.log").read_text()[-3000:]
                time.sleep(0.3)
        finally:
            stopped.set()
            carrying.join()
            dev.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                dev.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(dev.pid, signal.SIGKILL)  # what it may have left
            stop(home / "postgres")
