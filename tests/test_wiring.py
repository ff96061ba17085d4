"""What a process loads, and when: imports are most of a cold run's start."""

import json
import os
import subprocess
import sys
from typing import Any

from mmbot_pipelines.devnet.accounts import MARKET_MAKER, account
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from tests.settings.environments import GOOD, PROOF, STARKNET

SERVING_BOTH = (
    GOOD
    | STARKNET
    | {
        "MMBOT_ORIGINS": "zksync,starknet",
        "MMBOT_L1_PRIVATE_KEY": account(MARKET_MAKER).key.hex(),
        "DAGSTER_HOME": str(PACKAGE_ROOT / "dagster_home"),
    }
)

PROGRAM = """
import json, sys
from mmbot_pipelines import settings
from mmbot_pipelines.wiring import origins as origin_wiring
from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.rpc.client import Rpc

read = settings.load(json.loads(sys.argv[1]))
rpc = Rpc(read.l1.urls, chain="L1", chain_id=read.l1.chain_id)
registry = PaymentRegistry(rpc, read.l1.registry_address, start_block=0)
shared = origin_wiring.Shared(
    settings=read, l1=rpc, registry=registry, wallets=(read.l1.registry_address,), invokes=None
)
origins = origin_wiring.origins(shared)
report = {"names": list(origins), "scopes": sorted(origin_wiring.newest(read))}
for name in json.loads(sys.argv[2]):
    report[name] = [origins[name] is origins[name], origins[name].start, origins[name].claim_gas]
report["starknet_py"] = "starknet_py" in sys.modules
report["web3"] = "web3" in sys.modules
print(json.dumps(report))
"""


def wired(environ: dict[str, str], *used: str) -> Any:
    command = [sys.executable, "-c", PROGRAM, json.dumps(environ), json.dumps(used)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_zksync_needs_nothing_of_starknet() -> None:
    reported = wired(SERVING_BOTH, "zksync")
    assert reported["names"] == ["zksync", "starknet"]
    assert reported["scopes"] == ["global", "starknet", "zksync"]
    assert reported["zksync"][0]
    assert not reported["starknet_py"]
    assert not reported["web3"]


def test_starknet_is_plugged_together_once_when_it_is_asked_for() -> None:
    reported = wired(SERVING_BOTH, "starknet")
    assert reported["starknet_py"]
    assert not reported["web3"]
    assert reported["starknet"] == [True, 0, 110_000]


def test_with_proofs_nothing_is_claimed_on_l1() -> None:
    reported = wired(SERVING_BOTH | PROOF, "starknet")
    assert reported["starknet"] == [True, 0, 0]


def test_dagster_loads_the_product_without_a_word() -> None:
    program = "from mmbot_pipelines.definitions import defs; defs().get_repository_def()"
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=os.environ | SERVING_BOTH, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_a_dry_run_has_the_wallets_address_and_could_sign_nothing() -> None:
    program = """
import json, sys
from unittest.mock import patch
from mmbot_pipelines import settings
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import Call, Fees
from mmbot_pipelines.wiring import bridge, shared

read = settings.load(json.loads(sys.argv[1]))
with patch.object(shared, "engine"):
    chain = bridge.bridge(read).chain
try:
    fees = Fees(base=Wei(1), priority=Wei(1), ceiling=Wei(1))
    chain.sign(Call(to=chain.wallet, data=b"", value=Wei(1)), nonce=0, gas=Gas(21_000), fees=fees)
except InvalidSettings as e:
    print(chain.wallet, e)
"""
    environ = json.dumps(SERVING_BOTH | {"MMBOT_DRY_RUN": "true"})
    command = [sys.executable, "-c", program, environ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"{account(MARKET_MAKER).address} this process has no key to sign with\n"
    )
