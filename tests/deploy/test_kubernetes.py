"""The Kubernetes files start what the units start, with the same rights, as far as seen here."""

import re
from typing import Any

import pytest
import yaml

from mmbot_pipelines.defs.shared.ui_guard import _LOOPBACK
from tests.deploy.commands import misunderstood
from tests.deploy.test_compose import COMPOSE, DOCKERFILE
from tests.deploy.units import ROOT, command, services

FOLDER = ROOT / "deploy" / "kubernetes"
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())
RESOURCES = list(yaml.safe_load_all((FOLDER / "bot.yaml").read_text()))
(CODE,) = VALUES["dagster-user-deployments"]["deployments"]
OF_CHART = {
    "webserver": VALUES["dagsterWebserver"],
    "daemon": VALUES["dagsterDaemon"],
    "code": CODE,
}
PODS = {
    one["metadata"]["name"]: one["spec"]["template"]["spec"]
    for one in RESOURCES
    if one["kind"] == "Deployment"
}


def test_the_code_server_is_that_of_the_units() -> None:
    # -h and -p are the chart's
    unit = command(services()["mmbot-code"])
    assert CODE["dagsterApiGrpcArgs"] == unit[unit.index("--module-name") :]
    assert unit[unit.index("--port") + 1] == str(CODE["port"])
    called = ["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", "4266", *CODE["dagsterApiGrpcArgs"]]
    assert misunderstood(called) == ""


@pytest.mark.parametrize("name", ["workers", "metrics"])
def test_each_command_is_understood(name: str) -> None:
    (container,) = PODS[f"mmbot-{name}"]["containers"]
    assert container["args"][:2] == ["mmbot", name]
    assert misunderstood(container["args"]) == ""


@pytest.mark.parametrize("name", OF_CHART)
def test_each_reads_the_dagster_yaml_of_the_image(name: str) -> None:
    (home,) = re.findall(r"DAGSTER_HOME=(\S+)", DOCKERFILE)
    env = {one["name"]: one["value"] for one in OF_CHART[name]["env"]}
    assert env["DAGSTER_HOME"] == home
    asked = COMPOSE["services"]["daemon"]["environment"]
    assert {k: v for k, v in env.items() if k in asked} == (asked if name == "daemon" else {})


def test_only_what_signs_has_a_key() -> None:
    holders = {
        name
        for name, part in OF_CHART.items()
        if "mmbot-key" in str([part["envSecrets"], part.get("volumes")])
    }
    assert holders == {"code"}
    assert {name for name, pod in PODS.items() if "mmbot-key" in str(pod)} == {"mmbot-workers"}


def test_none_is_root_or_may_become_it() -> None:
    (user,) = re.findall(r"--uid (\d+)", DOCKERFILE)
    pods = [part["podSecurityContext"] for part in OF_CHART.values()]
    pods += [pod["securityContext"] for pod in PODS.values()]
    assert {(pod["runAsNonRoot"], pod["runAsUser"]) for pod in pods} == {(True, int(user))}
    containers = [part["securityContext"] for part in OF_CHART.values()]
    containers += [one["securityContext"] for pod in PODS.values() for one in pod["containers"]]
    for one in containers:
        assert one == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_the_probe_comes_under_a_name_that_the_ui_answers_to() -> None:
    probe = VALUES["dagsterWebserver"]["readinessProbe"]["httpGet"]
    (header,) = probe["httpHeaders"]
    assert (header["name"], header["value"] in _LOOPBACK) == ("Host", True)
    assert probe["port"] == VALUES["dagsterWebserver"]["service"]["port"]


def test_nobody_but_daemon_and_webserver_reaches_the_code_server() -> None:
    policies = {r["metadata"]["name"]: r["spec"] for r in RESOURCES if r["kind"] == "NetworkPolicy"}
    (rule,) = policies["mmbot-code"]["ingress"]
    assert policies["mmbot-code"]["podSelector"]["matchLabels"] == {"deployment": CODE["name"]}
    assert [p["port"] for p in rule["ports"]] == [CODE["port"]]
    reaching = [one["podSelector"]["matchLabels"]["component"] for one in rule["from"]]
    assert sorted(reaching) == ["dagster-daemon", "dagster-webserver"]
    for name in ("mmbot-workers", "mmbot-webserver"):
        assert "ingress" not in policies[name]
