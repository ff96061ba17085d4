"""Sums that are kept as rows change: they are those of the rows, and counters never fall."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from sqlalchemy import Engine, func, select, text

from mmbot_pipelines.adapters.db.bridge.figures import BUCKETS
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.tables.monitoring import tallies
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from tests.adapters.metrics.sample_store import at, fill, go
from tests.bridge.orders import NOON
from tests.ports.store_writes import reopen

VERSIONS = "mmbot_pipelines.adapters.db.migrations.versions"
MIGRATION, EXPOSURE = (
    import_module(f"{VERSIONS}.{name}") for name in ("0011_tallies", "0019_bounds")
)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()


def sums(engine: Engine) -> dict[tuple[str, ...], float]:
    total = func.sum(tallies.c.value)
    query = select(tallies.c.name, tallies.c.labels, total).group_by(
        tallies.c.name, tallies.c.labels
    )
    with engine.connect() as connection:
        return {(n, *labels): float(v) for n, labels, v in connection.execute(query) if v}


def test_an_upgrade_counts_what_is_stored_as_the_triggers_do(engine: Engine) -> None:
    fill(engine)
    kept = sums(engine)
    assert {name for name, *_ in kept} == {
        *("orders", "transfer", "transfer_seconds", "repayment", "repayment_seconds"),
        *("fees", "replacements", "gas", "failures", "exposure"),
    }
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE mmbot.tallies"))
        connection.execute(text(MIGRATION.SO_FAR))
        connection.execute(text(EXPOSURE.SO_FAR))
    assert sums(engine) == kept


def test_no_counter_falls_when_chains_take_blocks_back(engine: Engine) -> None:
    fill(engine)
    before = sums(engine)
    store = PgBridgeStore(engine)
    go(store, "zksync:6", Fact.SETTLEMENT_REORGED, 500)
    (paid,) = store.orders.get(["zksync:5"])
    (mined,) = store.outbox.of(paid.key)
    back = paid.after(Fact.TRANSFER_REORGED, at=NOON)
    reopen(store, mined, paid, back, run_id="run", at=NOON + at(600))
    after = sums(engine)
    assert after.pop(("orders", "zksync", "PROVED", "healthy")) == 1
    falling = {key for key in before if after.get(key, 0) < before[key]}
    assert {key[:3] for key in falling} == {
        ("orders", "zksync", "COMPLETED"),
        ("orders", "zksync", "FULFILLED"),
    }
    go(store, "zksync:6", Fact.SETTLED, 900)
    assert sums(engine)["fees", "zksync"] == before["fees", "zksync"]


def test_rows_are_folded_and_nothing_is_lost(engine: Engine) -> None:
    with engine.begin() as connection:
        many = "SELECT mmbot.tally('test', '{a}', 1) FROM generate_series(1, 20000)"
        connection.execute(text(many))
        stored = connection.scalar(select(func.count()).select_from(tallies))
    assert sums(engine) == {("test", "a"): 20_000}
    assert stored is not None
    assert stored < 10_000


def test_the_histograms_have_the_bounds_that_are_counted() -> None:
    assert ", ".join(map(str, BUCKETS)) == MIGRATION.BOUNDS
