"""Limits on what goes out together: what does not fit waits, and is not forgotten."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.outbox import Lane
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.safety import GLOBAL, Standing, State
from tests.bridge.world import World
from tests.ports.books import Books, in_postgres

ONE = 10**16
DAY = 24 * 3600
OTHER = Address("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65")
UNPAID = [Status.PENDING, Status.PROCESSING]


@pytest.fixture
def books(database_url: str) -> Iterator[Books]:
    with in_postgres(database_url) as books:
        yield books


def caps(world: World, **most: int) -> None:
    world.rules(caps=replace(world.bridge.rules.caps, **{k: Wei(v) for k, v in most.items()}))


def sent(world: World) -> list[str]:
    return sorted(k for k, s in world.statuses().items() if s is Status.TRANSFERRING)


def complete(world: World, keys: list[str]) -> None:
    """Take orders that were sent to their end."""
    world.mine()
    world.repay(keys)
    world.mine()
    world.l2.deliver()
    steps.settle(world.bridge, "zksync", world.run)
    assert {world.order(k).status for k in keys} == {Status.COMPLETED}


def test_what_does_not_fit_waits_healthy_and_with_its_reason(world: World) -> None:
    caps(world, exposure=3 * ONE)
    keys = world.set_and_detect(5)
    world.transfer(keys)
    assert sent(world) == keys[:3]
    for key in keys[3:]:
        order = world.order(key)
        assert (order.status, order.failed, order.failures) == (Status.PROCESSING, False, 0)
        assert order.reason == "waits: no room under MMBOT_MAX_EXPOSURE_WEI now"
        assert world.store.errors(key) == []
    assert any(line.startswith(f"{keys[3]}: waits: no room") for line in world.said)
    assert "0.03 ETH" in world.said[-1]


def test_room_that_comes_back_is_used(world: World) -> None:
    caps(world, exposure=3 * ONE)
    keys = world.set_and_detect(5)
    world.transfer(keys)
    complete(world, keys[:3])
    world.transfer(keys)
    assert sent(world) == keys[3:]
    assert [world.order(k).reason for k in keys[3:]] == [None, None]
    assert [world.paid(k) for k in keys] == [1, 1, 1, 0, 0]


def test_claims_take_no_room(world: World) -> None:
    keys = world.set_and_detect(2)
    world.transfer(keys)
    world.mine()
    caps(world, exposure=0, per_hour=0, per_day=0, per_recipient=0)
    world.repay(keys)
    assert set(world.statuses().values()) == {Status.PROVING}


def test_a_transfer_that_reverts_gives_its_room_back(world: World) -> None:
    caps(world, exposure=ONE, per_hour=ONE, per_day=ONE, per_recipient=ONE)
    first, second = world.set_and_detect(2)
    world.chain.refuse(lambda _: True, "no", foreseen=False)
    world.transfer([first, second])
    world.mine()
    world.chain.allow()
    world.transfer([second])
    assert sent(world) == [second]


@pytest.mark.parametrize(("cap", "seconds"), [("per_hour", 3600), ("per_day", DAY)])
def test_a_limit_in_time_moves_on_with_it(world: World, cap: str, seconds: int) -> None:
    caps(world, **{cap: 2 * ONE})
    first = world.set_and_detect(1)
    world.transfer(first)
    complete(world, first)  # repaid: it counts all the same
    world.later(seconds / 2)
    rest = world.set_and_detect(2)
    world.transfer(rest)
    assert sent(world) == rest[:1]
    world.later(seconds / 2 - 1)
    world.transfer(rest[1:])
    assert sent(world) == rest[:1]
    world.later(1)
    world.transfer(rest[1:])
    assert sent(world) == rest


def test_a_recipient_has_a_limit_of_its_own(world: World) -> None:
    caps(world, per_recipient=2 * ONE)
    many = world.set_and_detect(3)
    other = world.set_and_detect(2, recipient=OTHER)
    world.transfer(many + other)
    assert sent(world) == [*many[:2], *other]
    assert "MMBOT_MAX_PER_RECIPIENT_WEI" in (world.order(many[2]).reason or "")
    world.later(DAY)
    world.transfer(many)
    assert sent(world) == [*many, *other]


def test_an_order_above_a_whole_limit_waits_and_is_in_nobodys_way(world: World) -> None:
    caps(world, exposure=2 * ONE)
    large = world.set_and_detect(amount=3 * ONE)
    small = world.set_and_detect(2)
    world.transfer(large)
    world.transfer(large + small)
    assert sent(world) == small
    assert world.order(large[0]).reason == (
        "waits: the amount alone is above MMBOT_MAX_EXPOSURE_WEI, raise it"
    )
    caps(world, exposure=5 * ONE)
    world.transfer(large)
    assert sent(world) == large + small


@pytest.mark.parametrize("together", [True, False])
def test_a_large_order_is_not_overtaken_for_ever(world: World, together: bool) -> None:
    caps(world, exposure=10 * ONE)
    (first,) = world.set_and_detect(amount=6 * ONE, fee=ONE)
    world.transfer([first])
    (large,) = world.set_and_detect(amount=6 * ONE, fee=ONE)
    (small,) = world.set_and_detect(amount=3 * ONE, fee=ONE)
    for keys in [[large, small]] if together else [[large], [small]]:
        world.transfer(keys)
    assert sent(world) == [first]
    assert any("0.06 ETH (60000000000000000 wei) is kept for orders" in line for line in world.said)
    complete(world, [first])
    world.transfer([large])
    world.transfer([small])
    assert sent(world) == [large, small]


def test_a_waiting_order_is_asked_for_again_but_not_without_end(world: World) -> None:
    caps(world, exposure=0)
    (key,) = world.set_and_detect()
    runs = 0
    for _ in range(240):  # a minute of looks
        for order in steps.wanted(world.bridge, UNPAID, "zksync"):
            world.transfer([order.key])
            runs += 1
        world.later(0.25)
    assert runs in (2, 3)  # accepted in the first one, then every 30 s
    caps(world, exposure=ONE)
    world.later(51)
    assert [o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")] == [key]


def test_a_failed_order_that_waits_keeps_its_failure(world: World) -> None:
    (key,) = world.set_and_detect()
    world.chain.refuse(lambda _: True, "no", foreseen=False)
    world.transfer([key])
    world.mine()
    world.chain.allow()
    before = world.order(key)
    caps(world, exposure=0)
    world.later(1000)
    world.transfer(steps.retry(world.bridge, world.run))
    assert world.order(key) == before
    assert before.failed
    caps(world, exposure=ONE)
    world.transfer(steps.retry(world.bridge, world.run))
    assert sent(world) == [key]


# many runs at once, on Postgres


def on(world: World, books: Books) -> None:
    """Put the world's bridge on another store."""
    world.store, world.safety = books.orders, books.safety  # type: ignore[assignment]
    world.bridge = replace(
        world.bridge, orders=books.orders, accounts=books.accounts, safety=books.safety
    )


