"""The commands and names in the runbook exist."""

import re
from collections.abc import Callable

import pytest
import yaml

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.cli.main import COMMANDS
from tests.deploy.units import ROOT, UNITS, services
from tests.documents import called, dagster_names, understood, words

RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text()


def test_it_speaks_of_every_command_an_operator_has() -> None:
    assert {name for name, *_ in called(RUNBOOK)} == set(COMMANDS) - {"demo", "metrics"}


@pytest.mark.parametrize("call", called(RUNBOOK), ids=" ".join)
def test_every_call_of_mmbot_is_understood(call: list[str]) -> None:
    assert understood(call)


def test_a_call_that_is_not_understood_is_noticed() -> None:
    for call in ("orders --stats x", "orders shw", "reset"):
        assert not understood(call.split())


def test_every_job_and_sensor_it_names_exists() -> None:
    named = words(RUNBOOK)
    others = {"max_connections", "run_launcher", "server_name"}
    assert named - others <= dagster_names()
    assert {"reprocess_order", "failed_order", "replace_stuck_transactions"} <= named
    assert {"old_runs_cleanup", "zksync_orders", "accepted_blocks_backfill"} <= named


def test_it_has_an_action_for_every_alert_of_prometheus() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            logged = re.search(rf"\b{rule['alert']}\b", RUNBOOK)
            assert logged, f"the runbook has nothing about {rule['alert']}"


def test_it_has_what_to_do_for_every_state() -> None:
    table = RUNBOOK.split("## The states of an order")[1].split("##")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == list(Status)
    assert {len(row) for row in rows} == {5}


@pytest.mark.parametrize(
    ("pattern", "there"),
    [
        (r"(?:/opt/mmbot/)?(deploy/[\w./-]+\w)", lambda path: (ROOT / path).exists()),
        (r"/opt/mmbot/(dagster_home/[\w.]+\w)", lambda path: (ROOT / path).exists()),
        (r"/opt/mmbot/(\.env\.example)", lambda path: (ROOT / path).exists()),
        (r"\b(mmbot-\.service\.d/[\w.]+\w)", lambda path: (UNITS / path).exists()),
        (r"`(mmbot-[a-z]+)`", lambda name: name in services()),
        (r"\b(mmbot\.target)\b", lambda name: (UNITS / name).exists()),
    ],
)
def test_every_file_and_service_it_names_exists(pattern: str, there: Callable[[str], bool]) -> None:
    named = set(re.findall(pattern, RUNBOOK))
    assert named
    assert {name for name in named if not there(name)} == set()
