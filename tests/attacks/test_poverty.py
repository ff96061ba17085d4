"""A wallet that is empty, or nearly: whatever waits for ETH stays healthy and goes on alone."""

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.conditions import Thresholds, picture
from mmbot_pipelines.bridge.facts import look
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.alerts import Alert
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Wei
from tests.bridge.guarding import state, thresholds
from tests.bridge.world import World
from tests.ports.chain_memory import ETH, WALLET
from tests.ports.daemons_memory import DaemonsMemory
from tests.ports.records_memory import RecordsMemory

UNPAID = (Status.PENDING, Status.PROCESSING)
GWEI = 10**9
FUNDS = "waits: the wallet has too little ETH"
FLOOR = "waits: it would take the wallet under MMBOT_MIN_BALANCE_WEI"


def alerts(world: World, floor: int = 0) -> list[Alert]:
    facts = look(world.bridge, RecordsMemory(world.store), DaemonsMemory())
    limits = Thresholds(max_exposure=None, min_balance=Wei(floor), undelivered_after_seconds=10**9)
    return list(picture(facts, limits).alerts)


def half_an_hour(world: World) -> None:
    """Let the sensors and the retry do what they do, again and again."""
    for _ in range(30):
        world.later(60)
        world.transfer([o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")])
        world.repay([o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])])
        steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
        steps.guard(world.bridge, world.run)


def test_an_empty_wallet_parks_nobody_and_all_are_paid_after_the_refill(world: World) -> None:
    keys = world.set_and_detect(5)
    world.chain.endowment = 0
    half_an_hour(world)
    orders = [world.order(key) for key in keys]
    assert {(o.failed, o.failures, o.reason) for o in orders} == {(False, 0, FUNDS)}
    assert [world.store.errors(key) for key in keys] == [[]] * 5
    assert str(state(world)) == "NORMAL"
    (alert,) = alerts(world)
    needs = sum(o.amount + o.fee for o in orders)
    assert (alert.key, WALLET in alert.text) == ("wallet-short", True)
    assert f"send at least {needs / ETH:g} ETH ({needs} wei)" in alert.text
    world.chain.endowment = ETH
    world.later(60)
    world.transfer([o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")])
    world.mine()
    assert [world.paid(key) for key in keys] == [1] * 5
    assert alerts(world) == []


def test_claims_of_an_empty_wallet_wait_and_go_out_after_the_refill(world: World) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.mine()
    world.chain.endowment -= world.chain.balance()
    half_an_hour(world)
    order = world.order(key)
    assert (order.status, order.failed, order.reason) == (Status.FULFILLED, False, FUNDS)
    (alert,) = alerts(world)
    assert (alert.key, "1 order waits for ETH" in alert.text) == ("wallet-short", True)
    world.chain.endowment += ETH
    world.later(60)
    world.repay([o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])])
    world.mine()
    assert world.order(key).status is Status.PROVED


def test_an_order_that_failed_before_waits_healthy_too(world: World) -> None:
    (key,) = world.set_and_detect()
    world.l2.fault = RpcRefused("no such method")
    world.failing(lambda: world.transfer([key]))
    assert world.order(key).failed
    world.l2.fault = None
    world.chain.endowment = 0
    half_an_hour(world)
    order = world.order(key)
    assert (order.failed, order.next_attempt_at, order.reason) == (False, None, FUNDS)


def test_a_transfer_that_would_reach_under_the_floor_waits_and_claims_go_on(world: World) -> None:
    floor = ETH // 2
    thresholds(world, min_balance=Wei(floor))
    world.chain.endowment = floor + 35 * 10**15  # room for three of four transfers
    keys = world.set_and_detect(4, amount=10**16)
    half_an_hour(world)
    waiting = [o.key for o in map(world.order, keys) if o.reason == FLOOR and not o.failed]
    assert len(waiting) == 1
    world.mine()
    paid = [key for key in keys if world.paid(key)]
    assert sorted([*paid, *waiting]) == sorted(keys)
    assert world.chain.balance() >= floor
    assert [alert.key for alert in alerts(world, floor)] == ["wallet-short"]
    world.chain.endowment -= world.chain.balance() - floor  # as far down as it may go
    half_an_hour(world)
    world.mine()
    assert {world.order(key).status for key in paid} == {Status.PROVED}
    assert world.chain.balance() < floor


def test_no_first_claim_is_sent_whose_gas_costs_what_it_brings(world: World) -> None:
    (key,) = world.set_and_detect(amount=10**15, fee=8 * 10**14)
    world.transfer([key])
    world.mine()
    world.chain.base_fee = 300 * GWEI  # 125 k gas cost 0.04 ETH, 0.0018 ETH come back
    half_an_hour(world)
    order = world.order(key)
    assert (order.status, order.failed) == (Status.FULFILLED, False)
    assert order.reason == "waits: its claim would cost what it brings"
    assert len(world.store.transactions(key)) == 1
    world.chain.base_fee = GWEI
    world.later(60)
    world.repay([o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])])
    world.mine()
    assert world.order(key).status is Status.PROVED
