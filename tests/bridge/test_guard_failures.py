"""Which failures are counted, and when they throttle or halt the bridge."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.chain_ports import Progress
from mmbot_pipelines.bridge.ports import Fault
from mmbot_pipelines.core.errors import RpcUnavailable, StoreUnavailable, Undelivered
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import GLOBAL, State
from tests.bridge.guarding import complete, revert, state, thresholds, why
from tests.bridge.world import World
from tests.ports.origin_memory import OriginMemory

REJECTING = Address("0x00000000000000000000000000000000000000Fe")


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
        *(("transfer", kind) for kind in ("Reverted", "Lost", "WrongChain")),
        *(("repay", kind) for kind in ("Reverted", "Lost", "ClaimRefused", "WrongChain")),
        ("settle", "Undelivered"),
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


def test_orders_that_the_escrow_contradicts_halt_nobody(world: World) -> None:
    thresholds(world, halt_after_failures=3)
    for key in world.set_and_detect(10):
        fault = Fault(subject=key, step="transfer", kind="EscrowDisagrees", message="no")
        world.store.note(fault, at=world.now, run_id="run")
    steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL


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
    world.transfer(keys)
    steps.guard(world.bridge, world.run)
    assert state(world) is State.NORMAL


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
