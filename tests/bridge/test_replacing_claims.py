"""Claims that are stuck: what they are worth, and when they are replaced."""

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.safety import GLOBAL, halt
from tests.bridge.harness import BridgeHarness
from tests.bridge.transfers import GWEI, rows, transferring
from tests.ports.store_writes import decided, held


def test_a_claim_is_worth_what_is_owed_and_carries_its_message(harness: BridgeHarness) -> None:
    (key,) = transferring(harness, fee=8 * 10**14)
    harness.mine()
    harness.repay([key])
    harness.chain.base_fee = 40 * GWEI  # far beyond the margin
    harness.replace_stuck()
    _, first, second = rows(harness, key)
    assert (second.purpose, second.nonce) == ("repay", first.nonce)
    assert second.call.value > first.call.value  # the message costs more at this price
    harness.mine()
    order = harness.order(key)
    assert (order.status, order.claim_tx) == (Status.PROVED, second.hash)


def test_a_claim_that_costs_more_than_is_owed_waits(harness: BridgeHarness) -> None:
    (key,) = transferring(harness, amount=10**12, fee=8 * 10**14)
    harness.mine()
    harness.repay([key])
    harness.chain.base_fee = 400 * GWEI
    harness.later(61)
    with held(harness.store, harness.chain.chain_id, harness.chain.wallet):  # others may sign
        harness.replace_stuck()
    assert len(rows(harness, key)) == 2
    assert harness.logged[-1].endswith("nonce 1 waiting: required fee exceeds the order's margin")
    harness.chain.base_fee = GWEI
    harness.mine()
    assert harness.order(key).status is Status.PROVED


def test_a_stuck_claim_is_replaced_while_halted(harness: BridgeHarness) -> None:
    (key,) = transferring(harness)
    harness.mine()
    harness.repay([key])
    decided(halt, harness.store, GLOBAL, by="ann", reason="x", at=harness.now)
    harness.chain.base_fee = 5 * GWEI
    harness.mine()
    harness.replace_stuck()
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    assert rows(harness, key)[-1].bump == 1
