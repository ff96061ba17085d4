"""What was stored and never sent is looked at again before it goes out late."""

from datetime import timedelta

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.late import LATE_SECONDS
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.devnet.artifacts import send
from tests.chain.lane import Lane


def stored(lane: Lane, count: int = 1, seconds: float = LATE_SECONDS + 1) -> list[str]:
    """Store transfers while no node takes anything, and let time pass."""
    keys = lane.find(count, fee=10**16)
    chain = lane.stage.chain
    with pytest.MonkeyPatch.context() as patch:
        outage = RpcUnavailable("no RPC node of L1 answered")
        patch.setattr(chain, "broadcast", lambda raws: [outage] * len(raws))
        lane.transfer(keys)
    assert {lane.order(key).status for key in keys} == {Status.TRANSFERRING}
    lane.now += timedelta(seconds=seconds)
    return keys


def known(lane: Lane, keys: list[str]) -> list[bool]:
    """Return which first transfers some node has."""
    hashes = [lane.store.transactions(key)[0].hash for key in keys]
    return lane.stage.chain.knows(hashes)


def end(lane: Lane) -> None:
    """Let the bot do all that it does about the lane, until no nonce is open."""
    for _ in range(6):
        lane.look()
        lane.replace_stuck(lane.bridge.rules.stuck_after_seconds + 1)
        lane.mine()
    assert lane.store.in_flight() == []


def test_a_late_transfer_that_is_still_wanted_goes_out_at_the_first_look(lane: Lane) -> None:
    keys = stored(lane, 3)
    lane.look()
    assert known(lane, keys) == [True] * 3
    lane.mine()
    assert [lane.paid(key) for key in keys] == [1] * 3


def test_an_order_that_the_l2_took_back_meanwhile_is_not_paid_late(lane: Lane) -> None:
    (gone,) = stored(lane)
    lane.stage.reorg_l2(1)
    for _ in range(3):
        steps.settle_receipts(lane.bridge, lane.run)
        lane.stage.mine()
        lane.now += timedelta(seconds=20)
    assert known(lane, [gone]) == [False]
    end(lane)
    assert lane.paid(gone) == 0
    assert any("is not sent now, OrderAbsent" in line for line in lane.said)


def test_an_order_that_somebody_filled_meanwhile_is_not_paid_late(lane: Lane) -> None:
    (filled, other) = stored(lane, 2)
    order = lane.order(filled)
    devnet = lane.stage.devnet
    call = devnet.transfer(order.number, int(order.recipient, 16))
    send(call, sender=devnet.deployment.l1.owner, value=order.amount)
    lane.mine()
    assert known(lane, [filled, other]) == [False, True]
    end(lane)
    lane.retry()
    assert lane.paid(filled) == 0
    assert lane.paid(other) == 1
    assert lane.order(filled).status in (Status.FULFILLED, Status.PROVING)


@pytest.mark.parametrize("seconds", [0, LATE_SECONDS + 1])
def test_nothing_stored_goes_out_while_halted_and_all_are_paid_once_afterwards(
    lane: Lane, seconds: float
) -> None:
    keys = stored(lane, 2, seconds)
    guard.halt(lane.bridge, GLOBAL, by="Ann", reason="a look")
    lane.look()
    assert known(lane, keys) == [False] * 2
    end(lane)
    assert [lane.paid(key) for key in keys] == [0] * 2
    guard.resume(lane.bridge, GLOBAL, by="Ann", reason="all is well")
    lane.retry()
    lane.mine()
    assert [lane.paid(key) for key in keys] == [1] * 2


def test_a_short_outage_asks_nothing_again(lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = stored(lane, 2, LATE_SECONDS - 1)

    def check(_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(lane.stage.origin, "check", check)
    lane.look()
    assert known(lane, keys) == [True] * 2


def claimed(lane: Lane) -> str:
    """Store a claim while no node takes anything, and let time pass."""
    (key,) = lane.find(fee=10**16)
    lane.transfer([key])
    lane.mine()
    with pytest.MonkeyPatch.context() as patch:
        outage = RpcUnavailable("no RPC node of L1 answered")
        patch.setattr(lane.stage.chain, "broadcast", lambda raws: [outage] * len(raws))
        lane.repay([key])
    assert lane.order(key).status is Status.PROVING
    lane.now += timedelta(seconds=LATE_SECONDS + 1)
    return key


def has_claim(lane: Lane, key: str) -> bool:
    (row,) = (t for t in lane.store.transactions(key) if t.purpose == "repay")
    return lane.stage.chain.knows([row.hash]) == [True]


def test_a_late_claim_spends_no_message_on_a_paused_escrow(lane: Lane) -> None:
    key = claimed(lane)
    lane.stage.pause()
    lane.look()
    assert not has_claim(lane, key)
    assert any("is not sent now, EscrowPaused" in line for line in lane.said)
    devnet = lane.stage.devnet
    send(devnet.escrow.functions.unpause(), sender=devnet.deployment.zksync.owner)
    lane.now += timedelta(seconds=20)
    lane.look()
    lane.mine()
    lane.settle()
    assert lane.order(key).status is Status.COMPLETED


def test_a_late_claim_pays_no_other_wallet_that_the_escrow_names_by_now(lane: Lane) -> None:
    key = claimed(lane)
    lane.stage.pay_elsewhere()
    lane.look()
    assert not has_claim(lane, key)
    assert any("is not sent now, EscrowNotOurs" in line for line in lane.said)


def test_a_late_claim_goes_out_where_its_l2_cannot_be_asked(
    lane: Lane, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = claimed(lane)

    def away(*_: object) -> None:
        raise RpcUnavailable("no RPC node of zksync answered")

    monkeypatch.setattr(lane.stage.origin, "claims", away)
    lane.look()
    assert has_claim(lane, key)
