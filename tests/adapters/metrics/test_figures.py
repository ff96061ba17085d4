"""Metrics that are read from the database."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.bridge.figures import BUCKETS, Figures, PgFigures
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.alerting.notify import JOURNAL
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.core.errors import StoreUnavailable
from tests.adapters.metrics.sample_store import at, fill, go
from tests.bridge.orders import NOON

CHANNELS = (JOURNAL, "json 12345678")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()


def read(engine: Engine, seconds: float = 500) -> Figures:
    return PgFigures(lambda: engine, CHANNELS, clock=lambda: NOON + at(seconds)).read()


def test_an_empty_database(engine: Engine) -> None:
    figures = read(engine)
    assert (figures.orders, figures.failures, figures.to_transfer) == ({}, {}, {})
    assert figures.in_flight_seconds == 0


def test_everything_is_counted_where_it_stands(engine: Engine) -> None:
    fill(engine)
    figures = read(engine)
    assert figures.orders == {
        ("zksync", "PENDING", "healthy"): 1,
        ("zksync", "PENDING", "failed"): 1,
        ("zksync", "PENDING", "parked"): 1,
        ("zksync", "PROCESSING", "healthy"): 1,
        ("zksync", "TRANSFERRING", "healthy"): 1,
        ("zksync", "FULFILLED", "healthy"): 1,
        ("zksync", "COMPLETED", "healthy"): 1,
    }
    assert figures.oldest_seconds == {
        ("zksync", "healthy"): 500,
        ("zksync", "failed"): 500,
        ("zksync", "parked"): 500,
    }
    assert figures.exposure_wei == {("zksync",): 2 * 10**18}
    assert figures.fees_wei == {("zksync",): 10**16}
    assert figures.in_flight == {("transfer",): 2}
    assert figures.in_flight_seconds == 500
    assert figures.replacements == {("transfer",): 1}
    assert figures.gas_wei == {("transfer",): 2 * 20_000 * 2}
    assert figures.failures == {("transfer", "RpcRefused"): 2}
    assert figures.safety == {"zksync": "HALTED"}
    assert figures.cursors == {("zksync", "latest"): 100}
    assert figures.alerts_open == {("HIGH",): 2}
    assert figures.alerts_unsent == {(JOURNAL,): 0, ("json 12345678",): 2}


def test_durations_are_counted_up_to_each_bound(engine: Engine) -> None:
    fill(engine)
    figures = read(engine)
    transfer, repayment = figures.to_transfer["zksync"], figures.to_repayment["zksync"]
    assert (transfer.count, transfer.seconds) == (2, 12)
    # 5 seconds are within the bound of 5, 7 within that of 10
    assert dict(zip(BUCKETS, transfer.at_most, strict=True)) == {
        bound: (bound >= 5) + (bound >= 7) for bound in BUCKETS
    }
    assert (repayment.count, repayment.seconds) == (1, 400)


def test_what_a_reorg_removes_still_counts_once(engine: Engine) -> None:
    fill(engine)
    before = read(engine).to_transfer
    go(PgBridgeStore(engine), "zksync:5", Fact.TRANSFER_REORGED, 50)
    go(PgBridgeStore(engine), "zksync:5", Fact.MINED, 90)
    assert read(engine).to_transfer == before


def test_no_database_is_reported() -> None:
    engine = connect("postgresql://mmbot:s3cret@127.0.0.1:1/mmbot")
    with pytest.raises(StoreUnavailable):
        read(engine)
