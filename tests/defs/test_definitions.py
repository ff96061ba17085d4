"""What Dagster is given, and when the environment is read for it."""

import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import mmbot_pipelines
from mmbot_pipelines.defs.shared import dagster_internals
from tests.defs.snapshot import FILE, snapshot

# Imports every module of the product, prints where one of them read the environment, and builds
# the definitions.
IMPORTING = """
import importlib, json, os, pkgutil, sys

reads = []

def spied(name):
    plain = getattr(os._Environ, name)
    def spy(self, *given):
        frame = sys._getframe(1)
        while frame and frame.f_globals["__name__"] in ("os", "_collections_abc"):
            frame = frame.f_back
        module = frame.f_globals["__name__"] if frame else ""
        if module.startswith("mmbot_pipelines"):
            reads.append(f"{module}:{frame.f_lineno}")
        return plain(self, *given)
    setattr(os._Environ, name, spy)

spied("__getitem__"), spied("__iter__")
import mmbot_pipelines

found = [m.name for m in pkgutil.walk_packages(mmbot_pipelines.__path__, "mmbot_pipelines.")]
found = [name for name in found if not name.endswith("__main__") and ".versions." not in name]
for name in found:
    if not name.endswith("migrations.env"):  # run by Alembic, inside a connection
        importlib.import_module(name)
print(json.dumps({"modules": found, "reads": reads}))
sys.modules["mmbot_pipelines.definitions"].defs()
"""


def test_definitions_are_those_of_the_snapshot() -> None:
    """A change that was meant: `make snapshot`, and look at the difference."""
    assert json.loads(snapshot()) == json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def imported() -> subprocess.CompletedProcess[str]:
    """Import the whole product in a process without an environment, then build its definitions."""
    return subprocess.run(
        [sys.executable, "-c", IMPORTING], env={}, capture_output=True, text=True, check=False
    )


def test_no_module_reads_the_environment_when_imported(
    imported: subprocess.CompletedProcess[str],
) -> None:
    assert imported.stdout, imported.stderr
    answer = json.loads(imported.stdout)
    assert "mmbot_pipelines.definitions" in answer["modules"]
    assert answer["reads"] == []


def test_an_environment_without_settings_fails_only_when_definitions_are_built(
    imported: subprocess.CompletedProcess[str],
) -> None:
    assert imported.stdout  # printed before they are
    assert imported.returncode == 1
    assert "MMBOT_L1_RPC_URLS is missing" in imported.stderr


def test_private_api_of_dagster_is_in_one_file_checked_against_this_version() -> None:
    """A new version of Dagster: read dagster_internals.py against it, then raise it there."""
    private = re.compile(r"^\s*(from|import) (dagster\._|dagster_shared|dagster\.\w+\._)", re.M)
    package = Path(mmbot_pipelines.__path__[0])
    users = {p.name for p in package.rglob("*.py") if private.search(p.read_text())}
    assert users == {"dagster_internals.py"}
    assert version("dagster") == dagster_internals.CHECKED_AGAINST
