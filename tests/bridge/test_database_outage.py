"""The database goes away in the middle of a burst: nothing lost, nothing paid twice."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmbot_pipelines.adapters.db import embedded, migrate
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.core.errors import OrdersFailed, StoreUnavailable
from tests.bridge.harness import BridgeHarness

BURST = 20
UNPAID = [Status.PENDING, Status.PROCESSING]


def round_of(harness: BridgeHarness) -> list[str]:
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
        harness.transfer([o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")])

    def repay() -> None:
        harness.repay([o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])])

    for do in (
        lambda: steps.detect(harness.bridge, "zksync", harness.run),
        transfer,
        harness.mine,
        repay,
        harness.mine,
        harness.l2.deliver,
        lambda: steps.settle(harness.bridge, "zksync", harness.run),
        lambda: steps.guard(harness.bridge, harness.run),
    ):
        attempt(do)
    harness.later(51)
    return outages


def finish(harness: BridgeHarness) -> None:
    for _ in range(6):
        assert round_of(harness) == []
    orders = harness.store.orders.find(OrderFilter())
    assert [o.status for o in orders] == [Status.COMPLETED] * BURST
    assert not any(o.failed for o in orders)
    assert [harness.paid(o.key) for o in orders] == [1] * BURST
    executed = harness.chain.executed()
    assert [t.nonce for t in executed] == list(range(2 * BURST))
    assert harness.bridge.store.orders.exposure() == 0
    assert harness.bridge.store.outbox.in_flight() == []
    assert harness.store.safety.scope_states() == []


def test_nothing_is_sent_while_the_database_is_away(harness: BridgeHarness) -> None:
    harness.l2.set_orders(BURST // 2)
    round_of(harness)
    harness.l2.set_orders(BURST // 2)
    steps.detect(harness.bridge, "zksync", harness.run)
    with harness.unreachable():
        sent = len(harness.chain.broadcasts)
        for _ in range(3):
            outages = round_of(harness)
            assert outages != []
            assert all(": down" in outage for outage in outages)
        assert len(harness.chain.broadcasts) == sent
    finish(harness)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mmbot-outage-"))
    try:
        yield folder / "data"
    finally:
        embedded.stop(folder / "data")
        shutil.rmtree(folder)


@pytest.fixture
def burst(folder: Path) -> Iterator[BridgeHarness]:
    """Return a harness whose orders are in a Postgres that the test may stop."""
    url = embedded.embedded_url(folder)
    migrate.upgrade(url)
    engine = connect(url)
    try:
        harness = BridgeHarness(engine=engine)
        harness.l2.set_orders(BURST)
        yield harness
    finally:
        engine.dispose()
    embedded.embedded_url(folder)
    migrate.downgrade(url, "base")


def stopping(harness: BridgeHarness, folder: Path, question: str, after: int) -> None:
    """Stop Postgres when the chain is asked `question` for the time after `after` times."""
    ask, asked = getattr(harness.chain, question), [0]

    def stop(*args: object, **kwargs: object) -> object:
        asked[0] += 1
        if asked[0] == after + 1:
            embedded.stop(folder)
        return ask(*args, **kwargs)

    setattr(harness.chain, question, stop)


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
    burst: BridgeHarness, folder: Path, question: str, after: int
) -> None:
    stopping(burst, folder, question, after)
    assert round_of(burst) != []
    sent = len(burst.chain.broadcasts)
    for _ in range(2):
        outages = round_of(burst)
        assert outages != []
        assert all(logged.startswith("database ") and "\n" not in logged for logged in outages)
    assert len(burst.chain.broadcasts) == sent
    embedded.embedded_url(folder)
    finish(burst)
