"""Prometheus' rules, evaluated by Prometheus' own promtool: each can fire, and only then."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
PROMTOOL = shutil.which("promtool")

pytestmark = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed: `apt-get install prometheus`"
)

# A value at every 15 s: for 40 minutes as it should be, then for as long as it should not.
WELL, ILL = "40m", "75m"
FIRED_BY = {
    "MmbotMetricsMissing": {"mmbot_database_up": ("1", "_")},
    "MmbotDatabaseDown": {"mmbot_database_up": ("1", "0")},
    "MmbotHalted": {'mmbot_safety_state{scope="global",state="HALTED"}': ("0", "1")},
    "MmbotThrottled": {'mmbot_safety_state{scope="zksync",state="THROTTLED"}': ("0", "1")},
    "MmbotDryRun": {"mmbot_dry_run": ("0", "1")},
    "MmbotAlertChannelBroken": {'mmbot_alerts_unsent{channel="json 1"}': ("0", "1")},
    "MmbotPaidButParked": {
        'mmbot_orders{origin="zksync",condition="parked",status="PENDING"}': ("1", "1"),
        'mmbot_orders{origin="zksync",condition="parked",status="PROVED"}': ("0", "1"),
    },
    "MmbotOrderParked": {
        'mmbot_orders{origin="zksync",condition="parked",status="PROVED"}': ("1", "1"),
        'mmbot_orders{origin="zksync",condition="parked",status="PENDING"}': ("0", "1"),
    },
    "MmbotOrderStuck": {
        'mmbot_oldest_unfinished_order_age_seconds{origin="zksync",condition="parked"}': (
            "9999",
            "9999",
        ),
        'mmbot_oldest_unfinished_order_age_seconds{origin="zksync",condition="healthy"}': (
            "7200",
            "7201",
        ),
    },
    "MmbotTransferSlow": {
        'mmbot_order_transfer_seconds_bucket{origin="zksync",le="300.0"}': ("0+1", "160"),
        'mmbot_order_transfer_seconds_bucket{origin="zksync",le="600.0"}': ("0+1", "160+1"),
        'mmbot_order_transfer_seconds_bucket{origin="zksync",le="+Inf"}': ("0+1", "160+1"),
    },
    "MmbotFailuresRising": {
        "mmbot_database_up": ("1", "1"),
        'mmbot_failures_total{step="transfer",kind="NonceTaken"}': ("99", "99"),
        'mmbot_failures_total{step="repay",kind="NonceTaken"}': ("5", "5+0.1"),  # 6 in 15 minutes
        'mmbot_failures_total{step="transfer",kind="Reverted"}': ("3", "3+0.2"),  # 12
    },
    "MmbotWalletBelowFloor": {
        "mmbot_wallet_floor_wei": ("1000", "1000"),
        "mmbot_wallet_balance_wei": ("1000", "999"),
    },
    "MmbotExposureHigh": {
        "mmbot_exposure_limit_wei": ("100", "100"),
        'mmbot_exposure_wei{origin="starknet"}': ("40", "40"),
        'mmbot_exposure_wei{origin="zksync"}': ("40", "41"),
    },
    "MmbotRpcAllDown": {
        'mmbot_rpc_up{chain="L1",node="a"}': ("0", "0"),
        'mmbot_rpc_up{chain="L1",node="b"}': ("1", "0"),
        'mmbot_rpc_up{chain="zksync",node="c"}': ("1", "1"),
    },
    "MmbotRpcNodeDown": {
        'mmbot_rpc_up{chain="L1",node="a"}': ("1", "0"),
        'mmbot_rpc_up{chain="L1",node="b"}': ("1", "1"),
    },
    "MmbotRpcNodeBehind": {
        'mmbot_rpc_head_block{chain="L1",node="a"}': ("100", "121"),
        'mmbot_rpc_head_block{chain="L1",node="b"}': ("100", "100"),
        'mmbot_rpc_head_block{chain="zksync",node="c"}': ("7", "7"),
    },
    "MmbotSensorBehind": {
        'mmbot_sensor_lag_blocks{origin="zksync",cursor="accepted"}': ("999", "999"),
        'mmbot_sensor_lag_blocks{origin="zksync",cursor="latest"}': ("100", "101"),
    },
    "MmbotTransactionStuck": {"mmbot_oldest_transaction_in_flight_age_seconds": ("900", "901")},
}


def case(series: dict[str, tuple[str, str]], rule: str, *, fires: int = 1) -> dict[str, object]:
    """Describe a test of one rule: how many alerts fire of it in the end."""
    firing = f'count(ALERTS{{alertname="{rule}",alertstate="firing"}})'
    return {
        "name": rule,
        "interval": "15s",
        "input_series": [
            {"series": name, "values": " ".join(f"{value}x160" for value in values)}
            for name, values in series.items()
        ],
        "promql_expr_test": [
            {"expr": firing, "eval_time": WELL, "exp_samples": []},
            {
                "expr": firing,
                "eval_time": ILL,
                "exp_samples": [{"labels": "{}", "value": fires}] if fires else [],
            },
        ],
    }


def run(folder: Path, tests: list[dict[str, object]]) -> None:
    given = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yml").write_text(yaml.safe_dump(given))
    assert PROMTOOL is not None
    command = [PROMTOOL, "test", "rules", str(folder / "tests.yml")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_rule_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    assert set(FIRED_BY) == {rule["alert"] for group in groups for rule in group["rules"]}
    run(tmp_path, [case(series, rule) for rule, series in FIRED_BY.items()])


def test_the_first_failures_of_a_class_count(tmp_path: Path) -> None:
    """They come without a zero to rise from, many at once; after a gap nothing is new."""
    new = {'mmbot_failures_total{step="transfer",kind="Reverted"}': ("_", "_x100 30")}
    looked, gap = {"mmbot_database_up": ("1", "1")}, {"mmbot_database_up": ("_", "_x100 1")}
    run(
        tmp_path,
        [
            case(new | looked, "MmbotFailuresRising"),
            case(new | gap, "MmbotFailuresRising", fires=0),
        ],
    )
