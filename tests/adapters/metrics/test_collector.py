"""Scrapes: what is missing when something is away, and how often anything is read."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from mmbot_pipelines.adapters.db.bridge.figures import BUCKETS, Durations, Figures
from mmbot_pipelines.adapters.metrics import collector
from mmbot_pipelines.adapters.metrics.collector import Kept, Metrics
from mmbot_pipelines.core.errors import RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.money import Address, Wei
from tests.polling import until

EMPTY = Figures(
    orders={},
    oldest_seconds={},
    exposure_wei={},
    fees_wei={},
    to_transfer={},
    to_repayment={},
    in_flight={},
    in_flight_seconds=0,
    replacements={},
    gas_wei={},
    messages_wei={},
    refunds_wei={},
    starknet_fees_fri=0,
    failures={},
    safety={},
    cursors={},
    alerts_open={},
    alerts_unsent={},
)


class Reader:
    def __init__(self) -> None:
        self.figures = EMPTY
        self.down = False
        self.hangs: threading.Event | None = None

    def read(self) -> Figures:
        if self.hangs:
            self.hangs.wait()
        if self.down:
            raise StoreUnavailable("away")
        return self.figures


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Give an event to hang on, which comes when the test is over."""
    over = threading.Event()
    yield over
    over.set()


WALLET = Address("0x" + "11" * 20)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def scraped(
    reader: Reader, balance: Callable[[], Wei] = lambda: Wei(10**18), clock: Clock | None = None
) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(
        Metrics(
            reader,
            list,
            lambda: {WALLET: balance()},
            origins=["zksync"],
            max_exposure=Wei(5),
            min_balance=Wei(3),
            clock=clock or Clock(),
        )
    )
    return registry


def names(registry: CollectorRegistry) -> set[str]:
    return {sample.name for family in registry.collect() for sample in family.samples}


def test_an_empty_bot_has_zeros_not_gaps() -> None:
    registry = scraped(Reader())
    value = registry.get_sample_value
    assert value("mmbot_database_up") == 1
    labels = {"origin": "zksync", "status": "COMPLETED", "condition": "healthy"}
    assert value("mmbot_orders", labels) == 0
    assert value("mmbot_order_transfer_seconds_count", {"origin": "zksync"}) == 0
    assert value("mmbot_safety_state", {"scope": "global", "state": "NORMAL"}) == 1
    assert value("mmbot_safety_state", {"scope": "zksync", "state": "HALTED"}) == 0
    assert value("mmbot_exposure_limit_wei") == 5
    assert value("mmbot_wallet_floor_wei", {"wallet": WALLET}) == 3


def test_without_the_database_its_metrics_are_gone_and_up_reports_it() -> None:
    reader, clock = Reader(), Clock()
    registry = scraped(reader, clock=clock)
    assert "mmbot_orders" in names(registry)
    reader.down = True
    clock.now += 10
    assert "mmbot_orders" not in names(registry)
    assert registry.get_sample_value("mmbot_database_up") == 0
    assert registry.get_sample_value("mmbot_wallet_balance_wei", {"wallet": WALLET}) == 10**18
    reader.down = False
    clock.now += 10
    assert registry.get_sample_value("mmbot_database_up") == 1


def test_without_the_chain_there_is_no_balance() -> None:
    def away() -> Wei:
        raise RpcUnavailable("nobody answers")

    registry = scraped(Reader(), away)
    assert "mmbot_wallet_balance_wei" not in names(registry)
    assert registry.get_sample_value("mmbot_database_up") == 1


def test_histograms_end_with_infinity() -> None:
    reader = Reader()
    taken = Durations(at_most=tuple(range(len(BUCKETS))), count=99, seconds=1234.5)
    reader.figures = replace(EMPTY, to_repayment={"zksync": taken})
    value = scraped(reader).get_sample_value
    name = "mmbot_order_repayment_seconds"
    assert value(f"{name}_bucket", {"origin": "zksync", "le": "2.0"}) == 1
    assert value(f"{name}_bucket", {"origin": "zksync", "le": "+Inf"}) == 99
    assert value(f"{name}_count", {"origin": "zksync"}) == 99
    assert value(f"{name}_sum", {"origin": "zksync"}) == 1234.5


def test_a_reading_is_kept_and_a_slow_one_for_longer() -> None:
    clock, readings = Clock(), []

    def read() -> int:
        clock.now += 3
        readings.append(clock.now)
        return len(readings)

    kept = Kept(read, clock)
    assert [kept.get(), kept.get()] == [1, 1]
    clock.now += 29
    assert kept.get() == 1
    clock.now += 1
    assert kept.get() == 2
    assert kept.took == 3


def test_what_failed_slowly_is_tried_again_soon() -> None:
    clock, readings = Clock(), []

    def fail() -> int:
        clock.now += 8
        readings.append(clock.now)
        raise StoreUnavailable("away")

    kept = Kept(fail, clock)
    assert [kept.get(), kept.get()] == [None, None]
    clock.now += 5
    assert kept.get() is None
    assert len(readings) == 2


def test_what_hangs_keeps_no_scrape_waiting(
    hanging: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, clock = Reader(), Clock()

    def balance() -> Wei:
        return Wei(reader.hangs is None or reader.hangs.wait())

    registry = scraped(reader, balance, clock)
    assert {"mmbot_orders", "mmbot_wallet_balance_wei"} <= names(registry)
    monkeypatch.setattr(collector, "_WAIT_SECONDS", 0.05)
    reader.hangs = hanging
    clock.now += 10
    assert registry.get_sample_value("mmbot_database_up") == 1  # it may be just slow
    clock.now += 31
    assert names(registry).isdisjoint({"mmbot_orders", "mmbot_wallet_balance_wei"})
    assert registry.get_sample_value("mmbot_database_up") == 0


def test_what_hangs_is_read_once_at_a_time(hanging: threading.Event) -> None:
    clock, begun = Clock(), []

    def read() -> int:
        begun.append(clock.now)
        hanging.wait()
        return len(begun)

    kept = Kept(read, clock)
    assert kept.get(0) is None
    until(lambda: begun)
    clock.now += 60
    assert kept.get(0) is None
    assert begun == [0]
    hanging.set()
    assert kept.get() == 1
