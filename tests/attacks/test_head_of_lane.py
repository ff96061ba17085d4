"""What stands first in the wallet's nonce queue: it holds nobody, whatever it was signed with."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.ethereum import signing
from mmbot_pipelines.adapters.ethereum.wallet import EthereumChain
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import TxState
from mmbot_pipelines.core.safety import State
from tests.bridge.guarding import state
from tests.bridge.transfers import GWEI, ends, rows
from tests.bridge.world import World
from tests.chain.lane import Lane

CHEAP = {"amount": 10**15, "fee": 8 * 10**14}
GOOD = {"amount": 10**16, "fee": 10**17}
MINED, REPLACED = TxState.MINED, TxState.REPLACED


def claimed_cheaply(world: World) -> str:
    """Let a claim that brings 0.0018 ETH wait in the pool."""
    (cheap,) = world.set_and_detect(**CHEAP)
    world.transfer([cheap])
    world.mine()
    world.repay([cheap])
    assert world.order(cheap).status is Status.PROVING
    return cheap


def test_a_claim_too_dear_to_be_mined_holds_nobody_and_is_made_again(world: World) -> None:
    cheap = claimed_cheaply(world)
    world.chain.base_fee = 300 * GWEI
    honest = world.set_and_detect(50, **GOOD)
    world.transfer(honest)
    for _ in range(3):
        world.later(61)
        world.replace_stuck()
        world.mine()
    assert [world.paid(key) for key in honest] == [1] * 50
    assert [len(rows(world, key)) for key in honest] == [1] * 50
    assert ends(world, cheap)[1:] == [("repay", 0, REPLACED), ("cancel", 1, MINED)]
    order = world.order(cheap)
    assert (order.status, order.failed, order.failures) == (Status.FULFILLED, False, 0)
    assert (world.store.errors(cheap), state(world)) == ([], State.NORMAL)
    world.repay([cheap])
    assert world.order(cheap).reason == "waits: its claim would cost what it brings"
    world.chain.base_fee = GWEI
    world.later(60)
    world.repay([o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])])
    world.mine()
    assert world.order(cheap).status is Status.PROVED


def behind_a_claim(world: World) -> tuple[str, list[str]]:
    """Let transfers wait behind a claim, all of them at a price that blocks do not take now."""
    (claimed,) = world.set_and_detect(**GOOD)
    world.transfer([claimed])
    world.mine()
    world.repay([claimed])
    honest = world.set_and_detect(3, **GOOD)
    world.transfer(honest)
    world.chain.most_per_block = 0
    return claimed, honest


def test_an_outage_of_the_l2_takes_no_claim_back_whose_price_was_good(world: World) -> None:
    claimed, honest = behind_a_claim(world)
    world.l2.fault = RpcUnavailable("no RPC node of zksync answered")
    for _ in range(10):
        world.later(61)
        world.replace_stuck()
        world.mine()
    assert [t.purpose for t in rows(world, claimed)] == ["transfer", "repay"]
    assert "its price on zksync cannot be read (RpcUnavailable: no RPC node" in world.said[-1]
    assert "it is taken back after 1800 s" in world.said[-1]
    world.l2.fault = None
    world.chain.most_per_block = None
    world.replace_stuck()
    world.mine()
    assert world.order(claimed).status is Status.PROVED
    assert [world.paid(key) for key in honest] == [1] * 3


def test_a_long_outage_of_the_l2_holds_nobody_and_is_the_logged_cause(world: World) -> None:
    claimed, honest = behind_a_claim(world)
    world.l2.fault = RpcUnavailable("no RPC node of zksync answered")
    world.later(1801)
    world.replace_stuck()
    (taken_back,) = [said for said in world.said if "taken back for those" in said]
    assert "its price on zksync cannot be read (RpcUnavailable" in taken_back
    assert "less than it costs" not in taken_back
    world.chain.most_per_block = None
    world.mine()
    assert ends(world, claimed)[1:] == [("repay", 0, REPLACED), ("cancel", 1, MINED)]
    assert [world.paid(key) for key in honest] == [1] * 3
    order = world.order(claimed)
    assert (order.status, order.failed) == (Status.FULFILLED, False)


def test_a_claim_that_a_paused_escrow_refuses_is_taken_back_for_that(world: World) -> None:
    behind_a_claim(world)
    world.l2.paused = True
    world.later(61)
    world.replace_stuck()
    (taken_back,) = [said for said in world.said if "taken back for those" in said]
    assert "it cannot be claimed now (EscrowPaused" in taken_back


def test_a_claim_that_nobody_waits_for_is_not_cancelled(world: World) -> None:
    cheap = claimed_cheaply(world)
    world.chain.base_fee = 300 * GWEI
    world.later(600)
    world.replace_stuck()
    assert [t.purpose for t in rows(world, cheap)] == ["transfer", "repay"]


def test_those_behind_the_head_are_not_bumped_to_the_end_of_their_margin(world: World) -> None:
    keys = world.set_and_detect(50, fee=10**15)
    world.transfer(keys)
    world.chain.most_per_block = 0  # no block has room, for half an hour
    for _ in range(30):
        world.later(61)
        world.replace_stuck()
        world.mine()
    assert [len(rows(world, key)) for key in keys[1:]] == [1] * 49
    world.chain.most_per_block = None
    world.mine()
    assert [world.paid(key) for key in keys[1:]] == [1] * 49
    assert all(o.failures == 0 and not o.failed for o in map(world.order, keys))


def test_those_behind_that_no_block_takes_follow_the_price_together(world: World) -> None:
    keys = world.set_and_detect(10, **GOOD)
    world.transfer(keys)
    world.chain.base_fee = 10 * GWEI
    world.replace_stuck()
    world.mine()
    assert [world.paid(key) for key in keys] == [1] * 10


def test_nobody_behind_a_head_that_nothing_helps_is_touched(world: World) -> None:
    poor, *rest = world.set_and_detect(1, fee=8 * 10**14) + world.set_and_detect(3, **GOOD)
    world.transfer([poor, *rest])
    world.chain.base_fee = 10 * GWEI
    world.replace_stuck()
    assert [len(rows(world, key)) for key in (poor, *rest)] == [1] * 4
    world.later(61)
    world.replace_stuck()
    world.mine()
    assert [t.purpose for t in rows(world, poor)] == ["transfer", "cancel"]
    assert [world.paid(key) for key in rest] == [1] * 3
    order = world.order(poor)
    assert (order.status, order.failed, order.failures) == (Status.PROCESSING, False, 0)


@pytest.mark.parametrize("gas", [0, 1, 16_000, 2**25])
def test_a_row_with_absurd_gas_that_no_node_took_is_signed_again(lane: Lane, gas: int) -> None:
    keys = lane.find(3, fee=10**17)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EthereumChain, "simulate", lambda _, calls, fees: [Gas(gas)] * len(calls))
        # as a version signed that did not refuse such gas yet
        patch.setattr(signing, "MIN_GAS", 0)
        patch.setattr(signing, "MAX_GAS", 2**64)
        lane.transfer(keys)
    assert [lane.store.transactions(key)[0].gas for key in keys] == [gas] * 3
    for _ in keys:
        lane.replace_stuck(after=61)
        lane.mine()
    assert [lane.paid(key) for key in keys] == [1] * 3
    assert {lane.order(key).status for key in keys} == {Status.FULFILLED}
    assert {t.state for key in keys for t in lane.store.transactions(key)} == {MINED, REPLACED}


@pytest.mark.parametrize("purpose", ["transfer", "cancel"])
def test_a_row_with_absurd_fees_that_no_node_took_costs_the_markets_price(
    lane: Lane, monkeypatch: pytest.MonkeyPatch, purpose: str
) -> None:
    (key,) = lane.find(1, fee=10**20)  # what is left of it at 100 000 gwei is a margin still
    market = lane.stage.chain.fees()
    refused: list[bytes] = []
    broadcast = EthereumChain.broadcast

    def taking(chain: EthereumChain, raws: Sequence[bytes]) -> list[Failure | None]:
        if not refused:
            refused.extend(raws)
        taken = [raw for raw in raws if raw not in refused]
        assert set(broadcast(chain, taken)) <= {None}
        return [RpcUnavailable("no node took it") if r in refused else None for r in raws]

    monkeypatch.setattr(EthereumChain, "broadcast", taking)
    with monkeypatch.context() as patch:
        patch.setattr(EthereumChain, "fees", lambda _: replace(market, ceiling=Wei(10**14)))
        lane.transfer([key])
    assert lane.store.transactions(key)[0].fees.ceiling == 10**14
    if purpose == "cancel":
        lane.stage.pause()
    lane.replace_stuck(after=61)
    newest = lane.store.transactions(key)[-1]
    assert (newest.purpose, newest.bump) == (purpose, 1)
    assert newest.fees.ceiling <= lane.stage.chain.fees().ceiling
    lane.mine()
    assert lane.ends(key)[-1] == (purpose, MINED)
    assert lane.paid(key) == (purpose == "transfer")
