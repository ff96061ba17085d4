"""Which failures are counted, and when they throttle or halt the bridge."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.ports.chains import Progress
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import RpcUnavailable, StoreUnavailable, Undelivered
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import GLOBAL, State
from tests.bridge.guard_steps import complete, halt, revert, state, thresholds, why
from tests.bridge.harness import BridgeHarness
from tests.ports.origin_memory import OriginMemory
from tests.ports.store_writes import note

REJECTING = Address("0x00000000000000000000000000000000000000Fe")


def test_failures_in_a_row_halt_at_once_and_without_a_tick(harness: BridgeHarness) -> None:
    revert(harness, 9)
    assert state(harness) is State.NORMAL
    revert(harness, 1)
    assert (state(harness), why(harness)) == (State.HALTED, "10 steps failed in a row")
    assert any(line.startswith("safety: global is HALTED since") for line in harness.logged)
    (change,) = harness.store.safety.changes(9)
    assert (change.before, change.after, change.by) == (State.NORMAL, State.HALTED, "mmbot")


def test_a_success_in_between_begins_the_count_from_zero(harness: BridgeHarness) -> None:
    thresholds(harness, failure_percent=100)
    revert(harness, 9)
    complete(harness)
    revert(harness, 9)
    assert state(harness) is State.NORMAL


def test_many_failures_among_successes_throttle(harness: BridgeHarness) -> None:
    for _ in range(5):
        revert(harness, 1)
        complete(harness)
    assert state(harness) is State.NORMAL  # judged when the last one failed: 5 of 9
    revert(harness, 1)
    assert (state(harness), why(harness)) == (State.THROTTLED, "6 of the newest 11 steps failed")
    harness.later(600)
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.NORMAL


def test_claims_that_fail_halt_too(harness: BridgeHarness) -> None:
    thresholds(harness, halt_after_failures=3)
    keys = [complete(harness) for _ in range(3)]
    harness.chain.refuse(lambda _: True, "Transfer not found.")
    harness.later(1)
    harness.failing(lambda: harness.repay(keys))
    assert state(harness) is State.HALTED


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        *(("transfer", kind) for kind in ("Reverted", "NonceTaken", "WrongChain")),
        *(("repay", kind) for kind in ("Reverted", "NonceTaken", "ClaimRefused", "WrongChain")),
        ("settle", "Undelivered"),
    ],
)
def test_whatever_costs_us_money_or_is_our_fault_halts(
    harness: BridgeHarness, step: str, kind: str
) -> None:
    thresholds(harness, halt_after_failures=3)
    for key in harness.set_and_detect(3):
        assert state(harness) is State.NORMAL
        fault = Fault(subject=key, step=step, kind=kind, message="no")
        note(harness.store, fault, at=harness.now, run_id="run")
        steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.HALTED


def test_orders_that_the_escrow_contradicts_halt_nobody(harness: BridgeHarness) -> None:
    thresholds(harness, halt_after_failures=3)
    for key in harness.set_and_detect(10):
        fault = Fault(subject=key, step="transfer", kind="EscrowMismatch", message="no")
        note(harness.store, fault, at=harness.now, run_id="run")
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.NORMAL


def test_claims_that_never_arrive_halt_too(harness: BridgeHarness) -> None:
    thresholds(harness, halt_after_failures=3, failure_percent=100)
    keys = [complete(harness) for _ in range(3)]
    harness.repay(keys)
    harness.mine()
    harness.later(1)
    for key in keys:
        harness.l2.known[key] = Progress(lost=Undelivered("used up on L1, not paid"))
    steps.settle(harness.bridge, "zksync", harness.run)
    steps.guard(harness.bridge, harness.run)
    assert (state(harness), why(harness)) == (State.HALTED, "3 steps failed in a row")


def test_a_stranger_whose_recipients_refuse_money_halts_nobody(harness: BridgeHarness) -> None:
    harness.registry.rejecting.add(REJECTING)
    for _ in range(30):
        harness.later(1)
        keys = harness.set_and_detect(recipient=REJECTING)
        harness.failing(lambda keys=keys: harness.transfer(keys))
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.NORMAL
    assert all(order.is_parked for order in map(harness.order, harness.statuses()))


def test_refusals_and_outages_are_no_failures(harness: BridgeHarness) -> None:
    thresholds(harness, halt_after_failures=2, failure_percent=1, min_finished=1)
    harness.transfer(harness.set_and_detect(5, fee=1))
    keys = harness.set_and_detect(5)
    harness.chain.fault = RpcUnavailable("L1: no node answered")
    harness.failing(lambda: harness.transfer(keys))
    harness.chain.fault = None
    steps.record_run_failure(harness.bridge, keys, harness.run, "killed", step_ended=False)
    harness.chain.endowment = 0
    harness.later(1)
    harness.transfer(keys)
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.NORMAL


def test_failures_of_one_origin_halt_it_alone_while_the_other_works(harness: BridgeHarness) -> None:
    other = OriginMemory(harness.registry, "starknet")
    harness.bridge = replace(harness.bridge, origins={"zksync": harness.l2, "starknet": other})
    thresholds(harness, halt_after_failures=3, failure_percent=100)
    for _ in range(3):
        revert(harness, 1)
        other.set_orders(1)
        harness.transfer(steps.detect(harness.bridge, "starknet", harness.run))
        harness.later(1)
        harness.mine()
    steps.guard(harness.bridge, harness.run)
    states = [state(harness, scope) for scope in (GLOBAL, "zksync", "starknet")]
    assert states == [State.NORMAL, State.HALTED, State.NORMAL]


def test_failures_up_to_the_moment_of_a_resumption_count_no_more(harness: BridgeHarness) -> None:
    other = OriginMemory(harness.registry, "starknet")
    harness.bridge = replace(harness.bridge, origins={"zksync": harness.l2, "starknet": other})
    thresholds(harness, halt_after_failures=3, failure_percent=100)
    revert(harness, 2)
    halt(harness, "zksync")
    guard.resume(harness.bridge, "zksync", by="Ann", reason="seen")  # in the same moment
    other.set_orders(1)
    harness.transfer(steps.detect(harness.bridge, "starknet", harness.run))
    harness.later(1)
    harness.mine()
    revert(harness, 2)
    assert state(harness, "zksync") is State.NORMAL


def test_a_failure_is_kept_even_if_it_cannot_be_judged(harness: BridgeHarness) -> None:
    thresholds(harness, halt_after_failures=1)

    def away(*_: object, **__: object) -> object:
        raise StoreUnavailable("database of the test: away")

    finished, harness.bridge.accounts.finished = harness.bridge.accounts.finished, away
    revert(harness, 1)
    assert any("not judged now" in line for line in harness.logged)
    assert state(harness) is State.NORMAL
    harness.bridge.accounts.finished = finished
    steps.guard(harness.bridge, harness.run)
    assert state(harness) is State.HALTED
