"""What the runbook tells an operator to type and to look at exists."""

import re
from collections.abc import Callable, Iterator

import dagster as dg
import pytest
import yaml

from mmbot_pipelines.bridge.order import Status
from mmbot_pipelines.cli import COMMANDS, main
from mmbot_pipelines.defs import alerts, bridge, daemons, retention, safety, upkeep
from tests.deploy.units import ROOT, UNITS, services

RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text()
CODE = re.findall(r"```\n(.*?)```|`([^`]+)`", RUNBOOK, re.DOTALL)


def pieces() -> Iterator[str]:
    """Yield every line of code and every piece of code within a line, without comments."""
    for block, piece in CODE:
        for line in (block or piece).splitlines():
            yield re.sub(r"\s{2,}#.*$", "", line).strip()


def called() -> list[list[str]]:
    """Return the arguments of every call of mmbot."""
    calls = [re.match(r"(?:sudo )?mmbot ((?!\.\.\.).+)$", piece) for piece in pieces()]
    return [re.findall(r'"[^"]*"|\S+', call[1]) for call in calls if call]


def understood(call: list[str]) -> bool:
    """Tell whether mmbot knows the command and its options; it only gives their help."""
    with pytest.raises(SystemExit) as end:
        main([*(word for word in call if word != "..."), "--help"])
    return end.value.code == 0


def test_it_speaks_of_every_command_an_operator_has() -> None:
    assert {name for name, *_ in called()} == set(COMMANDS) - {"demo", "metrics"}


@pytest.mark.parametrize("call", called(), ids=" ".join)
def test_every_call_of_mmbot_is_understood(call: list[str]) -> None:
    assert understood(call)


def test_a_call_that_is_not_understood_is_noticed() -> None:
    for call in ("orders --stats x", "orders shw", "reset"):
        assert not understood(call.split())


def names_of(definitions: dg.Definitions) -> set[str]:
    found: set[str] = set()
    for part in (definitions.jobs, definitions.sensors, definitions.schedules):
        found |= {str(one.name) for one in part or [] if hasattr(one, "name")}
    return found | {key.to_user_string() for key in asset_keys(definitions)}


def asset_keys(definitions: dg.Definitions) -> Iterator[dg.AssetKey]:
    for asset in definitions.assets or []:
        if isinstance(asset, dg.AssetsDefinition):
            yield from asset.keys


def dagster_names() -> set[str]:
    parts = [
        bridge.definitions(["zksync", "starknet"], 4),
        retention.definitions(30),
        *(part.definitions for part in (alerts, daemons, safety, upkeep)),
    ]
    return set().union(*map(names_of, parts))


def test_every_job_and_sensor_it_names_exists() -> None:
    words = {piece for piece in pieces() if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", piece)}
    known = dagster_names()
    others = {"max_connections", "run_launcher", "server_name"}
    assert words - others <= known
    assert {"reprocess_order", "failed_order", "replace_stuck_transactions"} <= words
    assert {"old_runs_cleanup", "zksync_orders", "accepted_blocks_backfill"} <= words


def test_it_tells_what_to_do_for_every_alert_of_prometheus() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            said = re.search(rf"\b{rule['alert']}\b", RUNBOOK)
            assert said, f"nothing is said about {rule['alert']}"


def test_it_explains_every_state() -> None:
    explained = re.findall(r"^\| ([A-Z]+) \|", RUNBOOK, re.MULTILINE)
    assert explained == list(Status)
    asked_for = set(re.findall(r"--status (\w+)", RUNBOOK))
    assert {Status(name.upper()) for name in asked_for} > {Status.PROVED}


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


def test_the_services_it_explains_are_those_there_are() -> None:
    told = re.findall(r"^\| `(mmbot-\w+)` \|", RUNBOOK, re.MULTILINE)
    assert sorted(told) == sorted(services())
