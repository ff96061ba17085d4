"""A node that counts transactions of the wallet that nobody sent."""

from collections.abc import Callable

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.conditions import NONCE, Thresholds, picture
from mmbot_pipelines.bridge.facts import look
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.nonces import MAX_FOREIGN
from mmbot_pipelines.core.alerts import Severity
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call
from tests.bridge.world import World
from tests.ports.chain_memory import WALLET
from tests.ports.daemons_memory import DaemonsMemory
from tests.ports.records_memory import RecordsMemory

THRESHOLDS = Thresholds(max_exposure=None, min_balance=Wei(0), undelivered_after_seconds=3600)


def count_too_many(world: World, patch: pytest.MonkeyPatch, more: int) -> None:
    """Make the node count so many waiting transactions more than there are."""
    honest: Callable[..., int] = world.chain.nonce
    patch.setattr(
        world.chain, "nonce", lambda *, pending: honest(pending=pending) + (more if pending else 0)
    )


def alerts(world: World) -> dict[str, Severity]:
    facts = look(world.bridge, RecordsMemory(world.store), DaemonsMemory())
    return {alert.key: alert.severity for alert in picture(facts, THRESHOLDS).alerts}


def test_nothing_is_signed_above_a_nonce_that_cannot_be(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = world.set_and_detect(3)
    with monkeypatch.context() as patch:
        count_too_many(world, patch, 10**6)
        for _ in range(5):
            assert "NonceTooHigh" in world.failing(lambda: world.transfer(keys))
            world.later(60)
            world.replace_stuck()
        assert alerts(world) == {NONCE: Severity.HIGH}
        assert world.store.in_flight() == []
        assert world.chain.broadcasts == []
    assert all(not order.failed for order in world.store.get(keys))  # healthy all the while
    world.transfer(keys)
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}
    assert [t.nonce for t in world.chain.executed()] == [0, 1, 2]
    assert alerts(world) == {}


def test_our_own_waiting_transactions_are_no_lie(world: World) -> None:
    keys = world.set_and_detect(3 * MAX_FOREIGN)
    world.transfer(keys)
    (late,) = world.set_and_detect()
    world.transfer([late])
    world.mine()
    assert set(world.statuses().values()) == {Status.FULFILLED}
    assert alerts(world) == {}


def test_a_wallet_with_a_past_is_no_lie(world: World) -> None:
    for _ in range(2 * MAX_FOREIGN):
        world.chain.elsewhere(Call(to=WALLET, data=b"", value=Wei(1)))
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.mine()
    assert world.order(key).status is Status.FULFILLED


def test_a_node_that_counts_a_little_too_many_burns_no_gas_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lie leaves a gap that must be filled; a real gap of another program looks the same."""
    count_too_many(world, monkeypatch, MAX_FOREIGN)
    for _ in range(10):
        keys = world.set_and_detect()
        world.transfer(keys)
        for _ in range(4):
            world.later(61)
            world.replace_stuck()
            world.mine()
    fillers = [t for t in world.chain.executed() if t.call.to == WALLET]
    assert 0 < len(fillers) <= 20
    world.later(3600)
    world.replace_stuck()
    world.mine()
    again = [t for t in world.chain.executed() if t.call.to == WALLET]
    assert len(fillers) < len(again) <= 40


def test_a_gap_that_may_not_be_filled_yet_raises_no_fees_above_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_too_many(world, monkeypatch, MAX_FOREIGN)
    for _ in range(4):
        world.transfer(world.set_and_detect())
        world.later(61)
        world.replace_stuck()
        world.mine()
    stuck = {row.hash for row in world.store.in_flight()}
    assert stuck
    for _ in range(3):
        world.later(61)
        world.replace_stuck()
    assert {row.hash for row in world.store.in_flight()} == stuck
    assert steps.stuck(world.bridge)
    assert any("the next ones are filled later" in line for line in world.said)
