"""The dashboard and the rules speak of what the exporter really exports."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.metrics import collector
from mmbot_pipelines.cli.metrics import metrics
from tests.adapters.metrics.sample_store import fill
from tests.adapters.rpc.fake_node import fake_node
from tests.deploy.exporter import ADDRESS, SECRET, Exported, environment, exported, exporter, scrape
from tests.deploy.promql import grouped, used
from tests.deploy.test_rules import PROMTOOL
from tests.postgres import database as fresh_database

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/mmbot.json").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())

SCRAPED_WITH = {"job", "instance"}  # labels that Prometheus adds itself


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def targets() -> list[tuple[str, dict[str, Any]]]:
    return [(panel["title"], target) for panel in panels() for target in panel["targets"]]


def expressions() -> list[tuple[str, str]]:
    return [
        *((rule["alert"], rule["expr"]) for rule in rules()),
        *((title, target["expr"]) for title, target in targets()),
        *((a["name"], a["expr"]) for a in DASHBOARD["annotations"]["list"]),
        *(
            (v["name"], v["definition"])
            for v in DASHBOARD["templating"]["list"]
            if "definition" in v
        ),
    ]


@pytest.fixture(scope="module")
def scraped(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """Return a scrape of a bot with something of everything in its database."""
    with fresh_database(postgres_url, template=migrated_template) as database_url:
        yield from scrape_of(database_url)


def scrape_of(database_url: str) -> Iterator[str]:
    engine = connect(database_url)
    fill(engine)
    engine.dispose()
    answers = {"eth_blockNumber": lambda: "0x80", "eth_getBalance": lambda *_: hex(3 * 10**18)}
    with fake_node(5, **answers) as l1, fake_node(6, **answers) as l2:
        environ = environment(database_url, f"{l1.url}/s3cret-path", f"{l2.url},http://127.0.0.1:1")
        with exporter(environ) as (process, url):
            yield scrape(url)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert err == ""


def labels_of(found: Exported, expression: str) -> set[str]:
    return set().union(SCRAPED_WITH, *(found[name] for name, _ in used(expression)))


def test_every_metric_and_label_in_use_is_exported(scraped: str) -> None:
    found = exported(scraped)
    faults = []
    for where, expression in expressions():
        names = list(used(expression))
        assert names, f"{where}: no metric in {expression}"
        for name, labels in names:
            if name not in found:
                faults.append(f"{where}: {name} is not exported")
            elif labels - found[name]:
                faults.append(f"{where}: {name} has no label {labels - found[name]}")
        if not faults and (strange := grouped(expression) - labels_of(found, expression)):
            faults.append(f"{where}: groups by {strange}")
    assert faults == []

    for title, target in targets():
        named = set(re.findall(r"\{\{\s*(\w+)\s*\}\}", target["legendFormat"]))
        assert named <= labels_of(found, target["expr"]), title
    for rule in rules():
        text = " ".join(rule["annotations"].values())
        named = set(re.findall(r"\$labels\.(\w+)", text))
        assert named <= labels_of(found, rule["expr"]), rule["alert"]


def test_every_metric_is_of_use_somewhere(scraped: str) -> None:
    spoken_of = {name for _, expression in expressions() for name, _ in used(expression)}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported(scraped)}
    assert families == {re.sub(r"_(bucket|count|sum)$", "", name) for name in spoken_of}


def test_the_scrape_reports_what_the_bot_knows_and_no_secret(scraped: str) -> None:
    for line in (
        "mmbot_database_up 1.0",
        'mmbot_orders{condition="parked",origin="zksync",status="PENDING"} 1.0',
        f'mmbot_wallet_balance_wei{{wallet="{ADDRESS}"}} 3e+18',
        'mmbot_sensor_lag_blocks{cursor="latest",origin="zksync"} 28.0',
        'mmbot_rpc_up{chain="zksync",node="127.0.0.1:1"} 0.0',
        'mmbot_order_transfer_seconds_bucket{le="5.0",origin="zksync"} 1.0',
        'mmbot_safety_state{scope="zksync",state="HALTED"} 1.0',
        'mmbot_alerts_open{severity="HIGH"} 2.0',
    ):
        assert line in scraped.splitlines()
    for secret in ("s3cret", SECRET, "hook", "postgres"):
        assert secret not in scraped


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_finds_no_fault_with_the_metrics(scraped: str) -> None:
    assert PROMTOOL is not None
    checked = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=scraped, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_prometheus_scrapes_where_the_exporter_serves() -> None:
    (scraping,) = PROMETHEUS["scrape_configs"]
    defaults = {name: p.default for name, p in signature(metrics).parameters.items()}
    assert scraping["static_configs"] == [{"targets": [f"{defaults['host']}:{defaults['port']}"]}]
    for name in PROMETHEUS["rule_files"]:
        assert (DEPLOY / "prometheus" / name).is_file()
    patience = collector._WAIT_SECONDS + 1  # for the way there and back
    assert patience < float(PROMETHEUS["global"]["scrape_timeout"].removesuffix("s"))
