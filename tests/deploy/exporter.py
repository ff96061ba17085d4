"""`mmbot metrics` as an operator starts it, and one scrape of it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import requests
from prometheus_client.parser import text_string_to_metric_families

Exported = dict[str, set[str]]  # sample name: its labels

ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
SECRET = "ab" * 32


def environment(database_url: str, l1: str, zksync: str) -> dict[str, str]:
    return {
        "MMBOT_DATABASE_URL": database_url,
        "MMBOT_L1_RPC_URLS": l1,
        "MMBOT_L1_CHAIN_ID": "5",
        "MMBOT_L1_REGISTRY_ADDRESS": ADDRESS,
        "MMBOT_L1_WALLET_ADDRESS": ADDRESS,
        "MMBOT_ZKSYNC_RPC_URLS": zksync,
        "MMBOT_ZKSYNC_CHAIN_ID": "6",
        "MMBOT_ZKSYNC_ESCROW_ADDRESS": ADDRESS,
        "MMBOT_ZKSYNC_DIAMOND_ADDRESS": ADDRESS,
        "MMBOT_MAX_EXPOSURE_WEI": str(10**19),
        "MMBOT_MIN_BALANCE_WEI": str(10**18),
        "MMBOT_ALERT_URLS": "json://127.0.0.1:9/hook",
    }


@contextmanager
def exporter(environ: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the exporter on a free port; yield its process and its URL."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MMBOT_")}
    command = [sys.executable, "-c", "from mmbot_pipelines.cli.main import main; main()"]
    process = subprocess.Popen(
        [*command, "metrics", "--port", "0"],
        env=kept | dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        logged = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/metrics", logged)
        if found is None:
            raise AssertionError(process.communicate(timeout=120))
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def exported(text: str) -> Exported:
    """Read a scrape as Prometheus does."""
    found: Exported = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def scrape(url: str) -> str:
    answer = requests.get(url, timeout=120)
    answer.raise_for_status()
    return answer.text
