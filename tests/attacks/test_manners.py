"""What never ends is asked for rarely, and keeps nobody else waiting."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from mmbot_pipelines.adapters.bridge import registry as registry_adapter
from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.registry_abi import V1
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.poll_schedule import MAX_ORDERS, PAGE, PollSchedule
from mmbot_pipelines.bridge.ports.chains import Progress, Settlement
from mmbot_pipelines.core.errors import Failure
from tests.adapters.bridge import test_registry as on_l1
from tests.adapters.bridge.zksync import test_origin as on_zksync
from tests.adapters.rpc.fake_node import FakeNode, fake_node, word
from tests.bridge.harness import BridgeHarness
from tests.bridge.orders import NOON, an_order

# --- unsettled orders


@pytest.mark.parametrize(
    ("age", "looks"),
    [(0, 120), (400, 10), (2 * 3600, 2)],  # in ten minutes, a look every 5 seconds
)
def test_an_unsettled_order_is_asked_for_less_often_with_its_age(age: int, looks: int) -> None:
    poll_schedule, order = (
        PollSchedule(),
        replace(an_order(), changed_at=NOON - timedelta(seconds=age)),
    )
    times = [NOON + timedelta(seconds=5 * look) for look in range(120)]
    asked = sum(poll_schedule.due([order], at) == [order] for at in times)
    assert asked == looks if age else 60 < asked < 70


def test_every_order_gets_its_turn_among_many() -> None:
    poll_schedule, orders = PollSchedule(), [an_order(number) for number in range(3 * MAX_ORDERS)]
    asked = [
        {order.key for order in poll_schedule.due(orders, NOON + timedelta(seconds=look))}
        for look in range(3)
    ]
    assert [len(keys) for keys in asked] == [MAX_ORDERS] * 3
    assert len(set().union(*asked)) == 3 * MAX_ORDERS


def test_many_claims_are_read_by_pages_and_none_is_forgotten(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = harness.now - timedelta(days=1)
    for number in range(5 * PAGE):
        at = long_ago + timedelta(seconds=number // 3)
        order = replace(an_order(number), status=Status.PROVED, changed_at=at)
        harness.put(order)
    read, asked = [], set()
    claimed = harness.store.orders.claimed

    def counted(origin: str, **how: object) -> list[Order]:
        found = claimed(origin, **how)
        read.append(len(found))
        return found

    def settled(orders: list[Order]) -> list[None]:
        asked.update(order.key for order in orders)
        return [None] * len(orders)

    monkeypatch.setattr(harness.store.orders, "claimed", counted)
    monkeypatch.setattr(harness.l2, "settled", settled)
    monkeypatch.setattr(harness.l2, "progress", lambda orders: [Progress()] * len(orders))
    looks = 5 * PAGE // MAX_ORDERS + 5
    for _ in range(looks):
        harness.settle()
        harness.later(0.25)
    assert len(asked) == 5 * PAGE
    assert sum(read) <= looks * 2 * PAGE


def test_a_claim_that_never_arrives_is_asked_for_every_five_minutes(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    harness.repay([key])
    harness.mine()
    harness.later(2 * 3600)
    questions: list[int] = []
    settled = harness.l2.settled

    def counted(orders: list[Order]) -> list[Settlement | Failure | None]:
        questions.append(len(orders))
        return settled(orders)

    monkeypatch.setattr(harness.l2, "settled", counted)
    for _ in range(100):
        harness.settle()
        harness.later(5)
    assert sum(questions) == 2
    harness.l2.pay(harness.order(key).number)
    harness.later(300)
    assert harness.settle() == [key]


# --- the transaction of a used key


def test_a_long_search_keeps_no_neighbour_waiting_and_goes_on(harness: BridgeHarness) -> None:
    first, second = harness.set_and_detect(2)
    by_another_program(harness, first)
    harness.registry.slow = 4
    harness.transfer([first, second])
    assert harness.order(second).status is Status.TRANSFERRING
    for below in (4, 3, 2, 1):
        order = harness.order(first)
        assert (order.status, order.failed, order.searched_below) == (
            Status.PENDING,
            False,
            below,
        )
        assert order.reason == "waiting: it is paid already, its transaction is searched for"
        harness.transfer([first])
    order = harness.order(first)
    assert order.status is Status.FULFILLED
    assert order.transfer_tx is not None
    assert (order.searched_below, order.reason) == (
        None,
        "the registry has this transfer already",
    )


def test_many_used_keys_are_searched_for_by_turns(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(8)
    for key in keys:
        by_another_program(harness, key)
    harness.transfer(keys)
    assert [harness.order(key).status for key in keys] == [Status.FULFILLED] * 5 + [
        Status.PENDING
    ] * 3
    harness.transfer(keys)
    assert {harness.order(key).status for key in keys} == {Status.FULFILLED}


def by_another_program(harness: BridgeHarness, key: str) -> None:
    """Pay an order past the bot."""
    harness.chain.elsewhere(harness.registry.transfer(harness.order(key)))


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with fake_node() as served:
        yield served


def test_one_search_reads_a_bounded_number_of_blocks(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_adapter, "_SEARCHED_AT_ONCE", 2000)
    chain = on_l1.Transfers(node, V1)  # head 5000, the payment is in block 321
    rpc = Rpc([node.url], chain="L1", chain_id=1)
    registry = PaymentRegistry(rpc, on_l1.REGISTRY, start_block=0)
    reached = registry.paid_in(on_l1.ORDER)
    assert reached == 3001
    assert min(first for first, _ in chain.ranges) == 3001
    assert isinstance(reached, int)
    again = registry.paid_in(on_l1.ORDER, below=reached)
    assert again == 1001
    chain.ranges.clear()
    assert registry.paid_in(on_l1.ORDER, below=1001) == word(321)
    assert max(last for _, last in chain.ranges) == 1000


# --- an order that nobody paid, and that is not pending

l2, l1, origin, claimed = (on_zksync.l2, on_zksync.l1, on_zksync.origin, on_zksync.claimed)


def test_an_order_that_nobody_paid_is_not_searched_from_its_block_on_at_every_look(
    claimed: on_zksync.EscrowNode, origin: ZkSyncOrigin
) -> None:
    claimed.head = 50_000
    assert origin.settled([on_zksync.ORDER]) == [None]
    assert min(first for first, _ in claimed.ranges) == on_zksync.ORDER.block.number
    claimed.ranges.clear()
    claimed.head = 50_007
    claimed.events = {50_005: on_zksync.paid(1000)}
    assert origin.settled([on_zksync.ORDER]) == [on_zksync.paid_in(50_005)]
    assert sum(last - first + 1 for first, last in claimed.ranges) < 200
