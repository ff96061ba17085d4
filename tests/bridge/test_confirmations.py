"""An order is paid only with enough blocks of its L2 on top of its own."""

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.confirmations import ConfirmationTier
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Wei
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import AMOUNT, at


def asked(harness: BridgeHarness) -> list[str]:
    unpaid = [Status.PENDING, Status.PROCESSING]
    return [order.key for order in steps.take_orders(harness.bridge, unpaid, "zksync")]


def test_an_order_waits_for_blocks_on_top_by_its_size(harness: BridgeHarness) -> None:
    harness.rules(
        confirmations=(ConfirmationTier(Wei(AMOUNT), 2), ConfirmationTier(Wei(5 * AMOUNT), 4))
    )
    for amount in (AMOUNT - 1, AMOUNT, 5 * AMOUNT):
        harness.set_and_detect(amount=amount)
    keys = ["zksync:0", "zksync:1", "zksync:2"]
    assert asked(harness) == keys[:1]
    harness.transfer(keys)
    assert [harness.order(key).status for key in keys] == [
        Status.TRANSFERRING,
        Status.PENDING,
        Status.PENDING,
    ]
    assert not any(harness.order(key).failed for key in keys)
    assert f"{keys[1]}: waits, 1 of 2 blocks are on top of its own" in harness.logged
    assert harness.order(keys[2]).reason == "waiting: 4 blocks must stand on top of its own"
    harness.l2.mine()
    assert asked(harness) == keys[1:2]
    harness.l2.mine(3)
    assert asked(harness) == keys[2:]
    harness.transfer(keys)
    assert set(harness.statuses().values()) == {Status.TRANSFERRING}
    assert [harness.store.errors.of(key) for key in keys] == [[], [], []]


def test_a_large_order_waits_until_l1_has_its_block(harness: BridgeHarness) -> None:
    harness.rules(
        confirmations=(ConfirmationTier(Wei(0), 1), ConfirmationTier(Wei(5 * AMOUNT), None))
    )
    for amount in (AMOUNT, 5 * AMOUNT):
        harness.set_and_detect(amount=amount)
    small, large = keys = ["zksync:0", "zksync:1"]
    harness.l2.mine(harness.l2.final_depth - 1)
    assert asked(harness) == [small]
    harness.transfer(keys)
    assert harness.order(small).status is Status.TRANSFERRING
    assert harness.order(large).reason == "waiting: L1 must accept its block"
    final, block = harness.l2.final().number, harness.order(large).block.number
    assert final == block - 1
    assert f"{large}: waits, L1 has accepted {final}, not yet its block {block}" in harness.logged
    assert (harness.order(large).failed, harness.store.errors.of(large)) == (False, [])
    harness.l2.mine()
    assert asked(harness) == [large]
    harness.transfer(keys)
    assert harness.order(large).status is Status.TRANSFERRING


def test_an_order_of_an_unsealed_block_is_not_final(harness: BridgeHarness) -> None:
    harness.rules(confirmations=(ConfirmationTier(Wei(0), None),))
    harness.l2.final_depth = 0
    harness.l2.show(1)
    (key,) = harness.detect()
    assert asked(harness) == []
    harness.transfer([key])
    assert harness.order(key).status is Status.PENDING
    harness.l2.seal()
    harness.detect()
    assert asked(harness) == [key]


def test_a_moved_order_waits_again(harness: BridgeHarness) -> None:
    harness.rules(confirmations=(ConfirmationTier(Wei(0), 3),))
    logged = at(harness, Status.PENDING)
    harness.l2.mine(3)
    harness.l2.reorg(4)
    harness.l2.put([logged])
    harness.transfer([logged.key])
    assert harness.order(logged.key).status is not Status.TRANSFERRING
    harness.l2.mine(3)
    harness.transfer([logged.key])
    assert harness.order(logged.key).status is Status.TRANSFERRING


def test_an_order_of_an_unsealed_block_waits_for_its_blocks(harness: BridgeHarness) -> None:
    harness.rules(confirmations=(ConfirmationTier(Wei(0), 1),))
    harness.l2.show(1)
    (key,) = harness.detect()
    assert asked(harness) == []
    harness.transfer([key])
    assert harness.order(key).status is not Status.TRANSFERRING
    sealed = harness.l2.seal()
    harness.detect()
    assert harness.order(key).block == sealed
    assert asked(harness) == []
    harness.l2.mine()
    assert asked(harness) == [key]
    harness.transfer([key])
    assert harness.order(key).status is Status.TRANSFERRING


def test_without_tiers_an_unsealed_order_is_paid_at_once(harness: BridgeHarness) -> None:
    harness.l2.show(1)
    (key,) = harness.detect()
    assert asked(harness) == [key]
    harness.transfer([key])
    assert harness.order(key).status is Status.TRANSFERRING
