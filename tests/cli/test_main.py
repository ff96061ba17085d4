"""mmbot itself: its help, and that nothing heavy is loaded for it."""

import subprocess
import sys

import pytest

from mmbot_pipelines.cli.main import COMMANDS, main


def run(*arguments: str, probe: str = "") -> subprocess.CompletedProcess[str]:
    code = f"""
import sys
from mmbot_pipelines.cli.main import main
try:
    main(sys.argv[1:])
finally:
    {probe or "pass"}
"""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_names_every_command_and_loads_none() -> None:
    heavy = ("web3", "sqlalchemy", "dagster", "pydantic", "eth_utils")
    done = run("--help", probe=f"print('loaded', [m for m in {heavy} if m in sys.modules])")
    assert done.returncode == 0
    assert "loaded []" in done.stdout
    for name, (_, text) in COMMANDS.items():
        assert name in done.stdout
        assert text in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    output = " ".join(capsys.readouterr().out.split())
    assert f"{name} [OPTIONS]" in output
    assert COMMANDS[name][1].split(",")[0] in output


def test_an_unknown_command_is_refused() -> None:
    done = run("oders")
    assert done.returncode == 2
    assert "oders" in done.stderr
    assert "Traceback" not in done.stderr
