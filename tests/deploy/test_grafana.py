"""Grafana's provisioning files lead to our dashboard, and it is laid out as Grafana shows it."""

import re
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_monitoring import DASHBOARD, DEPLOY, expressions
from tests.deploy.test_rules import PROMTOOL
from tests.deploy.units import INSTALLED, ROOT

PROVISIONING = DEPLOY / "grafana" / "provisioning"
MONITORING: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.monitoring.yaml").read_text())
COLUMNS = 24

# What a query is evaluated with in the browser.
VARIABLES = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "1h", "$origin": "zksync"}


def provisioned(folder: str) -> dict[str, Any]:
    (file,) = (PROVISIONING / folder).glob("*.yml")
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    assert found["apiVersion"] == 1
    return found


def test_the_dashboard_is_in_the_folder_that_grafana_reads() -> None:
    (provider,) = provisioned("dashboards")["providers"]
    folder = Path(provider["options"]["path"].replace(INSTALLED, str(ROOT), 1))
    assert [file.name for file in folder.rglob("*.json")] == ["mmbot.json"]
    assert provider["type"] == "file"
    assert DASHBOARD["uid"] == "mmbot"


def test_the_datasource_is_the_prometheus_that_runs_there() -> None:
    (source,) = provisioned("datasources")["datasources"]
    listens = [o for o in MONITORING["services"]["prometheus"]["command"] if "listen" in o]
    assert listens == [f"--web.listen-address={source['url'].removeprefix('http://')}"]
    (variable,) = [v for v in DASHBOARD["templating"]["list"] if v["type"] == "datasource"]
    assert (variable["query"], source["isDefault"]) == (source["type"], True)
    scraped = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["global"]
    assert source["jsonData"]["timeInterval"] == scraped["scrape_interval"]


def test_the_containers_have_the_files_where_the_files_say() -> None:
    volumes = dict(v.split(":")[:2] for v in MONITORING["services"]["grafana"]["volumes"])
    assert volumes["./grafana/provisioning"] == "/etc/grafana/provisioning"
    (provider,) = provisioned("dashboards")["providers"]
    assert provider["options"]["path"].startswith(f"{volumes['.']}/")
    for service in MONITORING["services"].values():
        assert service["network_mode"] == "host"
        assert "ports" not in service
    grafana = MONITORING["services"]["grafana"]["environment"]
    assert grafana["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    for volume in [v for s in MONITORING["services"].values() for v in s["volumes"]]:
        source = volume.split(":")[0]
        assert source in MONITORING["volumes"] or (DEPLOY / source).is_dir()


def test_no_two_panels_share_a_place_or_a_number() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= COLUMNS
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)


@pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: `apt-get install prometheus`"
)
def test_promtool_takes_prometheus_settings_and_every_query_of_the_dashboard(
    tmp_path: Path,
) -> None:
    """Give it each query as a recording rule, for it checks no dashboards."""
    queries = [e for where, e in expressions() if not e.startswith("label_values(")]
    for name, value in VARIABLES.items():
        queries = [query.replace(name, value) for query in queries]
    assert not [query for query in queries if re.search(r"\$(?!labels)", query)]
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    settings = DEPLOY / "prometheus" / "prometheus.yml"
    for command in (["rules", str(file)], ["config", str(settings)]):
        ran = subprocess.run(
            [str(PROMTOOL), "check", *command],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
