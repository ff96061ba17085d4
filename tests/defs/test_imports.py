"""What a code location and a worker import: nothing that a run does not need."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from tests.settings.environments import GOOD, STARKNET

CODE = "from mmbot_pipelines import definitions; definitions.defs()"
WORKER = "from mmbot_pipelines import worker; worker.app"

# With one URL for each chain, and a key in the environment.
NEVER = {
    *("pandas", "matplotlib", "boto3", "botocore", "apprise", "prometheus_client"),
    *("web3", "websockets", "typer", "rich", "pygments", "IPython", "pytest", "hypothesis", "moto"),
    *("dagster_webserver", "dagster_graphql", "starlette", "uvicorn"),
    *("mmbot_pipelines.cli", "mmbot_pipelines.devnet", "mmbot_pipelines.adapters.metrics"),
    *("mmbot_pipelines.adapters.alerts.apprise", "mmbot_pipelines.adapters.evm.kms"),
}
STARKNETS = {
    *("starknet_py", "aiohttp", "marshmallow", "mmbot_pipelines.wiring.origins.starknet"),
    *("mmbot_pipelines.adapters.starknet.client", "mmbot_pipelines.adapters.bridge.starknet"),
}
ZKSYNCS = {"mmbot_pipelines.adapters.bridge.zksync", "mmbot_pipelines.wiring.origins.zksync"}
BROKERS = {"celery", "kombu", "redis", "dagster_celery"}


@pytest.mark.parametrize(
    ("code", "origin", "forbidden"),
    [
        (CODE, "zksync", NEVER | STARKNETS | BROKERS),
        (CODE, "starknet", NEVER | ZKSYNCS | BROKERS),
        (WORKER, "zksync", NEVER | STARKNETS),
    ],
    ids=["code-zksync", "code-starknet", "worker-zksync"],
)
def test_nothing_is_imported_that_no_run_needs(
    code: str, origin: str, forbidden: set[str], tmp_path: Path
) -> None:
    shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    given = GOOD | STARKNET | {"MMBOT_ORIGINS": origin, "DAGSTER_HOME": str(tmp_path)}
    given["MMBOT_BROKER_URL"] = "embedded" if code == WORKER else ""
    done = subprocess.run(
        # "execute_run": of a run's process the registry's ABI is not asked
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)", "execute_run"],
        env={"PATH": os.environ["PATH"], **given},
        cwd=PACKAGE_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert forbidden & set(done.stdout.split()) == set()
