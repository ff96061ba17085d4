"""The wheel that a server installs: the product without the local chains."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.command import caller

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from a copy of the sources, as `make server` does."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "mmbot_pipelines",
        source / "mmbot_pipelines",
        ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
    )
    build = "from setuptools import build_meta; build_meta.build_wheel(r'%s')"
    subprocess.run([sys.executable, "-c", build % out], cwd=source, check=True, capture_output=True)
    (path,) = out.iterdir()
    return zipfile.ZipFile(path)


def test_the_wheel_has_the_product_and_no_local_chains(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert [name for name in names if "devnet" in name or name.startswith("tests")] == []
    here = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "mmbot_pipelines").rglob("*.*")
        if path.suffix in (".py", ".pyi", ".sol", ".json") and "devnet" not in path.parts
    }
    assert here <= set(names)


def test_the_wheel_offers_no_demo(wheel: zipfile.ZipFile) -> None:
    (entries,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    text = wheel.read(entries).decode()
    assert "mmbot = mmbot_pipelines.cli.main:main" in text
    assert "mmbot.commands" not in text


def test_the_demo_without_local_chains_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    logged = caller({}, capsys, monkeypatch)("demo")
    assert logged.code == 2
    assert logged.err == (
        "mmbot demo needs the local chains, which are not installed here: "
        "run `make setup` in the project's folder\n"
    )
