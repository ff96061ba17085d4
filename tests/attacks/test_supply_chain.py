"""A package index that serves other files than those the project was tested with."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ["requirements.lock", "requirements-server.lock"]


def entries(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Return what a lock pins: by the package's name, the requirement and its files' hashes."""
    text = (ROOT / lock).read_text()
    found = re.findall(r"^([a-z0-9-]+)(==[^\n\\]+?) \\\n((?: +--hash=\S+(?: \\)?\n)+)", text, re.M)
    assert len(found) == len(re.findall(r"^\S", text, re.M)), "an entry without a hash"
    return {
        name: (version, frozenset(re.findall(r"sha256:[0-9a-f]{64}", hashes)))
        for name, version, hashes in found
    }


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[=><]", r)[0].lower() for r in requirements}


def test_the_servers_lock_is_a_part_of_the_whole_one() -> None:
    """As `make lock` writes them: run it when this fails."""
    whole, server = (entries(lock) for lock in LOCKS)
    assert {name: whole.get(name) for name in server} == server
    assert named(PYPROJECT["project"]["dependencies"]) <= set(server)
    assert {"uv", "setuptools"} <= set(server)


def test_the_server_gets_no_development_tools() -> None:
    whole, server = (set(entries(lock)) for lock in LOCKS)
    tools = {"pytest", "moto", "mypy", "playwright", "ruff", "hypothesis", "import-linter"}
    assert tools <= whole
    assert not tools & server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose .venv the first installation makes for all."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "mmbot_pipelines" / "devnet").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "mmbot_pipelines/devnet/pyproject.toml", *LOCKS):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.parametrize("target", ["setup", "server"])
def test_another_uv_than_the_locks_is_not_installed(
    target: str, project: Path, tmp_path: Path
) -> None:
    """The index serves a uv of the right name and version, and other content."""
    lock = LOCKS[target == "server"]
    version = entries(lock)["uv"][0].removeprefix("==")
    index = tmp_path / "index"
    index.mkdir()
    info = f"uv-{version}.dist-info"
    with zipfile.ZipFile(index / f"uv-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("uv_was_here.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    done = subprocess.run(
        ["make", f".venv/.{'ready' if target == 'setup' else 'server'}"],
        cwd=project,
        env=os.environ
        | {"PYTHON": sys.executable, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not list(project.rglob("uv_was_here.py"))
