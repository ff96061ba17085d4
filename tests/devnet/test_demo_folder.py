"""One demo at a time in a folder, found by the other commands."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.devnet.demo_folder import alone_in, settings_in

KEEPER = """
import sys
from pathlib import Path
from mmbot_pipelines.devnet.demo_folder import alone_in
with alone_in(Path(sys.argv[1])):
    print("kept", flush=True)
    sys.stdin.read()
"""


def test_a_second_demo_leaves_the_first_one_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "demo"
    first = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with first:
        assert first.stdout is not None
        assert first.stdout.readline() == "kept\n"
        with pytest.raises(InvalidSettings, match=f"a demo is at work in {home}: stop it"):
            alone_in(home).__enter__()
        with alone_in(tmp_path / "new" / "other"):
            pass
        first.kill()
    with alone_in(home):  # a killed demo keeps nobody out
        pass


def test_a_shell_takes_up_the_settings_of_a_demo(tmp_path: Path) -> None:
    environ = {
        "DAGSTER_HOME": "/a folder/it's",
        "MMBOT_ORIGINS": "zksync,starknet",
        "PATH": "/nowhere",
    }
    with settings_in(tmp_path, environ) as words:
        seen = subprocess.check_output(
            ["bash", "-c", f'{words}; env | grep -E "MMBOT|DAGSTER"'],
            text=True,
            env={"PATH": "/bin:/usr/bin"},
        )
        assert set(seen.splitlines()) == {
            "DAGSTER_HOME=/a folder/it's",
            "MMBOT_ORIGINS=zksync,starknet",
        }
        (written,) = tmp_path.iterdir()
        assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []
