"""How the Starknet adapter reads orders, blocks and payments of a node."""

from datetime import UTC, datetime, timedelta

import pytest

from mmbot_pipelines.adapters.origins import starknet, starknet_age, starknet_events
from mmbot_pipelines.adapters.origins import starknet_escrow as abi
from mmbot_pipelines.bridge.escrow_faults import EscrowDisagrees, OrderAbsent
from mmbot_pipelines.bridge.ports import Cursor
from mmbot_pipelines.core.errors import RpcUnavailable, Verdict
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.starknet.felt import felt, felts
from tests.adapters.ethereum.fake_node import NOBODY
from tests.ports.stages import claim, pay
from tests.ports.starknet_stage import StarknetStage


def test_an_order_is_seen_before_its_block_is_sealed(stage: StarknetStage) -> None:
    head = stage.origin.head(Cursor.LATEST)
    (number,) = stage.show(1, amount=7, fee=3)
    (order,) = stage.origin.unsealed(head).orders
    assert (order.number, order.amount, order.fee) == (number, 7, 3)
    assert order.block == Block(head.number + 1, "pre_confirmed")
    assert stage.origin.scan(0, head.number).orders == []
    assert stage.origin.check([order]) == [None]
    stage.mine_l2(1)
    (sealed,) = stage.origin.scan(head.number + 1, head.number + 1).orders
    assert sealed.block == stage.origin.head(Cursor.LATEST)
    assert (sealed.key, sealed.set_order_tx) == (order.key, order.set_order_tx)
    assert stage.origin.unsealed(sealed.block).orders == []


def test_an_order_whose_unsealed_block_is_dropped_is_absent(stage: StarknetStage) -> None:
    head = stage.origin.head(Cursor.LATEST)
    stage.show(1)
    (order,) = stage.origin.unsealed(head).orders
    stage.node.devnet("reorg", depth=0)
    (failure,) = stage.origin.check([order])
    assert isinstance(failure, OrderAbsent)
    assert OrderAbsent.verdict is Verdict.LATER


def test_another_order_under_a_dropped_ones_id_is_not_taken_for_it(stage: StarknetStage) -> None:
    head = stage.origin.head(Cursor.LATEST)
    stage.show(1, amount=7)
    (order,) = stage.origin.unsealed(head).orders
    stage.node.devnet("reorg", depth=0)
    stage.show(1, amount=8)
    (failure,) = stage.origin.check([order])
    assert isinstance(failure, EscrowDisagrees)


def test_pages_and_the_reading_behind_the_head_lose_nothing(
    stage: StarknetStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starknet_events, "_PAGE", 4)
    for _ in range(3):
        stage.set_orders(6)
    head = stage.origin.head(Cursor.LATEST)
    assert [o.number for o in stage.origin.scan(0, head.number).orders] == list(range(18))
    stage.show(9)
    assert [o.number for o in stage.origin.unsealed(head).orders] == list(range(18, 27))


def test_malformed_events_of_any_shape_are_faults(stage: StarknetStage) -> None:
    key = felt(abi.SET_ORDER)
    good = [0, 0, 5, 1, 0, 1, 0]
    for keys, data in [([key, "0x1"], good), ([key], []), ([key], [*good[:2], 2**160, *good[3:]])]:
        stage.node.devnet("emitEvent", keys=keys, data=felts(data))
    stage.node.devnet("emitEvent", keys=["0x1"], data=[])  # another event altogether
    stage.set_orders(1)
    scan = stage.origin.scan(0, stage.origin.head(Cursor.LATEST).number)
    assert len(scan.orders) == 1
    assert [fault.kind for fault in scan.faults] == ["Malformed"] * 3
    assert len({fault.subject for fault in scan.faults}) == 3


def test_the_next_url_serves_when_the_first_does_not(stage: StarknetStage) -> None:
    orders = stage.set_orders(2)
    rpc = stage.client(NOBODY, stage.node.url)
    assert stage.starknet(rpc, stage.by_message).check(orders) == [None, None]
    with pytest.raises(RpcUnavailable, match=r"127\.0\.0\.1:1 unreachable"):
        stage.starknet(stage.client(NOBODY), stage.by_message).check(orders)


def test_blocks_and_heights(stage: StarknetStage) -> None:
    stage.mine_l2(15)
    head = stage.origin.head(Cursor.LATEST)
    assert stage.origin.final().number == head.number - 10
    before = stage.origin.blocks([head.number, head.number + 1, 3])
    assert before[0] == head
    assert before[1] is None
    stage.reorg_l2(2)
    after = stage.origin.blocks([head.number, head.number + 1, 3])
    assert after[0] != head
    assert after[2] == before[2]


def test_the_newest_blocks_time_is_told(stage: StarknetStage) -> None:
    stage.mine_l2(1)
    age = datetime.now(UTC) - starknet_age.newest_block(stage.l2)
    assert timedelta(seconds=-2) < age < timedelta(minutes=1)


def test_a_wallet_or_registry_of_others_names_both_and_the_setting(stage: StarknetStage) -> None:
    (order,) = stage.set_orders(1)
    other = stage.starknet(stage.l2, stage.by_message, wallet=Address("0x5"))
    (failure,) = other.check([order])
    assert str(failure).endswith("but MMBOT_STARKNET_WALLET_ADDRESS is 0x5")
    stranger = Address(account(5).address)
    stage.node.devnet("setRegistry", address=stranger)
    (failure,) = stage.origin.check([order])
    assert str(failure) == (
        f"the escrow {stage.deployed.escrow} obeys {stranger}, "
        f"but MMBOT_L1_REGISTRY_ADDRESS is {stage.registry.address}"
    )


def test_payments_long_ago_are_found_too(
    stage: StarknetStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starknet, "_NEAR", 3)
    old = stage.set_orders(2)
    pay(stage, old[:1])
    claim(stage, old[:1])
    stage.deliver()
    stage.mine_l2(30)
    new = stage.set_orders(1)
    pay(stage, new)
    claim(stage, new)
    stage.deliver()
    first, none, last = stage.origin.settled([*old, *new])
    assert first is not None
    assert none is None
    assert last is not None
    assert first != last


def test_a_burst_of_orders_is_read_checked_and_settled(stage: StarknetStage) -> None:
    orders = stage.set_orders(30)
    assert stage.origin.check(orders) == [None] * 30
    pay(stage, orders)
    claim(stage, orders)
    stage.deliver()
    assert len({tx for tx in stage.origin.settled(orders) if tx}) == 30
