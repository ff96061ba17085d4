"""mmbot retry: a person takes up a failed order."""

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.wiring import bridge as wiring
from mmbot_pipelines.wiring import bridge_store, shared
from tests.bridge.guard_steps import complete
from tests.bridge.harness import BridgeHarness
from tests.cli.command import Mmbot, caller
from tests.settings.environments import GOOD


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> BridgeHarness:
    harness = BridgeHarness()
    monkeypatch.setattr(wiring, "bridge", lambda _: harness.bridge)
    monkeypatch.setattr(shared, "existing", lambda database: database)
    monkeypatch.setattr(bridge_store, "store", lambda _: harness.store)
    return harness


@pytest.fixture
def mmbot(
    harness: BridgeHarness, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Mmbot:
    return caller(GOOD, capsys, monkeypatch)


def park(harness: BridgeHarness) -> str:
    """Let one order fail for good; return its key."""
    (key,) = harness.set_and_detect()
    call = harness.registry.transfer(harness.order(key))
    harness.chain.refuse(lambda sent: sent == call, "no thanks")
    harness.failing(lambda: harness.transfer([key]))
    assert harness.order(key).is_parked
    return key


def test_a_parked_order_goes_on_at_once(harness: BridgeHarness, mmbot: Mmbot) -> None:
    key = park(harness)
    harness.chain.allow()
    output = mmbot("retry", key)
    assert output.code == 0
    assert f"{key}: taken up again at PROCESSING" in output.out
    assert harness.order(key).status is Status.TRANSFERRING
    assert not harness.order(key).failed
    runs = {entry.run_id for entry in harness.store.orders.history(key)}
    assert any(run.startswith("cli-") for run in runs)


def test_what_fails_again_is_reported_with_its_cause(harness: BridgeHarness, mmbot: Mmbot) -> None:
    key = park(harness)
    output = mmbot("retry", key)
    assert output.code == 1
    assert f"{key}: SimulationReverted: " in output.err
    assert "no thanks" in output.err
    assert harness.order(key).is_parked


def test_nothing_is_done_when_a_key_is_unknown(harness: BridgeHarness, mmbot: Mmbot) -> None:
    key = park(harness)
    output = mmbot("retry", key, "zksync:99")
    assert (output.code, output.out) == (1, "")
    assert output.err.startswith("zksync:99: no such order")
    assert harness.order(key).is_parked


def test_a_completed_order_has_nothing_to_retry(harness: BridgeHarness, mmbot: Mmbot) -> None:
    key = complete(harness)
    harness.repay([key])
    harness.mine()
    harness.l2.deliver()
    assert harness.settle() == [key]
    before = harness.order(key)
    output = mmbot("retry", key)
    assert (output.code, output.out) == (1, "")
    assert output.err == f"{key}: completed; there is nothing to retry\n"
    assert harness.order(key) == before


def test_an_outage_is_one_line(harness: BridgeHarness, mmbot: Mmbot) -> None:
    key = park(harness)
    with harness.unreachable():
        output = mmbot("retry", key)
        assert (output.code, output.out) == (2, "")
        assert output.err.startswith("StoreUnavailable: ")
        assert len(output.err.splitlines()) == 1
