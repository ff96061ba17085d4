"""The committed artifacts are what the committed sources compile to."""

import shutil
import subprocess
from pathlib import Path

import pytest

from mmbot_pipelines.adapters.evm import batch_executor
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from mmbot_pipelines.devnet.artifacts import ARTIFACTS

COMPILE = ARTIFACTS.parent / "compile.mjs"
OURS = Path(batch_executor.__file__).parent / "solidity"  # the product's own


@pytest.fixture(scope="module")
def recompiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node = shutil.which("node")
    if node is None or not (PACKAGE_ROOT / "node_modules" / "solc").is_dir():
        pytest.fail("node or solc is not installed: run `make setup`")
    out = tmp_path_factory.mktemp("artifacts")
    subprocess.run([node, str(COMPILE), "--out", str(out)], check=True, timeout=200)
    return out


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.json")}


def test_sources_compile_to_the_committed_artifacts(recompiled: Path) -> None:
    fresh, committed = contents(recompiled), contents(ARTIFACTS) | contents(OURS)
    assert fresh.keys() == committed.keys()
    for name, text in fresh.items():
        assert text == committed[name], f"{name} is stale: run `npm run compile`"
