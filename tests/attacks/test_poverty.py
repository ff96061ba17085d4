"""A wallet that is empty, or nearly: whatever waits for ETH stays healthy and goes on alone."""

from collections.abc import Sequence

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.alerts import Alert
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Wei
from tests.bridge.guard_steps import state, thresholds
from tests.bridge.harness import BridgeHarness
from tests.ports.chain_memory import ETH, WALLET

UNPAID = (Status.PENDING, Status.PROCESSING)
GWEI = 10**9
FUNDS = "waiting: the wallet has too little ETH"
FLOOR = "waiting: it would take the wallet under MMBOT_MIN_BALANCE_WEI"


def alerts(harness: BridgeHarness, floor: int = 0) -> Sequence[Alert]:
    return harness.alerts(min_balance=Wei(floor), undelivered_after_seconds=10**9).alerts


def half_an_hour(harness: BridgeHarness) -> None:
    """Let the sensors and the retry do what they do, again and again."""
    for _ in range(30):
        harness.later(60)
        harness.transfer([o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")])
        harness.repay([o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])])
        steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
        steps.guard(harness.bridge, harness.run)


def test_an_empty_wallet_parks_nobody_and_all_are_paid_after_the_refill(
    harness: BridgeHarness,
) -> None:
    keys = harness.set_and_detect(5)
    harness.chain.endowment = 0
    half_an_hour(harness)
    orders = [harness.order(key) for key in keys]
    assert {(o.failed, o.failures, o.reason) for o in orders} == {(False, 0, FUNDS)}
    assert [harness.store.errors.of(key) for key in keys] == [[]] * 5
    assert str(state(harness)) == "NORMAL"
    (alert,) = alerts(harness)
    needs = sum(o.amount + o.fee for o in orders)
    assert (alert.key, WALLET in alert.text) == ("wallet-short", True)
    assert f"send at least {needs / ETH:g} ETH ({needs} wei)" in alert.text
    harness.chain.endowment = ETH
    harness.later(60)
    harness.transfer([o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")])
    harness.mine()
    assert [harness.paid(key) for key in keys] == [1] * 5
    assert alerts(harness) == []


def test_claims_of_an_empty_wallet_wait_and_go_out_after_the_refill(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    harness.chain.endowment -= harness.chain.balance()
    half_an_hour(harness)
    order = harness.order(key)
    assert (order.status, order.failed, order.reason) == (Status.FULFILLED, False, FUNDS)
    (alert,) = alerts(harness)
    assert (alert.key, "1 order waits for ETH" in alert.text) == ("wallet-short", True)
    harness.chain.endowment += ETH
    harness.later(60)
    harness.repay([o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])])
    harness.mine()
    assert harness.order(key).status is Status.PROVED


def test_an_order_that_failed_before_waits_healthy_too(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.l2.fault = RpcRefused("no such method")
    harness.failing(lambda: harness.transfer([key]))
    assert harness.order(key).failed
    harness.l2.fault = None
    harness.chain.endowment = 0
    half_an_hour(harness)
    order = harness.order(key)
    assert (order.failed, order.next_attempt_at, order.reason) == (False, None, FUNDS)


def test_a_transfer_that_would_reach_under_the_floor_waits_and_claims_go_on(
    harness: BridgeHarness,
) -> None:
    floor = ETH // 2
    thresholds(harness, min_balance=Wei(floor))
    harness.chain.endowment = floor + 35 * 10**15  # room for three of four transfers
    keys = harness.set_and_detect(4, amount=10**16)
    half_an_hour(harness)
    waiting = [o.key for o in map(harness.order, keys) if o.reason == FLOOR and not o.failed]
    assert len(waiting) == 1
    harness.mine()
    paid = [key for key in keys if harness.paid(key)]
    assert sorted([*paid, *waiting]) == sorted(keys)
    assert harness.chain.balance() >= floor
    assert [alert.key for alert in alerts(harness, floor)] == ["wallet-short"]
    harness.chain.endowment -= harness.chain.balance() - floor  # as far down as it may go
    half_an_hour(harness)
    harness.mine()
    assert {harness.order(key).status for key in paid} == {Status.PROVED}
    assert harness.chain.balance() < floor


def test_no_first_claim_is_sent_whose_gas_costs_what_it_brings(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect(amount=10**15, fee=8 * 10**14)
    harness.transfer([key])
    harness.mine()
    harness.chain.base_fee = 300 * GWEI  # 125 k gas cost 0.04 ETH, 0.0018 ETH come back
    half_an_hour(harness)
    order = harness.order(key)
    assert (order.status, order.failed) == (Status.FULFILLED, False)
    assert order.reason == "waiting: its claim would cost what it brings"
    assert len(harness.store.outbox.of(key)) == 1
    harness.chain.base_fee = GWEI
    harness.later(60)
    harness.repay([o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])])
    harness.mine()
    assert harness.order(key).status is Status.PROVED
