"""What the steps pass on to chains and record in the store, to the letter."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.failures import BATCH_SIZE
from mmbot_pipelines.bridge.orders.escrow_errors import OrderAbsent
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.policy import Caps
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.bridge.sending.still_wanted import LATE_SECONDS
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import Block, Call, Fees
from tests.bridge.claim_batches import collecting
from tests.bridge.guard_steps import throttle
from tests.bridge.harness import BridgeHarness
from tests.bridge.test_claims_in_flight import reorg_transfer
from tests.bridge.test_l1_reorgs import finish, fulfilled, proved
from tests.bridge.transfers import transferring
from tests.ports.store_writes import change

AWAY = "L1: no node answered"


def test_a_claim_is_simulated_with_what_the_wallet_has(harness: BridgeHarness) -> None:
    (key,) = fulfilled(harness)
    has, given, simulate = harness.chain.balance(), [], harness.chain.simulate

    def spy(calls: Sequence[Call], fees: Fees, balance: Wei | None = None) -> list[Gas | Failure]:
        given.append((len(calls), fees, balance))
        return simulate(calls, fees, balance)

    harness.chain.simulate = spy
    harness.repay([key])
    assert given == [(1, harness.chain.fees(), has)]


def test_a_claim_that_is_mined_already_is_recorded_with_its_transaction(
    harness: BridgeHarness,
) -> None:
    key = proved(harness)
    claim = harness.store.outbox.of(key)[1].hash
    reorg_transfer(harness, key)
    steps.process_receipts(harness.bridge, harness.run)
    harness.repay([key])
    assert harness.order(key).claim_tx == claim
    newest = harness.store.orders.history(key)[-1]
    assert (newest.before, newest.after, newest.tx) == (Status.FULFILLED, Status.PROVED, claim)
    finish(harness)


@pytest.mark.parametrize("count", [1, 2, BATCH_SIZE + 1])
def test_an_outage_is_one_error_of_the_order_or_of_its_origin(
    harness: BridgeHarness, count: int
) -> None:
    keys = harness.set_and_detect(count)
    harness.chain.fault = RpcUnavailable(AWAY)
    logged = harness.failing(lambda: harness.transfer(keys))
    subject = keys[0] if count == 1 else "zksync"
    (error,) = harness.errors()
    assert error.fault == Fault(
        subject=subject, step="transfer", kind="RpcUnavailable", message=AWAY
    )
    assert logged.count(AWAY) == 1
    assert all(key in logged for key in keys)


def test_a_run_is_asked_for_where_the_newest_block_can_be_read(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(2)
    asked: list[Cursor] = []
    head = harness.l2.head

    def spy(kind: Cursor) -> Block:
        asked.append(kind)
        if len(asked) == 1:
            raise RpcUnavailable("zksync: no node answered")
        return head(kind)

    harness.l2.head = spy
    assert steps.take_orders(harness.bridge, [Status.PENDING], "zksync") == []
    # at once: it was given back
    again = steps.take_orders(harness.bridge, [Status.PENDING], "zksync")
    assert [order.key for order in again] == keys
    assert asked == [Cursor.LATEST] * 2


def test_what_was_not_sent_after_all_takes_nobodys_place(harness: BridgeHarness) -> None:
    """While THROTTLED a run sends two: one that has its transaction already is none of them."""
    harness.rules(caps=Caps(throttled_transfers=2))
    keys = harness.set_and_detect(3)
    harness.transfer(keys[:1])
    harness.mine()
    paid = harness.order(keys[0])
    again = replace(paid, status=Status.PROCESSING, transfer_tx=None)
    change(harness.store, paid, again, run_id="bug", at=harness.now)
    throttle(harness)
    harness.registry.used = lambda orders: [False] * len(orders)
    harness.chain.simulate = lambda calls, *_: [Gas(100_000)] * len(calls)
    harness.transfer(keys)
    assert any(f"{keys[0]}: transfer 1 or nonce" in line for line in harness.logged)
    assert [len(harness.store.outbox.of(key)) for key in keys] == [1, 1, 1]


@pytest.mark.parametrize("status", [Status.PENDING, Status.PROCESSING, Status.DROPPED])
def test_a_transfer_that_is_mined_pays_its_order_wherever_it_stands(
    harness: BridgeHarness, status: Status
) -> None:
    (key,) = transferring(harness)
    sent = harness.order(key)
    other = replace(sent, status=status, transfer_tx=None)
    change(harness.store, sent, other, run_id="other", at=harness.now)
    harness.mine()
    order = harness.order(key)
    assert (order.status, order.transfer_tx) == (Status.FULFILLED, sent.transfer_tx)
    assert (order.failed, harness.store.errors.of(key)) == (False, [])
    newest = harness.store.orders.history(key)[-1]
    assert (newest.before, newest.tx) == (status, sent.transfer_tx)
    assert harness.paid(key) == 1


def late_claims(harness: BridgeHarness, count: int) -> list[str]:
    """Let paid orders' claims be stored, and not sent for as long as makes them late."""
    keys = fulfilled(harness, count)
    harness.chain.broadcast_fault = RpcUnavailable("gone")
    harness.repay(keys)
    harness.later(LATE_SECONDS + 1)
    harness.chain.broadcast_fault = None
    return keys


@pytest.mark.parametrize("seconds", [LATE_SECONDS, LATE_SECONDS + 1])
def test_a_claim_is_not_sent_late_to_a_paused_escrow(
    harness: BridgeHarness, seconds: float
) -> None:
    keys = late_claims(harness, 2)
    harness.now = harness.store.outbox.of(keys[0])[1].stored_at
    harness.later(seconds)
    harness.l2.paused = True
    harness.look()
    is_late = seconds > LATE_SECONDS
    assert len(harness.chain.pool) == (0 if is_late else 2)
    for key in keys:
        line = f"{key}: {harness.store.outbox.of(key)[1].hash} is not sent now, EscrowPaused: "
        assert any(logged.startswith(line) for logged in harness.logged) is is_late
    harness.l2.paused = False
    finish(harness)


@pytest.mark.parametrize(
    ("fault", "sent"), [(RpcUnavailable("gone"), True), (OrderAbsent("not there"), False)]
)
def test_a_late_batch_goes_out_unless_one_of_its_orders_cannot_be_paid(
    fault: Failure, sent: bool
) -> None:
    harness = collecting()
    late_claims(harness, 3)
    harness.l2.check = lambda orders: [fault, *[None] * (len(orders) - 1)]
    harness.look()
    assert len(harness.chain.pool) == sent


def test_of_single_late_claims_nobody_asks_what_a_batch_is_asked(harness: BridgeHarness) -> None:
    late_claims(harness, 2)
    harness.l2.check = lambda orders: [OrderAbsent("not there")] * len(orders)
    harness.look()
    assert len(harness.chain.pool) == 2