def test_limits_hold_to_the_wei_however_many_runs_send(world: World, books: Books) -> None:
    on(world, books)
    most = 7 * ONE + ONE // 2
    caps(world, exposure=most, per_hour=most, per_recipient=most)
    keys = world.set_and_detect(24)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda key: world.transfer([key]), [*keys, *keys]))
    assert len(sent(world)) == 7
    assert books.accounts.exposure() == 7 * ONE
    nonces = [t.nonce for t in books.orders.in_flight()]
    assert nonces == list(range(7))
    waiting = [o for o in map(world.order, keys) if o.status is Status.PROCESSING]
    assert len(waiting) == 17
    assert not any(o.failed for o in waiting)
    assert all(o.reason and o.reason.startswith("waits: no room") for o in waiting)


def test_once_a_halt_is_stored_nothing_more_is_signed(world: World, books: Books) -> None:
    on(world, books)
    keys = world.set_and_detect(24)

    def work(key: str) -> int | None:
        if key != keys[12]:
            world.transfer([key])
            return None
        halted = Standing(scope=GLOBAL, state=State.HALTED, since=world.now, by="Ann", why="look")
        books.safety.change(Standing(scope=GLOBAL), halted, at=world.now)
        return len(books.orders.in_flight())

    with ThreadPoolExecutor(4) as pool:
        signed = next(filter(lambda n: n is not None, list(pool.map(work, keys))))
    assert len(books.orders.in_flight()) == signed
    assert signed < 24
    assert set(world.statuses().values()) <= {
        Status.TRANSFERRING,
        Status.PROCESSING,
        Status.PENDING,
    }


def test_what_is_mined_while_the_lane_is_waited_for_is_not_spent_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = world.set_and_detect(2, amount=10**17)
    world.chain.endowment = 15 * 10**16
    world.transfer([first])
    lane = world.store.lane

    def waited_for(chain_id: int, wallet: Address) -> AbstractContextManager[Lane]:
        world.mine()
        return lane(chain_id, wallet)

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "lane", waited_for)
        # what a node says to a call that the wallet cannot pay comes too early for this
        patch.setattr(world.chain, "simulate", lambda calls, _: [Gas(100_000)] * len(calls))
        world.transfer([second])
    assert "the wallet has too little ETH" in (world.order(second).reason or "")
    assert world.order(first).status is Status.FULFILLED
    assert world.store.transactions(second) == []
