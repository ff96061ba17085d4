"""Only the applications that MMBOT_APPS names are loaded, and only their settings asked for."""

import os
import subprocess
import sys
from pathlib import Path

from tests.settings.environments import faults

# An application that is made up: it needs no settings and has one job.
ALONE = """
import sys, types
import dagster as dg
from mmbot_pipelines.settings import values

values.APPS = (*values.APPS, "made_up")
module = types.ModuleType("application")
module.require_settings = lambda: None
module.definitions = lambda: dg.Definitions()
sys.modules["mmbot_pipelines.defs.made_up.application"] = module

from mmbot_pipelines.definitions import defs
names = sorted(job.name for job in defs().get_repository_def().get_all_jobs())
print(names, sorted(m for m in sys.modules if m.startswith("mmbot_pipelines.defs.bridge")))
"""
HOME = Path(__file__).parents[2] / "dagster_home"


def run(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("MMBOT_", "DAGSTER_"))}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=bare | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unknown_application_is_one_clear_line() -> None:
    (line,) = faults({"MMBOT_APPS": "made_up"})
    assert line == "MMBOT_APPS must name each application once, separated by commas: bridge"
    done = run("from mmbot_pipelines.definitions import defs; defs()", MMBOT_APPS="made_up")
    assert done.returncode == 1
    assert [text for text in done.stderr.splitlines() if "MMBOT_" in text] == [
        f"mmbot_pipelines.defs.shared.operator_errors.OperatorError: {line}"
    ]


def test_what_is_not_named_is_neither_loaded_nor_asked_for() -> None:
    done = run(ALONE, MMBOT_APPS="made_up", DAGSTER_HOME=str(HOME))
    assert done.stderr == ""
    assert done.stdout == "['old_runs_cleanup'] []\n"


def test_the_start_says_that_workers_get_no_run(tmp_path: Path) -> None:
    old = (HOME / "dagster.yaml").read_text().replace("defs.launcher", "defs.of_long_ago")
    (tmp_path / "dagster.yaml").write_text(old)
    given = {"MMBOT_APPS": "made_up", "DAGSTER_HOME": str(tmp_path)}
    assert run(ALONE, **given).stderr == ""
    (line,) = run(ALONE, **given, MMBOT_BROKER_URL="embedded").stderr.splitlines()
    assert line == (
        f"MMBOT_BROKER_URL is set, but {tmp_path}/dagster.yaml names another run launcher, so "
        "workers get no run: copy the project's dagster.yaml there again"
    )
