"""What was stored and never sent is looked at again before it goes out late."""

from datetime import timedelta

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.sending.still_wanted import LATE_SECONDS
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.devnet.artifacts import send
from tests.chain.anvil_bridge import AnvilBridge


def stored(
    anvil_bridge: AnvilBridge, count: int = 1, seconds: float = LATE_SECONDS + 1
) -> list[str]:
    """Store transfers while no node takes anything, and let time pass."""
    keys = anvil_bridge.find(count, fee=10**16)
    chain = anvil_bridge.ports.chain
    with pytest.MonkeyPatch.context() as patch:
        outage = RpcUnavailable("no RPC node of L1 answered")
        patch.setattr(chain, "broadcast", lambda raws: [outage] * len(raws))
        anvil_bridge.transfer(keys)
    assert {anvil_bridge.order(key).status for key in keys} == {Status.TRANSFERRING}
    anvil_bridge.now += timedelta(seconds=seconds)
    return keys


def known(anvil_bridge: AnvilBridge, keys: list[str]) -> list[bool]:
    """Return which first transfers some node has."""
    hashes = [anvil_bridge.store.outbox.of(key)[0].hash for key in keys]
    return anvil_bridge.ports.chain.known_by_node(hashes)


def end(anvil_bridge: AnvilBridge) -> None:
    """Let the bot do all that it does about the lane, until no nonce is open."""
    for _ in range(6):
        anvil_bridge.look()
        anvil_bridge.replace_stuck(anvil_bridge.bridge.rules.stuck_after_seconds + 1)
        anvil_bridge.mine()
    assert anvil_bridge.store.outbox.in_flight() == []


def test_a_late_transfer_that_is_still_wanted_goes_out_at_the_first_look(
    anvil_bridge: AnvilBridge,
) -> None:
    keys = stored(anvil_bridge, 3)
    anvil_bridge.look()
    assert known(anvil_bridge, keys) == [True] * 3
    anvil_bridge.mine()
    assert [anvil_bridge.paid(key) for key in keys] == [1] * 3


def test_an_order_that_the_l2_took_back_meanwhile_is_not_paid_late(
    anvil_bridge: AnvilBridge,
) -> None:
    (gone,) = stored(anvil_bridge)
    anvil_bridge.ports.reorg_l2(1)
    for _ in range(3):
        steps.process_receipts(anvil_bridge.bridge, anvil_bridge.run)
        anvil_bridge.ports.mine()
        anvil_bridge.now += timedelta(seconds=20)
    assert known(anvil_bridge, [gone]) == [False]
    end(anvil_bridge)
    assert anvil_bridge.paid(gone) == 0
    assert any("is not sent now, OrderAbsent" in line for line in anvil_bridge.logged)


def test_an_order_that_somebody_filled_meanwhile_is_not_paid_late(
    anvil_bridge: AnvilBridge,
) -> None:
    (filled, other) = stored(anvil_bridge, 2)
    order = anvil_bridge.order(filled)
    devnet = anvil_bridge.ports.devnet
    call = devnet.transfer(order.number, int(order.recipient, 16))
    send(call, sender=devnet.deployment.l1.owner, value=order.amount)
    anvil_bridge.mine()
    assert known(anvil_bridge, [filled, other]) == [False, True]
    end(anvil_bridge)
    anvil_bridge.retry()
    assert anvil_bridge.paid(filled) == 0
    assert anvil_bridge.paid(other) == 1
    assert anvil_bridge.order(filled).status in (Status.FULFILLED, Status.PROVING)


@pytest.mark.parametrize("seconds", [0, LATE_SECONDS + 1])
def test_nothing_stored_goes_out_while_halted_and_all_are_paid_once_afterwards(
    anvil_bridge: AnvilBridge, seconds: float
) -> None:
    keys = stored(anvil_bridge, 2, seconds)
    guard.halt(anvil_bridge.bridge, GLOBAL, by="Ann", reason="a look")
    anvil_bridge.look()
    assert known(anvil_bridge, keys) == [False] * 2
    end(anvil_bridge)
    assert [anvil_bridge.paid(key) for key in keys] == [0] * 2
    guard.resume(anvil_bridge.bridge, GLOBAL, by="Ann", reason="all is well")
    anvil_bridge.retry()
    anvil_bridge.mine()
    assert [anvil_bridge.paid(key) for key in keys] == [1] * 2


def test_a_short_outage_asks_nothing_again(
    anvil_bridge: AnvilBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = stored(anvil_bridge, 2, LATE_SECONDS - 1)

    def check(_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(anvil_bridge.ports.origin, "check", check)
    anvil_bridge.look()
    assert known(anvil_bridge, keys) == [True] * 2


def claimed(anvil_bridge: AnvilBridge) -> str:
    """Store a claim while no node takes anything, and let time pass."""
    (key,) = anvil_bridge.find(fee=10**16)
    anvil_bridge.transfer([key])
    anvil_bridge.mine()
    with pytest.MonkeyPatch.context() as patch:
        outage = RpcUnavailable("no RPC node of L1 answered")
        patch.setattr(anvil_bridge.ports.chain, "broadcast", lambda raws: [outage] * len(raws))
        anvil_bridge.repay([key])
    assert anvil_bridge.order(key).status is Status.PROVING
    anvil_bridge.now += timedelta(seconds=LATE_SECONDS + 1)
    return key


def has_claim(anvil_bridge: AnvilBridge, key: str) -> bool:
    (row,) = (t for t in anvil_bridge.store.outbox.of(key) if t.purpose == "repay")
    return anvil_bridge.ports.chain.known_by_node([row.hash]) == [True]


def test_a_late_claim_spends_no_message_on_a_paused_escrow(anvil_bridge: AnvilBridge) -> None:
    key = claimed(anvil_bridge)
    anvil_bridge.ports.pause()
    anvil_bridge.look()
    assert not has_claim(anvil_bridge, key)
    assert any("is not sent now, EscrowPaused" in line for line in anvil_bridge.logged)
    devnet = anvil_bridge.ports.devnet
    send(devnet.escrow.functions.unpause(), sender=devnet.deployment.zksync.owner)
    anvil_bridge.now += timedelta(seconds=20)
    anvil_bridge.look()
    anvil_bridge.mine()
    anvil_bridge.settle()
    assert anvil_bridge.order(key).status is Status.COMPLETED


def test_a_late_claim_pays_no_other_wallet_that_the_escrow_names_by_now(
    anvil_bridge: AnvilBridge,
) -> None:
    key = claimed(anvil_bridge)
    anvil_bridge.ports.pay_elsewhere()
    anvil_bridge.look()
    assert not has_claim(anvil_bridge, key)
    assert any("is not sent now, EscrowNotOurs" in line for line in anvil_bridge.logged)


def test_a_late_claim_goes_out_where_its_l2_cannot_be_asked(
    anvil_bridge: AnvilBridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = claimed(anvil_bridge)

    def away(*_: object) -> None:
        raise RpcUnavailable("no RPC node of zksync answered")

    monkeypatch.setattr(anvil_bridge.ports.origin, "claims", away)
    anvil_bridge.look()
    assert has_claim(anvil_bridge, key)
