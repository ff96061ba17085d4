"""The image and the compose file, as far as it shows without Docker."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmbot_pipelines import settings
from tests.deploy.commands import listens_on, missing_files, misunderstood
from tests.deploy.units import INSTALLED, ROOT, command, services

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
OURS = {name: s for name, s in COMPOSE["services"].items() if name not in ("postgres", "valkey")}


def test_it_starts_what_the_units_start() -> None:
    """Compare the commands; the paths of the programs and the user's rights differ."""
    by_systemd = {
        name.removeprefix("mmbot-"): [Path(reported[0]).name, *reported[1:]]
        for name, reported in ((n, command(unit)) for n, unit in services().items())
    }
    assert {name: service["command"] for name, service in OURS.items()} == by_systemd


def test_workers_alone_are_those_of_the_first_machine() -> None:
    alone = yaml.safe_load((DEPLOY / "compose.workers.yaml").read_text())["services"]
    assert alone == {"workers": {k: v for k, v in OURS["workers"].items() if k != "depends_on"}}


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_command_is_understood_and_listens_on_the_loopback(name: str) -> None:
    service = OURS[name]
    reported = service["command"]
    assert missing_files([f"{INSTALLED}/.venv/bin/{reported[0]}", *reported[1:]]) == []
    assert misunderstood(reported) == ""
    assert listens_on(reported) in (None, "127.0.0.1")
    if "healthcheck" in service:
        assert service["healthcheck"]["test"][0] == "CMD"
        assert misunderstood(service["healthcheck"]["test"][1:]) == ""


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_nothing_is_published(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["network_mode"] == "host"
    assert "ports" not in service
    assert service["restart"] == "unless-stopped"
    if name == "postgres":
        assert "listen_addresses=127.0.0.1" in service["command"]
    elif name == "valkey":
        assert service["command"][1:3] == ["--bind", "127.0.0.1"]
    else:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert "/etc/mmbot/env" in service["env_file"]


@pytest.mark.parametrize(
    "path", [p for p in sorted(DEPLOY.rglob("*")) if p.is_file()], ids=lambda p: p.name
)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"\bMMBOT_[A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
    assert named <= set(settings.VARIABLES)
