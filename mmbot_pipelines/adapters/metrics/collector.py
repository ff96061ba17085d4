"""All metrics, read anew for a scrape and kept for as long as reading them was work.

Names and units follow Prometheus' practice; money is in wei, as everywhere else here.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from mmbot_pipelines.adapters.metrics.figures import BUCKETS, CONDITIONS, Counts, Durations, Figures
from mmbot_pipelines.adapters.metrics.nodes import Health, Probe, ask_all
from mmbot_pipelines.bridge.order import Status
from mmbot_pipelines.core.errors import BadSettings, Failure
from mmbot_pipelines.core.money import Wei

_KEEP_SECONDS = 5.0  # at least, so that several who scrape read once
_SHARE = 10  # reading takes at most a tenth of the time, however large the tables are

_STATES = ("NORMAL", "THROTTLED", "HALTED")
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW")

_T = TypeVar("_T")


class Reader(Protocol):
    """The database's figures."""

    def read(self) -> Figures:
        """Read all of them.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """


class Kept(Generic[_T]):
    """A value that is read again when it is old, by one thread at a time."""

    def __init__(
        self, read: Callable[[], _T], clock: Callable[[], float], keep: float = _KEEP_SECONDS
    ) -> None:
        self.took = 0.0  # seconds, of the last reading
        self._read = read
        self._clock = clock
        self._keep = keep
        self._turn = threading.Lock()
        self._value: _T | None = None
        self._until: float | None = None

    def get(self) -> _T | None:
        """Return the value, or None while it cannot be read."""
        with self._turn:
            begun = self._clock()
            if self._until is None or begun >= self._until:
                try:
                    self._value = self._read()
                except (Failure, BadSettings):
                    self._value = None  # a failed reading was no work for the other side
                done = self._clock()
                self.took = done - begun
                rest = 0.0 if self._value is None else _SHARE * self.took
                self._until = done + max(self._keep, rest)
            return self._value


