"""What throttles and halts the bridge, and what it does then."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.ports import Fault, Progress
from mmbot_pipelines.core.errors import Failure, RpcUnavailable, StoreUnavailable, Undelivered
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.safety import CALM_SECONDS, GLOBAL, NotDecided, State, of
from tests.bridge.world import World
from tests.ports.chain_memory import ETH
from tests.ports.origin_memory import OriginMemory

REJECTING = Address("0x00000000000000000000000000000000000000Fe")
UNPAID = [Status.PENDING, Status.PROCESSING]
QUARTER = 10**17 // 4


@pytest.fixture
def world() -> World:
    return World()


def state(world: World, scope: str = GLOBAL) -> State:
    return of(world.safety.standings(), scope).state


def why(world: World, scope: str = GLOBAL) -> str:
    return of(world.safety.standings(), scope).why


def thresholds(world: World, **changes: object) -> None:
    world.rules(thresholds=replace(world.bridge.rules.thresholds, **changes))


def halt(world: World, scope: str = GLOBAL) -> None:
    guard.halt(world.bridge, scope, by="Ann", reason="a look")


def throttle(world: World) -> None:
    """Throttle everything: the database is slow."""
    thresholds(world, slow_store=-1.0)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.THROTTLED


def revert(world: World, count: int) -> None:
    """Let `count` new orders be sent and revert when they are mined, one after the other."""
    world.chain.refuse(lambda _: True, "no", foreseen=False)
    for _ in range(count):
        world.later(1)
        world.transfer(world.set_and_detect())
        world.mine()
    world.chain.allow()


def complete(world: World) -> str:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.later(1)
    world.mine()
    assert world.order(key).status is Status.FULFILLED
    return key


# halting by itself


def test_failures_in_a_row_halt_at_once_and_without_a_tick(world: World) -> None:
    revert(world, 9)
    assert state(world) is State.NORMAL
    revert(world, 1)
    assert (state(world), why(world)) == (State.HALTED, "10 steps failed in a row")
    assert any(line.startswith("safety: global is HALTED since") for line in world.said)
    (change,) = world.safety.changes(9)
    assert (change.before, change.after, change.by) == (State.NORMAL, State.HALTED, "mmbot")


def test_a_success_in_between_begins_the_count_anew(world: World) -> None:
    thresholds(world, failure_percent=100)
    revert(world, 9)
    complete(world)
    revert(world, 9)
    assert state(world) is State.NORMAL


def test_many_failures_among_successes_throttle(world: World) -> None:
    for _ in range(5):
        revert(world, 1)
        complete(world)
    assert state(world) is State.NORMAL  # judged when the last one failed: 5 of 9
    revert(world, 1)
    assert (state(world), why(world)) == (State.THROTTLED, "6 of the newest 11 steps failed")
    world.later(600)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL


def test_claims_that_fail_halt_too(world: World) -> None:
    thresholds(world, halt_after_failures=3)
    keys = [complete(world) for _ in range(3)]
    world.chain.refuse(lambda _: True, "Transfer not found.")
    world.later(1)
    world.failing(lambda: world.repay(keys))
    assert state(world) is State.HALTED


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        *(("transfer", kind) for kind in ("Reverted", "Lost", "EscrowDisagrees", "WrongChain")),
        *(("repay", kind) for kind in ("Reverted", "Lost", "ClaimRefused", "WrongChain")),
        *(("settle", kind) for kind in ("Undelivered", "ProofFailed")),
    ],
)
def test_whatever_costs_us_money_or_is_our_fault_halts(world: World, step: str, kind: str) -> None:
    thresholds(world, halt_after_failures=3)
    for key in world.set_and_detect(3):
        assert state(world) is State.NORMAL
        fault = Fault(subject=key, step=step, kind=kind, message="no")
        world.store.note(fault, at=world.now, run_id="run")
        steps.guard(world.bridge, world.run)
    assert state(world) is State.HALTED


def test_claims_that_never_arrive_halt_too(world: World) -> None:
    thresholds(world, halt_after_failures=3, failure_percent=100)
    keys = [complete(world) for _ in range(3)]
    world.repay(keys)
    world.mine()
    world.later(1)
    for key in keys:
        world.l2.known[key] = Progress(lost=Undelivered("used up on L1, not paid"))
    steps.settle(world.bridge, "zksync", world.run)
    steps.guard(world.bridge, world.run)
    assert (state(world), why(world)) == (State.HALTED, "3 steps failed in a row")


def test_a_stranger_whose_recipients_refuse_money_halts_nobody(world: World) -> None:
    world.registry.rejecting.add(REJECTING)
    for _ in range(30):
        world.later(1)
        keys = world.set_and_detect(recipient=REJECTING)
        world.failing(lambda keys=keys: world.transfer(keys))
    steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL
    assert all(order.parked for order in map(world.order, world.statuses()))


def test_refusals_and_outages_are_no_failures(world: World) -> None:
    thresholds(world, halt_after_failures=2, failure_percent=1, least_finished=1)
    world.transfer(world.set_and_detect(5, fee=1))
    keys = world.set_and_detect(5)
    world.chain.fault = RpcUnavailable("L1: no node answered")
    world.failing(lambda: world.transfer(keys))
    world.chain.fault = None
    steps.run_died(world.bridge, keys, world.run, "killed", spoke=False)
    world.chain.endowment = 0
    world.later(1)
    world.failing(lambda: world.transfer(keys))
    steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL


def test_a_wallet_under_its_floor_halts(world: World) -> None:
    thresholds(world, min_balance=Wei(ETH))
    world.chain.endowment = ETH
    steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL
    world.chain.endowment = ETH - 1
    steps.guard(world.bridge, world.run)
    assert state(world) is State.HALTED
    assert "0.999999999999999999 ETH" in why(world)


# throttling, and back


def test_a_silent_chain_throttles_its_own_scope_until_it_was_calm(world: World) -> None:
    world.l2.fault = RpcUnavailable("zksync: no node answered")
    steps.guard(world.bridge, world.run)
    assert (state(world), state(world, "zksync")) == (State.NORMAL, State.THROTTLED)
    assert why(world, "zksync") == "zksync: no node answered"
    world.l2.fault = None
    world.later(CALM_SECONDS - 1)
    steps.guard(world.bridge, world.run)
    assert state(world, "zksync") is State.THROTTLED
    world.later(1)
    steps.guard(world.bridge, world.run)
    assert state(world, "zksync") is State.NORMAL
    assert [c.after for c in world.safety.changes(9)] == [State.NORMAL, State.THROTTLED]


def test_a_chain_that_stands_throttles_and_then_halts(world: World) -> None:
    thresholds(world, max_lag=300.0)
    world.lag = {"L1": 301}
    steps.guard(world.bridge, world.run)
    assert (state(world), state(world, "zksync")) == (State.THROTTLED, State.NORMAL)
    world.lag = {"L1": 200}
    world.later(60)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.THROTTLED  # better, but not well
    world.lag = {"L1": 1, "zksync": 3001}
    world.later(60)
    steps.guard(world.bridge, world.run)
    assert (state(world), state(world, "zksync")) == (State.NORMAL, State.HALTED)


def test_exposure_at_its_limit_throttles_until_enough_is_back(world: World) -> None:
    thresholds(world, max_outlay=Wei(3 * 10**16))
    keys = world.set_and_detect(3)
    world.transfer(keys)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.THROTTLED
    world.mine()
    world.repay(keys)
    world.mine()
    world.l2.deliver()
    steps.settle(world.bridge, "zksync", world.run)
    world.later(60)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL


def test_a_slow_database_throttles(world: World) -> None:
    standings = world.safety.standings

    def slow() -> object:
        world.later(2.5)
        return standings()

    world.safety.standings = slow  # type: ignore[method-assign, assignment]
    steps.guard(world.bridge, world.run)
    assert of(standings(), GLOBAL).why == "the database took 2.5 s to answer"


def test_throttled_sends_few_and_small_ones(world: World) -> None:
    large = world.set_and_detect(amount=QUARTER + 1)[0]
    small = world.set_and_detect(3, amount=QUARTER)
    throttle(world)
    assert steps.throttled(world.bridge, "zksync")
    world.transfer([large, *small])
    sent = [k for k, s in world.statuses().items() if s is Status.TRANSFERRING]
    assert sent == [small[0]]
    assert "no more than 0.025 ETH" in (world.order(large).reason or "")
    assert "a run sends no more than 1" in (world.order(small[1]).reason or "")
    world.rules(caps=replace(world.bridge.rules.caps, throttled_transfers=2))
    world.transfer([large, *small])
    assert world.order(large).status is Status.PROCESSING
    assert [world.order(k).status for k in small] == [Status.TRANSFERRING] * 3
    assert not any(world.order(k).failed for k in world.statuses())


# halted


def test_while_halted_orders_wait_and_claims_go_on(world: World) -> None:
    paid = complete(world)
    new, accepted = world.set_and_detect(2)
    world.rules(dry_run=True)
    world.transfer([accepted])
    world.rules(dry_run=False)
    halt(world)
    said = len(world.said)
    world.transfer([new, accepted])
    assert world.said[said:] == [
        "transfer: nothing is sent, global is HALTED since 2026-11-20 12:00:01 UTC by Ann: "
        "a look; 2 orders wait"
    ]
    assert world.statuses() == {
        paid: Status.FULFILLED,
        new: Status.PENDING,
        accepted: Status.PROCESSING,
    }
    assert not any(world.order(k).failed for k in (new, accepted))
    assert {world.order(k).reason for k in (new, accepted)} == {"waits: global is HALTED"}
    world.repay([paid])
    world.mine()
    assert world.order(paid).status is Status.PROVED


def test_an_order_paid_elsewhere_is_claimed_while_halted(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.elsewhere(world.registry.transfer(world.order(key)))
    halt(world)
    world.transfer([key])
    assert world.order(key).status is Status.FULFILLED


def test_while_halted_an_order_gets_one_run_and_goes_on_after_the_resumption(world: World) -> None:
    (key,) = world.set_and_detect()
    halt(world, "zksync")

    def asked() -> list[str]:
        return [o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")]

    assert asked() == [key]
    world.transfer([key])
    for _ in range(9):
        world.later(1000)
        assert asked() == []
    guard.resume(world.bridge, "zksync", by="Ann", reason="all well")
    assert asked() == [key]
    world.transfer([key])
    assert world.order(key).status is Status.TRANSFERRING
    assert world.order(key).reason is None


def test_one_origin_halts_alone(world: World) -> None:
    other = OriginMemory(world.registry, "starknet")
    world.bridge = replace(world.bridge, origins={"zksync": world.l2, "starknet": other})
    other.set_orders(1)
    keys = [*steps.detect(world.bridge, "starknet", world.run), *world.set_and_detect()]
    halt(world, "starknet")
    world.transfer(keys)
    assert world.statuses() == {
        "starknet:0": Status.PENDING,
        "zksync:0": Status.TRANSFERRING,
    }


def test_failures_of_one_origin_halt_it_alone_while_the_other_works(world: World) -> None:
    other = OriginMemory(world.registry, "starknet")
    world.bridge = replace(world.bridge, origins={"zksync": world.l2, "starknet": other})
    thresholds(world, halt_after_failures=3, failure_percent=100)
    for _ in range(3):
        revert(world, 1)
        other.set_orders(1)
        world.transfer(steps.detect(world.bridge, "starknet", world.run))
        world.later(1)
        world.mine()
    steps.guard(world.bridge, world.run)
    states = [state(world, scope) for scope in (GLOBAL, "zksync", "starknet")]
    assert states == [State.NORMAL, State.HALTED, State.NORMAL]


@pytest.mark.parametrize("scope", [GLOBAL, "zksync"])
def test_a_halt_between_decision_and_signing_holds(world: World, scope: str) -> None:
    keys = world.set_and_detect(2)
    check = world.l2.check

    def halting_check(orders: list[Order]) -> list[Failure | None]:
        halt(world, scope)
        return check(orders)

    world.l2.check = halting_check  # type: ignore[method-assign, assignment]
    world.transfer(keys)
    assert [world.order(k).status for k in keys] == [Status.PROCESSING] * 2
    assert [world.order(k).reason for k in keys] == [f"waits: {scope} is HALTED"] * 2
    assert world.store.outbox == []
    assert world.chain.broadcasts == []


def test_what_was_signed_before_a_halt_is_still_broadcast(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.broadcast_fault = RpcUnavailable("gone")
    world.transfer([key])
    world.chain.broadcast_fault = None
    halt(world)
    steps.settle_receipts(world.bridge, world.run)
    world.mine()
    assert world.order(key).status is Status.FULFILLED


@pytest.mark.parametrize("where", ["before", "in the lane"])
def test_nothing_is_sent_when_the_states_cannot_be_read(world: World, where: str) -> None:
    (key,) = world.set_and_detect()

    def away(*_: object) -> object:
        raise StoreUnavailable("database of the test: the states are away")

    world.safety.read_by = away  # type: ignore[method-assign, assignment]
    if where == "before":
        world.safety.standings = away  # type: ignore[method-assign, assignment]
    assert "StoreUnavailable" in world.failing(lambda: world.transfer([key]))
    assert not world.order(key).failed
    assert world.store.outbox == []
    assert world.chain.broadcasts == []


# a person


def test_after_a_resumption_failures_are_counted_anew(world: World) -> None:
    revert(world, 10)
    world.later(1)
    guard.resume(world.bridge, GLOBAL, by="Ann", reason="the node was wrong")
    steps.guard(world.bridge, world.run)
    revert(world, 9)
    assert state(world) is State.NORMAL
    revert(world, 1)
    assert state(world) is State.HALTED
    assert [c.by for c in world.safety.changes(9)] == ["mmbot", "Ann", "mmbot"]


def test_nothing_else_ends_a_halt(world: World) -> None:
    revert(world, 10)
    for _ in range(20):
        world.later(3600)
        steps.guard(world.bridge, world.run)
        assert state(world) is State.HALTED


@pytest.mark.parametrize("decide", [guard.halt, guard.resume])
def test_a_scope_that_does_not_exist_is_refused(
    world: World, decide: Callable[..., object]
) -> None:
    with pytest.raises(NotDecided, match="choose one of global, zksync"):
        decide(world.bridge, "starknet", by="Ann", reason="a look")


def test_a_store_that_is_away_cannot_be_judged(world: World) -> None:
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        steps.guard(world.bridge, world.run)


def test_a_failure_is_kept_even_if_it_cannot_be_judged(world: World) -> None:
    thresholds(world, halt_after_failures=1)

    def away(*_: object, **__: object) -> object:
        raise StoreUnavailable("database of the test: away")

    finished, world.bridge.accounts.finished = world.bridge.accounts.finished, away  # type: ignore[method-assign]
    revert(world, 1)
    assert any("not judged now" in line for line in world.said)
    assert state(world) is State.NORMAL
    world.bridge.accounts.finished = finished  # type: ignore[method-assign]
    steps.guard(world.bridge, world.run)
    assert state(world) is State.HALTED
