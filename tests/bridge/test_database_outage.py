"""The database goes away in the middle of a burst: nothing lost, nothing paid twice."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmbot_pipelines.adapters.db import embedded, migrate
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.failures import OrdersFailed
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.ports import Filter
from mmbot_pipelines.core.errors import StoreUnavailable
from tests.bridge.world import World
from tests.ports.books import in_postgres

BURST = 20
UNPAID = [Status.PENDING, Status.PROCESSING]


def round_of(world: World) -> list[str]:
    """Do once what the sensors and their runs do; return the outages they met."""
    outages: list[str] = []

    def attempt(do: Callable[[], object]) -> None:
        try:
            do()
        except StoreUnavailable as e:
            outages.append(str(e))
        except OrdersFailed as e:
            outages.append(str(e))

    def transfer() -> None:
        world.transfer([o.key for o in steps.wanted(world.bridge, UNPAID, "zksync")])

    def repay() -> None:
        world.repay([o.key for o in steps.wanted(world.bridge, [Status.FULFILLED])])

    for do in (
        lambda: steps.detect(world.bridge, "zksync", world.run),
        transfer,
        world.mine,
        repay,
        world.mine,
        world.l2.deliver,
        lambda: steps.settle(world.bridge, "zksync", world.run),
        lambda: steps.guard(world.bridge, world.run),
    ):
        attempt(do)
    world.later(51)
    return outages


def finish(world: World) -> None:
    for _ in range(6):
        assert round_of(world) == []
    orders = world.store.find(Filter())
    assert [o.status for o in orders] == [Status.COMPLETED] * BURST
    assert not any(o.failed for o in orders)
    assert [world.paid(o.key) for o in orders] == [1] * BURST
    executed = world.chain.executed()
    assert [t.nonce for t in executed] == list(range(2 * BURST))
    assert world.bridge.accounts.exposure() == 0
    assert world.bridge.orders.in_flight() == []
    assert world.safety.standings() == []


def test_nothing_is_sent_while_the_store_in_memory_is_away(world: World) -> None:
    world.l2.set_orders(BURST // 2)
    round_of(world)
    world.l2.set_orders(BURST // 2)
    steps.detect(world.bridge, "zksync", world.run)
    world.store.down = True
    sent = len(world.chain.broadcasts)
    for _ in range(3):
        outages = round_of(world)
        assert set(outages) == {"database of the test: down"}
    assert len(world.chain.broadcasts) == sent
    world.store.down = False
    finish(world)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mmbot-outage-"))
    try:
        yield folder / "data"
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder)


@pytest.fixture
def burst(folder: Path) -> Iterator[World]:
    """Return a world whose orders are in a Postgres that the test may stop."""
    url = embedded.embedded_url(folder)
    migrate.upgrade(url)
    with in_postgres(url) as books:
        world = World()
        world.store, world.safety = books.orders, books.safety  # type: ignore[assignment]
        world.bridge = replace(
            world.bridge, orders=books.orders, accounts=books.accounts, safety=books.safety
        )
        world.l2.set_orders(BURST)
        yield world
    embedded.embedded_url(folder)
    migrate.downgrade(url, "base")


def stopping(world: World, folder: Path, question: str, after: int) -> None:
    """Stop Postgres when the chain is asked `question` for the time after `after` times."""
    ask, asked = getattr(world.chain, question), [0]

    def stop(*args: object, **kwargs: object) -> object:
        asked[0] += 1
        if asked[0] == after + 1:
            embedded.stop(folder)
        return ask(*args, **kwargs)

    setattr(world.chain, question, stop)


@pytest.mark.parametrize(
    ("question", "after"),
    [
        ("simulate", 0),  # while it is decided about the orders
        ("sign", BURST // 2),  # in the lane, with half of the transfers signed
        ("broadcast", 0),  # stored, not yet with a node
        ("receipts", 0),  # the transfers are mined, nobody knows
        ("sign", BURST + BURST // 2),  # in the lane, with half of the claims signed
        ("broadcast", 1),  # the claims are stored, not yet with a node
    ],
)
def test_postgres_is_restarted_in_the_middle_of_a_burst(
    burst: World, folder: Path, question: str, after: int
) -> None:
    stopping(burst, folder, question, after)
    assert round_of(burst) != []
    sent = len(burst.chain.broadcasts)
    for _ in range(2):
        outages = round_of(burst)
        assert outages != []
        assert all(said.startswith("database ") and "\n" not in said for said in outages)
    assert len(burst.chain.broadcasts) == sent
    embedded.embedded_url(folder)
    finish(burst)