class Metrics(Collector):
    """What prometheus-client asks at every scrape."""

    def __init__(
        self,
        reader: Reader,
        probes: Sequence[Probe],
        balance: Callable[[], Wei],
        *,
        origins: Sequence[str],
        max_exposure: Wei | None = None,
        min_balance: Wei = Wei(0),  # noqa: B008 - a number, not a call's result
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Plug the sources together; nothing is read yet."""
        self._figures = Kept(reader.read, clock)
        self._nodes = Kept(lambda: ask_all(probes), clock)
        self._balance = Kept(balance, clock)
        self._origins = origins
        self._max_exposure = max_exposure
        self._min_balance = min_balance

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; of what cannot be read there is none, and `up` says so."""
        nodes = self._nodes.get() or []
        figures = self._figures.get()
        yield _gauge("database_up", "Whether the database answers.", float(figures is not None))
        yield _gauge(
            "database_read_seconds", "Time that reading the database took.", self._figures.took
        )
        yield from _node_metrics(nodes)
        yield from self._wallet()
        if figures is not None:
            yield from _order_metrics(figures, self._origins)
            yield from _money_metrics(figures, self._origins)
            yield from _transaction_metrics(figures)
            yield from _safety_metrics(figures, self._origins)
            yield _lag(figures.cursors, nodes)

    def _wallet(self) -> Iterator[Metric]:
        balance = self._balance.get()
        if balance is not None:
            yield _gauge("wallet_balance_wei", "What the L1 wallet has.", float(balance))
        if self._min_balance:
            floor = float(self._min_balance)
            yield _gauge("wallet_floor_wei", "What the L1 wallet should have at least.", floor)
        if self._max_exposure is not None:
            most = float(self._max_exposure)
            yield _gauge("exposure_limit_wei", "What may be paid out and not yet repaid.", most)


def _order_metrics(figures: Figures, origins: Sequence[str]) -> Iterator[Metric]:
    zeros = {(o, s.value, c): 0.0 for o in origins for s in Status for c in CONDITIONS}
    yield _gauges(
        "orders",
        "Orders by where they stand; parked ones wait for a person.",
        ("origin", "status", "condition"),
        zeros | dict(figures.orders),
    )
    ages = {(origin, condition): 0.0 for origin in origins for condition in CONDITIONS}
    yield _gauges(
        "oldest_unfinished_order_age_seconds",
        "Since the oldest order that is neither completed nor dropped was found.",
        ("origin", "condition"),
        ages | dict(figures.oldest_seconds),
    )
    yield _histogram(
        "order_transfer_seconds",
        "From finding an order until its recipient is paid.",
        figures.to_transfer,
        origins,
    )
    yield _histogram(
        "order_repayment_seconds",
        "From finding an order until the escrow has paid us.",
        figures.to_repayment,
        origins,
    )
    yield _counters(
        "failures",
        "Errors by the step they happened in and their class.",
        ("step", "kind"),
        figures.failures,
    )


def _money_metrics(figures: Figures, origins: Sequence[str]) -> Iterator[Metric]:
    none = {(origin,): 0.0 for origin in origins}
    yield _gauges(
        "exposure_wei",
        "What is paid out, or about to be, and not yet repaid.",
        ("origin",),
        none | dict(figures.exposure_wei),
    )
    yield _counters(
        "fees_wei",
        "Fees of the completed orders.",
        ("origin",),
        none | dict(figures.fees_wei),
    )
    yield _counters(
        "gas_wei",
        "What mined transactions have paid for gas on L1.",
        ("purpose",),
        figures.gas_wei,
    )


def _transaction_metrics(figures: Figures) -> Iterator[Metric]:
    none = {(purpose,): 0.0 for purpose in ("transfer", "repay")}
    yield _gauges(
        "transactions_in_flight",
        "Transactions signed and not yet mined.",
        ("purpose",),
        none | dict(figures.in_flight),
    )
    yield _gauge(
        "oldest_transaction_in_flight_age_seconds",
        "Since the oldest transaction that is not yet mined was signed.",
        figures.in_flight_seconds,
    )
    yield _counters(
        "replacements",
        "Transactions that were sent again with higher fees.",
        ("purpose",),
        none | dict(figures.replacements),
    )


def _safety_metrics(figures: Figures, origins: Sequence[str]) -> Iterator[Metric]:
    now = dict.fromkeys(("global", *origins), "NORMAL") | dict(figures.safety)
    yield _gauges(
        "safety_state",
        "1 for the state that a scope is in.",
        ("scope", "state"),
        {(scope, state): float(state == held) for scope, held in now.items() for state in _STATES},
    )
    yield _gauges(
        "alerts_open",
        "Conditions that an operator was told of and that still hold.",
        ("severity",),
        {(severity,): 0.0 for severity in _SEVERITIES} | dict(figures.alerts_open),
    )
    yield _gauges(
        "alerts_untold",
        "Alerts and recoveries that a channel has not taken yet.",
        ("channel",),
        figures.alerts_untold,
    )


def _node_metrics(nodes: Sequence[Health]) -> Iterator[Metric]:
    labels = ("chain", "node")
    yield _gauges(
        "rpc_up",
        "Whether an RPC node answers and serves the right chain.",
        labels,
        {(n.chain, n.host): float(n.up) for n in nodes},
    )
    yield _gauges(
        "rpc_response_seconds",
        "Time that an RPC node took to answer.",
        labels,
        {(n.chain, n.host): n.seconds for n in nodes if n.up},
    )
    yield _gauges(
        "rpc_head_block",
        "The newest block that an RPC node has.",
        labels,
        {(n.chain, n.host): float(n.height) for n in nodes if n.height is not None},
    )


def _lag(cursors: Counts, nodes: Iterable[Health]) -> Metric:
    """Compare how far an origin was read with its highest node."""
    heads: dict[str, int] = {}
    for node in nodes:
        if node.height is not None:
            heads[node.chain] = max(node.height, heads.get(node.chain, 0))
    return _gauges(
        "sensor_lag_blocks",
        "Blocks of an origin that its sensor, or the backfill of accepted ones, has not read.",
        ("origin", "cursor"),
        {
            (origin, kind): max(0.0, heads[origin] - number)
            for (origin, kind), number in cursors.items()
            if origin in heads
        },
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"mmbot_{name}", text, value=value)


def _gauges(name: str, text: str, labels: Sequence[str], values: Counts) -> Metric:
    family = GaugeMetricFamily(f"mmbot_{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _counters(name: str, text: str, labels: Sequence[str], values: Counts) -> Metric:
    family = CounterMetricFamily(f"mmbot_{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, text: str, values: Mapping[str, Durations], origins: Sequence[str]
) -> Metric:
    family = HistogramMetricFamily(f"mmbot_{name}", text, labels=["origin"])
    none = Durations(at_most=(0,) * len(BUCKETS), count=0, seconds=0.0)
    for origin, taken in sorted((dict.fromkeys(origins, none) | dict(values)).items()):
        bounds = [(str(float(b)), float(n)) for b, n in zip(BUCKETS, taken.at_most, strict=True)]
        family.add_metric([origin], [*bounds, ("+Inf", float(taken.count))], taken.seconds)
    return family
