"""mmbot retry: a person takes up a failed order."""

import pytest

from mmbot_pipelines import store_wiring, wiring
from mmbot_pipelines.bridge.lifecycle import Status
from tests.bridge.world import World
from tests.cli.command import Mmbot, caller
from tests.settings.environments import GOOD


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(wiring, "bridge", lambda _: world.bridge)
    monkeypatch.setattr(store_wiring, "existing", lambda database: database)
    return world


@pytest.fixture
def mmbot(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Mmbot:
    return caller(GOOD, capsys, monkeypatch)


def park(world: World) -> str:
    """Let one order fail for good; return its key."""
    (key,) = world.set_and_detect()
    call = world.registry.transfer(world.order(key))
    world.chain.refuse(lambda sent: sent == call, "no thanks")
    world.failing(lambda: world.transfer([key]))
    assert world.order(key).parked
    return key


def test_a_parked_order_goes_on_at_once(world: World, mmbot: Mmbot) -> None:
    key = park(world)
    world.chain.allow()
    said = mmbot("retry", key)
    assert said.code == 0
    assert f"{key}: taken up again at PROCESSING" in said.out
    assert world.order(key).status is Status.TRANSFERRING
    assert not world.order(key).failed
    runs = {entry.run_id for entry in world.store.history(key)}
    assert any(run.startswith("cli-") for run in runs)


def test_what_fails_again_is_said_with_its_cause(world: World, mmbot: Mmbot) -> None:
    key = park(world)
    said = mmbot("retry", key)
    assert said.code == 1
    assert f"{key}: RevertForeseen: " in said.err
    assert "no thanks" in said.err
    assert world.order(key).parked


def test_nothing_is_done_when_a_key_is_unknown(world: World, mmbot: Mmbot) -> None:
    key = park(world)
    said = mmbot("retry", key, "zksync:99")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("zksync:99: no such order")
    assert world.order(key).parked


def test_an_outage_is_one_line(world: World, mmbot: Mmbot) -> None:
    key = park(world)
    world.store.down = True
    said = mmbot("retry", key)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("StoreUnavailable: ")
    assert len(said.err.splitlines()) == 1
