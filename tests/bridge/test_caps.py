"""Limits on what goes out together: what does not fit waits, and is not forgotten."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.db.outbox import PgOutbox
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.safety import GLOBAL, ScopeState, State
from mmbot_pipelines.core.unit_of_work import Lane
from tests.bridge.harness import BridgeHarness
from tests.ports.store_writes import change_state

ONE = 10**16
DAY = 24 * 3600
OTHER = Address("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65")
UNPAID = [Status.PENDING, Status.PROCESSING]


def caps(harness: BridgeHarness, **most: int) -> None:
    harness.rules(caps=replace(harness.bridge.rules.caps, **{k: Wei(v) for k, v in most.items()}))


def sent(harness: BridgeHarness) -> list[str]:
    return sorted(k for k, s in harness.statuses().items() if s is Status.TRANSFERRING)


def complete(harness: BridgeHarness, keys: list[str]) -> None:
    """Take orders that were sent to their end."""
    harness.mine()
    harness.repay(keys)
    harness.mine()
    harness.l2.deliver()
    steps.settle(harness.bridge, "zksync", harness.run)
    assert {harness.order(k).status for k in keys} == {Status.COMPLETED}


def test_what_does_not_fit_waits_healthy_and_with_its_reason(harness: BridgeHarness) -> None:
    caps(harness, exposure=3 * ONE)
    keys = harness.set_and_detect(5)
    harness.transfer(keys)
    assert sent(harness) == keys[:3]
    for key in keys[3:]:
        order = harness.order(key)
        assert (order.status, order.failed, order.failures) == (Status.PROCESSING, False, 0)
        assert order.reason == "waiting: MMBOT_MAX_EXPOSURE_WEI reached"
        assert harness.store.errors.of(key) == []
    assert any(line.startswith(f"{keys[3]}: waiting: MMBOT_MAX_") for line in harness.logged)
    assert "0.03 ETH" in harness.logged[-1]


def test_room_that_comes_back_is_used(harness: BridgeHarness) -> None:
    caps(harness, exposure=3 * ONE)
    keys = harness.set_and_detect(5)
    harness.transfer(keys)
    complete(harness, keys[:3])
    harness.transfer(keys)
    assert sent(harness) == keys[3:]
    assert [harness.order(k).reason for k in keys[3:]] == [None, None]
    assert [harness.paid(k) for k in keys] == [1, 1, 1, 0, 0]


def test_claims_take_no_room(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(2)
    harness.transfer(keys)
    harness.mine()
    caps(harness, exposure=0, per_hour=0, per_day=0, per_recipient=0)
    harness.repay(keys)
    assert set(harness.statuses().values()) == {Status.PROVING}


def test_a_transfer_that_reverts_gives_its_room_back(harness: BridgeHarness) -> None:
    caps(harness, exposure=ONE, per_hour=ONE, per_day=ONE, per_recipient=ONE)
    first, second = harness.set_and_detect(2)
    harness.chain.refuse(lambda _: True, "no", foreseen=False)
    harness.transfer([first, second])
    harness.mine()
    harness.chain.allow()
    harness.transfer([second])
    assert sent(harness) == [second]


@pytest.mark.parametrize(("cap", "seconds"), [("per_hour", 3600), ("per_day", DAY)])
def test_a_limit_in_time_moves_on_with_it(harness: BridgeHarness, cap: str, seconds: int) -> None:
    caps(harness, **{cap: 2 * ONE})
    first = harness.set_and_detect(1)
    harness.transfer(first)
    complete(harness, first)  # repaid: it counts all the same
    harness.later(seconds / 2)
    rest = harness.set_and_detect(2)
    harness.transfer(rest)
    assert sent(harness) == rest[:1]
    harness.later(seconds / 2 - 1)
    harness.transfer(rest[1:])
    assert sent(harness) == rest[:1]
    harness.later(1)
    harness.transfer(rest[1:])
    assert sent(harness) == rest


def test_a_recipient_has_a_limit_of_its_own(harness: BridgeHarness) -> None:
    caps(harness, per_recipient=2 * ONE)
    many = harness.set_and_detect(3)
    other = harness.set_and_detect(2, recipient=OTHER)
    harness.transfer(many + other)
    assert sent(harness) == [*many[:2], *other]
    assert "MMBOT_MAX_PER_RECIPIENT_WEI" in (harness.order(many[2]).reason or "")
    harness.later(DAY)
    harness.transfer(many)
    assert sent(harness) == [*many, *other]


def test_an_order_above_a_whole_limit_waits_and_is_in_nobodys_way(harness: BridgeHarness) -> None:
    caps(harness, exposure=2 * ONE)
    large = harness.set_and_detect(amount=3 * ONE)
    small = harness.set_and_detect(2)
    harness.transfer(large)
    harness.transfer(large + small)
    assert sent(harness) == small
    assert harness.order(large[0]).reason == (
        "waiting: the amount alone is above MMBOT_MAX_EXPOSURE_WEI, raise it"
    )
    caps(harness, exposure=5 * ONE)
    harness.transfer(large)
    assert sent(harness) == large + small


@pytest.mark.parametrize("fan_out", [True, False])
def test_a_large_order_is_not_overtaken_for_ever(harness: BridgeHarness, fan_out: bool) -> None:
    caps(harness, exposure=10 * ONE)
    (first,) = harness.set_and_detect(amount=6 * ONE, fee=ONE)
    harness.transfer([first])
    (large,) = harness.set_and_detect(amount=6 * ONE, fee=ONE)
    (small,) = harness.set_and_detect(amount=3 * ONE, fee=ONE)
    for keys in [[large, small]] if fan_out else [[large], [small]]:
        harness.transfer(keys)
    assert sent(harness) == [first]
    assert any(
        "0.06 ETH (60000000000000000 wei) is kept for orders" in line for line in harness.logged
    )
    complete(harness, [first])
    harness.transfer([large])
    harness.transfer([small])
    assert sent(harness) == [large, small]


def test_a_waiting_order_is_asked_for_again_but_not_without_end(harness: BridgeHarness) -> None:
    caps(harness, exposure=0)
    (key,) = harness.set_and_detect()
    runs = 0
    for _ in range(240):  # a minute of looks
        for order in steps.take_orders(harness.bridge, UNPAID, "zksync"):
            harness.transfer([order.key])
            runs += 1
        harness.later(0.25)
    assert runs in (2, 3)  # accepted in the first one, then every 30 s
    caps(harness, exposure=ONE)
    harness.later(51)
    assert [o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")] == [key]


def test_a_failed_order_that_waits_keeps_its_failure(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.refuse(lambda _: True, "no", foreseen=False)
    harness.transfer([key])
    harness.mine()
    harness.chain.allow()
    before = harness.order(key)
    caps(harness, exposure=0)
    harness.later(1000)
    harness.transfer(steps.retry(harness.bridge, harness.run))
    assert harness.order(key) == before
    assert before.failed
    caps(harness, exposure=ONE)
    harness.transfer(steps.retry(harness.bridge, harness.run))
    assert sent(harness) == [key]


# many runs at once


def test_limits_hold_to_the_wei_however_many_runs_send(harness: BridgeHarness) -> None:
    most = 7 * ONE + ONE // 2
    caps(harness, exposure=most, per_hour=most, per_recipient=most)
    keys = harness.set_and_detect(24)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda key: harness.transfer([key]), [*keys, *keys]))
    assert len(sent(harness)) == 7
    assert harness.bridge.store.orders.exposure() == 7 * ONE
    nonces = [t.nonce for t in harness.store.outbox.in_flight()]
    assert nonces == list(range(7))
    waiting = [o for o in map(harness.order, keys) if o.status is Status.PROCESSING]
    assert len(waiting) == 17
    assert not any(o.failed for o in waiting)
    assert all(o.reason and o.reason.startswith("waiting: MMBOT_MAX_") for o in waiting)


def test_once_a_halt_is_stored_nothing_more_is_signed(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(24)

    def work(key: str) -> int | None:
        if key != keys[12]:
            harness.transfer([key])
            return None
        halted = ScopeState(
            scope=GLOBAL, state=State.HALTED, since=harness.now, by="Ann", why="look"
        )
        change_state(harness.store, ScopeState(scope=GLOBAL), halted, at=harness.now)
        return len(harness.store.outbox.in_flight())

    with ThreadPoolExecutor(4) as pool:
        signed = next(filter(lambda n: n is not None, list(pool.map(work, keys))))
    assert len(harness.store.outbox.in_flight()) == signed
    assert signed < 24
    assert set(harness.statuses().values()) <= {
        Status.TRANSFERRING,
        Status.PROCESSING,
        Status.PENDING,
    }


def test_what_is_mined_while_the_lane_is_waited_for_is_not_spent_twice(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = harness.set_and_detect(2, amount=10**17)
    harness.chain.endowment = 15 * 10**16
    harness.transfer([first])
    lock_lane = PgOutbox.lock_lane

    def waited_for(outbox: PgOutbox, chain_id: int, wallet: Address) -> Lane:
        harness.mine()
        return lock_lane(outbox, chain_id, wallet)

    with monkeypatch.context() as patch:
        patch.setattr(PgOutbox, "lock_lane", waited_for)
        # a node's refusal of a call that the wallet cannot pay comes too early for this
        patch.setattr(harness.chain, "simulate", lambda calls, _: [Gas(100_000)] * len(calls))
        harness.transfer([second])
    assert "the wallet has too little ETH" in (harness.order(second).reason or "")
    assert harness.order(first).status is Status.FULFILLED
    assert harness.store.outbox.of(second) == []
