"""The systemd units: systemd-analyze accepts them, and what they name exists."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mmbot_pipelines.devnet.stack import Stack
from tests.deploy.commands import PROGRAMS, listens_on, missing_files, misunderstood
from tests.deploy.units import INSTALLED, ROOT, UNITS, command, read, services

ANALYZE = shutil.which("systemd-analyze")
NAMES = list(services())

needs_systemd = pytest.mark.skipif(
    ANALYZE is None, reason="systemd-analyze is not installed: `apt-get install systemd`"
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a copy of the units whose project lies where this one does."""
    folder = shutil.copytree(UNITS, tmp_path / "systemd")
    for path in [*folder.glob("*.*"), *folder.glob("*/*.conf")]:
        if path.is_file():
            text = path.read_text().replace(f"{INSTALLED}/.venv/bin", str(PROGRAMS))
            path.write_text(text.replace(INSTALLED, str(ROOT)))
    return folder


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    return subprocess.run(
        [ANALYZE, *arguments], capture_output=True, text=True, timeout=300, check=False
    )


@needs_systemd
def test_systemd_finds_no_fault_with_them(installed: Path) -> None:
    reported = analyze("verify", *installed.glob("*.target"), *installed.glob("*.service"))
    assert (reported.returncode, reported.stderr) == (0, "")


def test_each_target_wants_services_that_exist() -> None:
    wanted = {path.name: " ".join(read(path)["Wants"]).split() for path in UNITS.glob("*.target")}
    assert sorted(wanted["mmbot.target"]) == sorted(f"{name}.service" for name in NAMES)
    assert wanted["mmbot-workers.target"] == ["mmbot-workers.service"]
    for path in UNITS.glob("*.target"):
        assert read(path)["WantedBy"] == ["multi-user.target"]


@needs_systemd
def test_systemd_reports_what_is_wrong_with_one(installed: Path) -> None:
    common = installed / "mmbot-.service.d" / "common.conf"
    common.write_text(common.read_text().replace("KillMode=mixed", "KillMode=mixd"))
    assert "kill mode" in analyze("verify", installed / "mmbot-code.service").stderr


@needs_systemd
@pytest.mark.parametrize("name", NAMES)
def test_systemd_calls_them_well_hardened(installed: Path, name: str) -> None:
    reported = analyze("security", "--offline=yes", "--threshold=20", installed / f"{name}.service")
    assert reported.returncode == 0, reported.stdout[-300:]


@pytest.mark.parametrize("name", NAMES)
def test_each_comes_back_by_itself_and_has_no_rights(name: str) -> None:
    unit = services()[name]
    assert (unit["Restart"], unit["RestartSec"]) == (["always"], ["2"])
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert (unit["User"], unit["CapabilityBoundingSet"]) == (["mmbot"], [""])
    keys = ["/etc/mmbot/keys.env"] if name in ("mmbot-code", "mmbot-workers") else []
    assert [p for p in unit["EnvironmentFile"] if p not in keys] == ["/etc/mmbot/env"]
    assert "Requires" not in unit  # a restart of Postgres must not stop the bot


@pytest.mark.parametrize("name", NAMES)
def test_each_command_is_understood(name: str) -> None:
    reported = command(services()[name])
    assert missing_files(reported) == []
    assert misunderstood(reported) == ""


def test_a_command_with_a_wrong_option_is_not_understood() -> None:
    reported = command(services()["mmbot-metrics"])
    assert "No such option: --prt" in misunderstood([*reported, "--prt", "1"])
    assert missing_files([f"{INSTALLED}/.venv/bin/nothing", f"{INSTALLED}/a.yaml"]) != []


def test_the_health_check_is_understood() -> None:
    (line,) = services()["mmbot-code"]["ExecStartPost"]
    check = re.search(r"until (\S+ api grpc-health-check [^;]+);", line)
    assert check is not None
    reported = check[1].split()
    assert missing_files(reported) == []
    assert misunderstood(reported) == ""


def test_what_listens_listens_on_the_loopback_alone() -> None:
    where = {name: listens_on(command(unit)) for name, unit in services().items()}
    assert where == {
        "mmbot-code": "127.0.0.1",
        "mmbot-daemon": None,
        "mmbot-metrics": "127.0.0.1",
        "mmbot-webserver": "127.0.0.1",
        "mmbot-workers": None,
    }


def test_the_code_server_is_the_one_that_the_workspace_names(tmp_path: Path) -> None:
    reported = command(services()["mmbot-code"])
    options = dict(zip(reported[3::2], reported[4::2], strict=True))
    workspace = yaml.safe_load((ROOT / "deploy" / "workspace.yaml").read_text())
    (where,) = [entry["grpc_server"] for entry in workspace["load_from"]]
    assert where == {
        "host": options["--host"],
        "port": int(options["--port"]),
        "location_name": options["--location-name"],
    }
    # and the same as in the demo: module, name, threads
    demo = Stack(tmp_path)._code_server()
    for short, long in (("-m", "--module-name"), *((o, o) for o in list(options)[3:])):
        assert demo[demo.index(short) + 1] == options[long]


@pytest.mark.parametrize("file", ["systemd/mmbot-daemon.service", "compose.yaml"])
def test_the_daemon_waits_for_a_run_to_begin_as_long_as_its_monitoring(file: str) -> None:
    home = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text())
    reported = re.search(
        r"DAGSTER_GRPC_TIMEOUT_SECONDS\W+(\d+)", (ROOT / "deploy" / file).read_text()
    )
    assert reported is not None
    assert int(reported[1]) == home["run_monitoring"]["start_timeout_seconds"]
