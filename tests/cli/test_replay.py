"""mmbot replay on two local chains: real orders, L1's base fee of then, no key, no database."""

import json
from collections.abc import Iterator

import pytest

from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.deploy import environment
from mmbot_pipelines.settings import KEYS
from tests.cli.command import Mmbot, caller
from tests.devnet.bridge import Devnet, running
from tests.ports.port_harness import AnvilPorts, on_anvil

GWEI = 10**9
BASE_FEES = (GWEI // 2, 100 * GWEI, GWEI)


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def ports(devnet: Devnet) -> Iterator[AnvilPorts]:
    with on_anvil(devnet) as ports:
        yield ports


@pytest.fixture
def mmbot(
    devnet: Devnet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Mmbot:
    given = environment(devnet.deployment) | {"MMBOT_ORIGINS": "zksync"}
    return caller({k: v for k, v in given.items() if k not in KEYS}, capsys, monkeypatch)


def l1_block(devnet: Devnet, *, at: int, base_fee: int) -> None:
    ask(devnet.l1, "anvil_setNextBlockBaseFeePerGas", hex(base_fee))
    ask(devnet.l1, "evm_setNextBlockTimestamp", at)
    ask(devnet.l1, "evm_mine")


def test_orders_are_decided_at_the_prices_of_their_time(
    devnet: Devnet, ports: AnvilPorts, mmbot: Mmbot
) -> None:
    newest = max(w3.eth.get_block("latest")["timestamp"] for w3 in (devnet.l1, devnet.l2))
    times = [newest + 1000, newest + 2000, newest + 3000]
    found = []
    for at, base_fee in zip(times, BASE_FEES, strict=True):
        l1_block(devnet, at=at, base_fee=base_fee)
        ask(devnet.l2, "evm_setNextBlockTimestamp", at + 5)
        found += ports.set_orders(1)
    (poor,) = ports.set_orders(1, amount=10**19)
    first, last = found[0].block.number, poor.block.number
    l1_block(devnet, at=newest + 9000, base_fee=7 * GWEI)
    read = json.loads(
        mmbot("replay", "--from-block", str(first), "--to-block", str(last), "--json").out
    )
    cheap, dear, usual, large = read["orders"]
    assert [o["key"] for o in read["orders"]] == [o.key for o in [*found, poor]]
    assert [o["base_fee_wei"] for o in (cheap, dear, usual)] == list(map(str, BASE_FEES))
    assert [o["decision"] for o in read["orders"]] == ["filled", "waiting", "filled", "dropped"]
    for order in (cheap, usual):
        assert int(order["profit_wei"]) == 10**15 - int(order["cost_wei"])
    assert int(usual["cost_wei"]) > int(cheap["cost_wei"])
    assert int(read["profit_wei"]) == sum(int(o["profit_wei"]) for o in (cheap, usual))
    assert "is below the cost" in dear["reason"]
    assert "above the maximum" in large["reason"]
    shown = mmbot("replay", "--from-block", str(first), "--to-block", str(last)).out
    assert "4 orders in blocks" in shown
    assert "1 dropped, 2 filled, 1 waiting; profit " in shown
    assert "nothing is simulated" in shown


def test_blocks_and_origins_that_cannot_be_are_refused(mmbot: Mmbot) -> None:
    assert mmbot("replay", "--from-block", "2", "--to-block", "1").err.startswith("--from-block 2")
    output = mmbot("replay", "--from-block", "1", "--to-block", "1", "--origin", "foo")
    assert output.err == "--origin: there is no such origin; choose one of zksync\n"
