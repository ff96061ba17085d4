"""How the Starknet adapter reads orders, blocks and payments of a node."""

from datetime import UTC, datetime, timedelta

import pytest

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet import events, origin
from mmbot_pipelines.bridge.orders.escrow_errors import EscrowMismatch, OrderAbsent
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import RetryPolicy, RpcUnavailable
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.devnet.accounts import account
from tests.adapters.rpc.fake_node import NOBODY
from tests.ports.port_harness import claim, pay
from tests.ports.starknet_ports import StarknetPorts


def test_an_order_is_seen_before_its_block_is_sealed(ports: StarknetPorts) -> None:
    head = ports.origin.head(Cursor.LATEST)
    (number,) = ports.show(1, amount=7, fee=3)
    (order,) = ports.origin.unsealed(head).orders
    assert (order.number, order.amount, order.fee) == (number, 7, 3)
    assert order.block == Block(head.number + 1, "pre_confirmed")
    assert ports.origin.scan(0, head.number).orders == []
    assert ports.origin.check([order]) == [None]
    ports.mine_l2(1)
    (sealed,) = ports.origin.scan(head.number + 1, head.number + 1).orders
    assert sealed.block == ports.origin.head(Cursor.LATEST)
    assert (sealed.key, sealed.set_order_tx) == (order.key, order.set_order_tx)
    assert ports.origin.unsealed(sealed.block).orders == []


def test_an_order_whose_unsealed_block_is_dropped_is_absent(ports: StarknetPorts) -> None:
    head = ports.origin.head(Cursor.LATEST)
    ports.show(1)
    (order,) = ports.origin.unsealed(head).orders
    ports.node.reorg(0)
    (failure,) = ports.origin.check([order])
    assert isinstance(failure, OrderAbsent)
    assert OrderAbsent.retry_policy is RetryPolicy.LATER


def test_another_order_under_a_dropped_ones_id_is_not_taken_for_it(ports: StarknetPorts) -> None:
    head = ports.origin.head(Cursor.LATEST)
    ports.show(1, amount=7)
    (order,) = ports.origin.unsealed(head).orders
    ports.node.reorg(0)
    ports.show(1, amount=8)
    (failure,) = ports.origin.check([order])
    assert isinstance(failure, EscrowMismatch)


def test_pages_and_the_reading_behind_the_head_lose_nothing(
    ports: StarknetPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_PAGE", 4)
    for _ in range(3):
        ports.set_orders(6)
    head = ports.origin.head(Cursor.LATEST)
    assert [o.number for o in ports.origin.scan(0, head.number).orders] == list(range(18))
    ports.show(9)
    assert [o.number for o in ports.origin.unsealed(head).orders] == list(range(18, 27))


def test_malformed_events_of_any_shape_are_faults(ports: StarknetPorts) -> None:
    key = abi.SET_ORDER
    good = [0, 0, 5, 1, 0, 1, 0]
    for keys, data in [([key, 1], good), ([key], []), ([key], [*good[:2], 2**160, *good[3:]])]:
        ports.node.emit(keys, data)
    ports.node.emit([1], [])  # another event altogether
    ports.set_orders(1)
    scan = ports.origin.scan(0, ports.origin.head(Cursor.LATEST).number)
    assert len(scan.orders) == 1
    assert [fault.kind for fault in scan.faults] == ["Malformed"] * 3
    assert len({fault.subject for fault in scan.faults}) == 3


def test_the_next_url_serves_when_the_first_does_not(ports: StarknetPorts) -> None:
    orders = ports.set_orders(2)
    rpc = ports.client(NOBODY, ports.node.url)
    assert ports.starknet(rpc, ports.by_message).check(orders) == [None, None]
    with pytest.raises(RpcUnavailable, match=r"127\.0\.0\.1:1 unreachable"):
        ports.starknet(ports.client(NOBODY), ports.by_message).check(orders)


def test_blocks_and_heights(ports: StarknetPorts) -> None:
    ports.mine_l2(15)
    head = ports.origin.head(Cursor.LATEST)
    assert ports.origin.final().number == head.number - 10
    before = ports.origin.blocks([head.number, head.number + 1, 3])
    assert before[0] == head
    assert before[1] is None
    ports.reorg_l2(2)
    after = ports.origin.blocks([head.number, head.number + 1, 3])
    assert after[0] != head
    assert after[2] == before[2]


def test_the_newest_blocks_time_is_reported(ports: StarknetPorts) -> None:
    ports.mine_l2(1)
    age = datetime.now(UTC) - ports.l2.newest_block()
    assert timedelta(seconds=-2) < age < timedelta(minutes=1)


def test_a_wallet_or_registry_of_others_names_both_and_the_setting(ports: StarknetPorts) -> None:
    (order,) = ports.set_orders(1)
    other = ports.starknet(ports.l2, ports.by_message, wallet=Address("0x5"))
    (failure,) = other.check([order])
    assert str(failure).endswith("but MMBOT_STARKNET_WALLET_ADDRESS is 0x5")
    stranger = Address(account(5).address)
    ports.node.store("registry", value=int(stranger, 16))
    (failure,) = ports.origin.check([order])
    assert str(failure) == (
        f"the escrow {ports.deployed.escrow} obeys {stranger}, "
        f"but MMBOT_L1_REGISTRY_ADDRESS is {ports.registry.address}"
    )


def test_payments_long_ago_are_found_too(
    ports: StarknetPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "_NEAR", 3)
    old = ports.set_orders(2)
    pay(ports, old[:1])
    claim(ports, old[:1])
    ports.deliver()
    ports.mine_l2(30)
    new = ports.set_orders(1)
    pay(ports, new)
    claim(ports, new)
    ports.deliver()
    first, none, last = ports.origin.settled([*old, *new])
    assert first is not None
    assert none is None
    assert last is not None
    assert first != last


def test_a_burst_of_orders_is_read_checked_and_settled(ports: StarknetPorts) -> None:
    orders = ports.set_orders(30)
    assert ports.origin.check(orders) == [None] * 30
    pay(ports, orders)
    claim(ports, orders)
    ports.deliver()
    assert len({tx for tx in ports.origin.settled(orders) if tx}) == 30
