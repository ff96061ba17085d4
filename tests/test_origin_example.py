"""The worked example of docs/origins.md is executed on a copy of the product."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmbot_pipelines.settings import VARIABLES
from tests.settings.environments import GOOD

ROOT = Path(__file__).parents[1]
(LINES,) = re.findall(r"(?m)^```\n(.*?)^```", (ROOT / "docs/origins.md").read_text(), re.DOTALL)

LOADED = """
import json
from mmbot_pipelines import definitions, settings
from mmbot_pipelines.cli.doctor import sophon as doctor
loaded = definitions.defs()
print(json.dumps({
    "sensors": [sensor.name for sensor in loaded.sensors],
    "variables": [name for name in settings.VARIABLES if "SOPHON" in name],
    "origins": list(settings.load().origins),
}))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with the product after the lines of the example."""
    ignored = shutil.ignore_patterns("__pycache__", "devnet")
    shutil.copytree(ROOT / "mmbot_pipelines", tmp_path / "mmbot_pipelines", ignore=ignored)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/test_origins.py", tmp_path / "tests")
    shutil.copy(ROOT / "dagster_home/dagster.yaml", tmp_path)
    done = subprocess.run(
        ["bash", "-euc", LINES],
        cwd=tmp_path / "mmbot_pipelines",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tmp_path


def run(copy: Path, *arguments: str, **environ: str) -> str:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("MMBOT_", "PYTEST"))}
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=kept | {"PYTHONPATH": str(copy)} | environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_example_is_an_origin_and_named_nowhere_else(copy: Path) -> None:
    of_zksync = {name: value for name, value in GOOD.items() if "ZKSYNC" in name}
    environ = GOOD | {name.replace("ZKSYNC", "SOPHON"): v for name, v in of_zksync.items()}
    environ |= {
        "MMBOT_ORIGINS": "zksync,sophon",
        "MMBOT_SOPHON_CHAIN_ID": "50104",
        "MMBOT_DATABASE_URL": "postgresql://127.0.0.1:1/mmbot",
        "DAGSTER_HOME": str(copy),
    }
    loaded = json.loads(run(copy, "-c", LOADED, **environ))
    assert {"sophon_orders", "sophon_settlements"} <= set(loaded["sensors"])
    assert loaded["variables"] == [
        name.replace("ZKSYNC", "SOPHON") for name in VARIABLES if name.startswith("MMBOT_ZKSYNC_")
    ]
    assert loaded["origins"] == ["zksync", "sophon"]
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_origins.py")
