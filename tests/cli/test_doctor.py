"""mmbot doctor, on two local chains and a real Postgres."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmbot_pipelines.adapters.broker.workers import BrokerWorkers
from mmbot_pipelines.cli.doctor.findings import CheckStatus
from mmbot_pipelines.cli.doctor.nodes import nodes
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.anvil import PACKAGE_ROOT
from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.deploy import environment
from tests.broker import Broker
from tests.cli.command import CommandOutput, Mmbot, caller
from tests.devnet.bridge import STRANGER, Devnet, rolled_back, running

NOBODY = "0x000000000000000000000000000000000000dEaD"


@pytest.fixture(scope="module")
def fresh_devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def devnet(fresh_devnet: Devnet) -> Iterator[Devnet]:
    with rolled_back(fresh_devnet) as devnet:
        yield devnet


@pytest.fixture
def environ(devnet: Devnet, database_url: str, tmp_path: Path) -> dict[str, str]:
    """Return an environment in which everything is as it should be."""
    shutil.copy(PACKAGE_ROOT / "dagster_home" / "dagster.yaml", tmp_path)
    for chain in (devnet.l1, devnet.l2):
        ask(chain, "evm_mine")  # its time is now
    return environment(devnet.deployment) | {
        "MMBOT_DATABASE_URL": database_url,
        "DAGSTER_HOME": str(tmp_path),
    }


@pytest.fixture
def mmbot(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Mmbot:
    def doctor(**changes: str) -> CommandOutput:
        return caller(environ | changes, capsys, monkeypatch)("doctor")

    return doctor


def faults(output: CommandOutput) -> list[str]:
    """Return the faults that the doctor found; it must have ended accordingly."""
    found = [
        line.removeprefix("fault").strip()
        for line in output.out.splitlines()
        if line.startswith("fault")
    ]
    assert output.code == (1 if found else 0)
    assert output.err == ""
    return found


def test_all_is_well(mmbot: Mmbot, devnet: Devnet, broker: Broker) -> None:
    limits = ("EXPOSURE", "PER_RECIPIENT", "PER_HOUR", "PER_DAY")
    given = {f"MMBOT_MAX_{name}_WEI": "1000000" for name in limits}
    given["MMBOT_BROKER_URL"] = broker.url.get_secret_value()
    BrokerWorkers(broker.url, "").serve("one@host")
    output = mmbot(**given, MMBOT_CONFIRMATIONS="0:1", MMBOT_MIN_BALANCE_WEI="1")
    assert faults(output) == []
    lines = output.out.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1] == f"checks: {len(lines) - 1}, faults: 0"
    for part in (
        f"its address is {devnet.deployment.market_maker}",
        "L1 node http://127.0.0.1:",
        "zksync node http://127.0.0.1:",
        "has our wallet as its market maker",
        "takes claims from our registry",
        f"pays us, at {devnet.deployment.zksync.wallet}",
        "prices a claim's message",
        "database: its tables are of this version",
        "holds our dagster.yaml",
        "workers: one@host of ",
    ):
        assert part in output.out


def test_no_secret_is_shown(mmbot: Mmbot, devnet: Devnet, environ: dict[str, str]) -> None:
    url = environ["MMBOT_L1_RPC_URLS"].replace("http://", "http://user:hunter2@")
    output = mmbot(MMBOT_L1_RPC_URLS=f"{url}/apikey1,http://127.0.0.1:1/apikey2")
    assert "127.0.0.1:1" in output.out
    for secret in ("hunter2", "apikey", devnet.deployment.private_key[2:]):
        assert secret not in output.out + output.err


def test_bad_settings_are_faults_and_the_database_is_still_checked(mmbot: Mmbot) -> None:
    output = mmbot(MMBOT_L1_CHAIN_ID="x", MMBOT_ORIGINS="y", MMBOT_MAX_ATEMPTS="1")
    found = faults(output)
    assert len(found) == 3
    assert all(line.startswith("settings: MMBOT_") for line in found)
    assert " (MMBOT_DATABASE_URL) answers" in output.out


WRONG_CHAIN = {"MMBOT_L1_RPC_URLS": "{l2}"}
NO_NODE = "http://127.0.0.1:1"
KEY_OF_ANOTHER = {"MMBOT_L1_PRIVATE_KEY": account(7).key.hex()}


@pytest.mark.parametrize(
    ("changes", "subject", "both_sides", "remedy"),
    [
        (WRONG_CHAIN, "L1 node", "chain {l2_id}, but MMBOT_L1_CHAIN_ID is {l1_id}", "fix MMBOT_L1"),
        ({"MMBOT_L1_RPC_URLS": NO_NODE}, f"L1 node {NO_NODE}", "", "or start the node"),
        ({"MMBOT_L1_CHAIN_ID": "5"}, "L1 node", "MMBOT_L1_CHAIN_ID is 5", "or the chain id"),
        ({"MMBOT_ZKSYNC_CHAIN_ID": "5"}, "zksync node", "serves chain {l2_id}", "or the chain id"),
        ({"MMBOT_L1_REGISTRY_ADDRESS": NOBODY}, "registry", NOBODY, "fix MMBOT_L1_REGISTRY_ADDR"),
        ({"MMBOT_L1_REGISTRY_ADDRESS": NOBODY}, "escrow", NOBODY, "or MMBOT_ZKSYNC_ESCROW_ADDR"),
        ({"MMBOT_ZKSYNC_ESCROW_ADDRESS": NOBODY}, "escrow", NOBODY, "fix MMBOT_ZKSYNC_ESCROW_A"),
        ({"MMBOT_ZKSYNC_DIAMOND_ADDRESS": NOBODY}, "diamond", NOBODY, "fix MMBOT_ZKSYNC_DIAMOND"),
        ({"MMBOT_ZKSYNC_WALLET_ADDRESS": NOBODY}, "escrow", f"not {NOBODY}", "set MMBOT_ZKSYNC_W"),
        (KEY_OF_ANOTHER, "registry", "its market maker", "use their key, or have the owner call"),
        ({"MMBOT_L1_PRIVATE_KEY": "00" * 32}, "wallet", "MMBOT_L1_PRIVATE_KEY holds no", ""),
        ({"MMBOT_DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "database", "x at 127.0.0.1", "st"),
        ({"MMBOT_BROKER_URL": "redis://127.0.0.1:1/0"}, "broker", "127.0.0.1:1", "start it, or f"),
        ({"DAGSTER_HOME": ""}, "DAGSTER_HOME", "is missing", "set it"),
        ({"DAGSTER_HOME": "/tmp"}, "DAGSTER_HOME", "is /tmp, without a dagster.yaml", "set it to"),
    ],
)
def test_each_broken_setting_is_found_with_its_remedy(
    mmbot: Mmbot,
    devnet: Devnet,
    changes: dict[str, str],
    subject: str,
    both_sides: str,
    remedy: str,
) -> None:
    deployed = devnet.deployment
    known = {"l2": deployed.zksync.rpc_url, "l1_id": deployed.l1.chain_id}
    known["l2_id"] = deployed.zksync.chain_id
    output = mmbot(**{name: value.format(**known) for name, value in changes.items()})
    found = [line for line in faults(output) if line.startswith(f"{subject}: ") or subject in line]
    assert any(both_sides.format(**known) in line and remedy in line for line in found)


def test_a_folder_that_we_may_not_write_to(mmbot: Mmbot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write to all of them
    (line,) = faults(mmbot())
    assert line.startswith("DAGSTER_HOME: ")
    assert line.endswith("is no folder that we may write to: make it ours")


def test_a_clock_that_is_slow(devnet: Devnet) -> None:
    made_at = devnet.l1.eth.get_block("latest")["timestamp"]
    l1 = devnet.deployment.l1
    (found,) = nodes("L1", l1.chain_id, [l1.rpc_url], clock=lambda: made_at - 120.0)
    assert found.mark is CheckStatus.FAULT
    assert "its time is 2 min ahead of this machine's clock: set the clock by NTP" in found.text


def test_what_depends_on_a_fault_is_marked_as_not_checked(mmbot: Mmbot) -> None:
    def unknown(**changes: str) -> set[str]:
        lines = mmbot(**changes).out.splitlines()
        return {line[12:].partition(":")[0] for line in lines if line.startswith("not checked ")}

    assert unknown() == set()
    assert unknown(MMBOT_L1_RPC_URLS=NO_NODE) == {"wallet, account and registry", "diamond"}
    assert unknown(MMBOT_ZKSYNC_RPC_URLS=NO_NODE) == {"accepted blocks and escrow"}
    assert unknown(MMBOT_L1_REGISTRY_ADDRESS=NOBODY) == {"registry"}
    assert unknown(MMBOT_L1_PRIVATE_KEY="00" * 32) == {"account and registry"}
    assert unknown(MMBOT_DATABASE_URL="postgresql://127.0.0.1:1/x") == {"database"}
    assert unknown(MMBOT_BROKER_URL="redis://127.0.0.1:1/0") == {"workers"}
    assert unknown(MMBOT_L1_CHAIN_ID="x") == {
        "chains, wallet and contracts",
        "DAGSTER_HOME and workers",
    }


def test_each_finding_is_a_line_of_json(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = environ | {"MMBOT_L1_REGISTRY_ADDRESS": NOBODY}
    output = caller(given, capsys, monkeypatch)("doctor", "--json")
    found = [json.loads(line) for line in output.out.splitlines()]
    assert output.code == 1
    assert {row["mark"] for row in found} == {"ok", "note", "fault", "not checked"}
    assert all(set(row) == {"mark", "subject", "text"} for row in found)


def test_workers_that_get_no_run_are_a_fault(
    mmbot: Mmbot, environ: dict[str, str], broker: Broker
) -> None:
    home = Path(environ["DAGSTER_HOME"]) / "dagster.yaml"
    home.write_text(home.read_text().replace("mmbot_pipelines.defs.launcher", "copied.long_ago"))
    assert not any("launcher" in line for line in faults(mmbot()))
    expected = f"MMBOT_BROKER_URL is set, but {home} names another run launcher, so workers"
    found = faults(mmbot(MMBOT_BROKER_URL=broker.url.get_secret_value()))
    assert any(expected in line for line in found)


def test_addresses_of_other_contracts_are_recognised(mmbot: Mmbot, devnet: Devnet) -> None:
    registry, diamond = devnet.registry.address, devnet.diamond.address
    found = faults(mmbot(MMBOT_L1_REGISTRY_ADDRESS=diamond, MMBOT_ZKSYNC_DIAMOND_ADDRESS=registry))
    assert any(line.startswith(f"registry: {diamond} is no PaymentRegistry") for line in found)
    assert any(line.startswith(f"diamond: {registry} does not price") for line in found)
    assert any("escrow: " in line and "but our registry" in line for line in found)


def test_a_registry_that_does_not_know_our_wallet(mmbot: Mmbot, devnet: Devnet) -> None:
    send(devnet.registry.functions.setMMAddress(STRANGER), sender=devnet.deployment.l1.owner)
    (line,) = faults(mmbot())
    assert line.startswith("registry: ")
    assert STRANGER in line
    assert f"setMMAddress({devnet.deployment.market_maker})" in line


def test_the_owner_may_pay_as_well(mmbot: Mmbot, devnet: Devnet) -> None:
    output = mmbot(MMBOT_L1_PRIVATE_KEY=account(0).key.hex())
    assert "has our wallet as its owner" in output.out


def test_an_escrow_that_pays_somebody_else(mmbot: Mmbot, devnet: Devnet) -> None:
    deployed = devnet.deployment.zksync
    send(devnet.escrow.functions.set_mm_zksync_wallet(STRANGER), sender=deployed.owner)
    (line,) = faults(mmbot())
    assert line.startswith(f"escrow: {deployed.escrow} pays {STRANGER}, not {deployed.wallet}")


def test_an_escrow_that_obeys_another_registry(mmbot: Mmbot, devnet: Devnet) -> None:
    deployed = devnet.deployment.zksync
    send(devnet.escrow.functions.set_ethereum_payment_registry(STRANGER), sender=deployed.owner)
    (line,) = faults(mmbot())
    assert f"takes claims from {STRANGER}" in line


def test_a_paused_escrow(mmbot: Mmbot, devnet: Devnet) -> None:
    send(devnet.escrow.functions.pause(), sender=devnet.deployment.zksync.owner)
    (line,) = faults(mmbot())
    assert "is paused" in line


def test_an_empty_wallet(mmbot: Mmbot, devnet: Devnet) -> None:
    ask(devnet.l1, "anvil_setBalance", devnet.deployment.market_maker, "0x0")
    (line,) = faults(mmbot())
    assert line.startswith(f"wallet: {devnet.deployment.market_maker} holds 0 ETH (0 wei)")


def test_a_wallet_for_small_orders_only_is_noted(mmbot: Mmbot, devnet: Devnet) -> None:
    ask(devnet.l1, "anvil_setBalance", devnet.deployment.market_maker, hex(10**16))
    output = mmbot()
    assert faults(output) == []
    assert any(
        line.startswith("note") and "0.01 ETH" in line and "0.1 ETH" in line
        for line in output.out.splitlines()
    )


def test_tags_for_accepted_blocks(mmbot: Mmbot) -> None:
    assert 'tag "finalized"' in mmbot(MMBOT_ZKSYNC_ACCEPTED="finalized").out
    # anvil, an Ethereum node, does not know zkSync's own tag
    (line,) = faults(mmbot(MMBOT_ZKSYNC_ACCEPTED="committed"))
    assert line.startswith("accepted blocks: ")
    assert "MMBOT_ZKSYNC_ACCEPTED" in line


def test_a_database_that_awaits_its_migration(mmbot: Mmbot, empty_database_url: str) -> None:
    (line,) = faults(mmbot(MMBOT_DATABASE_URL=empty_database_url, MMBOT_AUTO_MIGRATE="no"))
    assert "mmbot migrate" in line
    assert faults(mmbot(MMBOT_DATABASE_URL=empty_database_url)) == []


def test_a_node_behind_the_others(devnet: Devnet) -> None:
    ahead, behind = devnet.deployment.l1.rpc_url, devnet.deployment.zksync.rpc_url
    ask(devnet.l1, "anvil_mine", hex(devnet.l2.eth.block_number + 6 - devnet.l1.eth.block_number))
    ask(devnet.l2, "anvil_setChainId", devnet.l1.eth.chain_id)
    try:
        chain_id = devnet.l1.eth.chain_id
        first, second = nodes("L1", chain_id, [ahead, behind])
        assert (first.mark, second.mark) == (CheckStatus.OK, CheckStatus.FAULT)
        assert "6 blocks behind" in second.text
    finally:
        ask(devnet.l2, "anvil_setChainId", devnet.deployment.zksync.chain_id)


def test_a_chain_that_stands_still_is_noted(devnet: Devnet) -> None:
    block = devnet.l1.eth.get_block("latest")
    l1 = devnet.deployment.l1
    (found,) = nodes("L1", l1.chain_id, [l1.rpc_url], clock=lambda: block["timestamp"] + 7200.0)
    assert found.mark is CheckStatus.NOTE
    assert "2 h old" in found.text
