"""The committed artifacts are what the committed sources compile to."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from mmbot_pipelines.devnet.artifacts import ARTIFACTS, artifact

COMPILE = ARTIFACTS.parent / "compile.mjs"


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
    fresh, committed = contents(recompiled), contents(ARTIFACTS)
    assert fresh.keys() == committed.keys()
    for name, text in fresh.items():
        assert text == committed[name], f"{name} is stale: run `npm run compile`"


def test_every_contract_file_has_an_artifact() -> None:
    sources = {path.name for path in (ARTIFACTS.parent / "contracts").glob("*.sol")}
    compiled = {Path(json.loads(text)["source"]).name for text in contents(ARTIFACTS).values()}
    assert compiled == sources


def test_bytecode_carries_no_metadata() -> None:
    settings = artifact("PaymentRegistry")["compiler"]["settings"]
    assert settings["metadata"] == {"bytecodeHash": "none", "appendCBOR": False}
    # CBOR metadata would end in the key "solc" with the compiler's version.
    assert b"dsolc".hex() not in artifact("PaymentRegistry")["bytecode"]


def test_npm_runs_the_same_script() -> None:
    scripts = json.loads((PACKAGE_ROOT / "package.json").read_text())["scripts"]
    assert scripts["compile"] == f"node {COMPILE.relative_to(PACKAGE_ROOT)}"
