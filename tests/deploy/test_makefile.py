"""What `make setup` and `make server` compile, with a pip and a uv that install nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_PYTHON = "def f(:\n"


def make(target: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the target in a folder with nothing in it but what its recipe names."""
    shutil.copy(ROOT / "Makefile", folder)
    for path in ("pyproject.toml", "requirements.lock", "requirements-server.lock"):
        (folder / path).touch()
    for path in ("mmbot_pipelines/devnet/pyproject.toml", "mmbot_pipelines/ours.py"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (folder / ".venv" / "lib").mkdir(exist_ok=True)
    (programs / "python").symlink_to(sys.executable)
    for name in ("pip", "uv"):
        (programs / name).symlink_to("/bin/true")
    return subprocess.run(
        ["make", "--no-print-directory", f".venv/.{target}"],
        cwd=folder,
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("target", ["ready", "server"])
def test_a_file_of_ours_that_does_not_compile_ends_the_installation(
    target: str, tmp_path: Path
) -> None:
    (tmp_path / "mmbot_pipelines").mkdir()
    (tmp_path / "mmbot_pipelines" / "broken.py").write_text(NO_PYTHON)
    done = make(target, tmp_path)
    assert done.returncode != 0
    assert "broken.py" in done.stdout + done.stderr
    assert not (tmp_path / ".venv" / f".{target}").exists()


@pytest.mark.parametrize("target", ["ready", "server"])
def test_a_file_of_others_that_does_not_compile_ends_nothing(target: str, tmp_path: Path) -> None:
    (tmp_path / ".venv" / "lib").mkdir(parents=True)
    (tmp_path / ".venv" / "lib" / "theirs.py").write_text(NO_PYTHON)
    done = make(target, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".venv" / f".{target}").exists()
