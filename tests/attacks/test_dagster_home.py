"""A Dagster without our dagster.yaml: its UI would be unguarded, its runs lost at its end."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from mmbot_pipelines.settings.home import require_home
from tests.test_wiring import SERVING_BOTH


def test_the_code_is_not_loaded_without_dagster_home() -> None:
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("MMBOT_", "DAGSTER_"))}
    done = subprocess.run(
        [sys.executable, "-c", "from mmbot_pipelines.definitions import defs; defs()"],
        env=ours | SERVING_BOTH | {"DAGSTER_HOME": ""},  # as .env.example has it
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    (logged,) = done.stderr.splitlines()
    assert "DAGSTER_HOME is missing: set it to" in logged


@pytest.mark.parametrize(
    ("given", "logged"),
    [
        (None, "without a dagster.yaml"),
        ("a: [", "without a dagster.yaml"),
        ("", "does not name our storage"),
        ("telemetry: {enabled: false}", "does not name our storage"),
        ("storage: {postgres: {postgres_url: x}}", "does not name our storage"),
        ("storage: {custom: {module: theirs, class: Storage}}", "does not name our storage"),
    ],
)
def test_a_dagster_yaml_without_our_storage_is_refused(
    given: str | None, logged: str, tmp_path: Path
) -> None:
    if given is not None:
        (tmp_path / "dagster.yaml").write_text(given)
    with pytest.raises(InvalidSettings, match=logged) as refused:
        require_home(tmp_path)
    assert len(str(refused.value).splitlines()) == 1


def test_the_projects_own_is_taken(tmp_path: Path) -> None:
    shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    require_home(tmp_path)
