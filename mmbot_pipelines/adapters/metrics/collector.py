"""All metrics: read for a scrape, and kept for no less time than reading them took.

Reads chain and store.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from mmbot_pipelines.adapters.db.bridge.figures import Figures
from mmbot_pipelines.adapters.metrics.families import (
    gauge,
    lag,
    money_metrics,
    node_metrics,
    order_metrics,
    safety_metrics,
    transaction_metrics,
    wallet_metrics,
)
from mmbot_pipelines.adapters.rpc.health import NodeHealthReport
from mmbot_pipelines.adapters.rpc.nodes import Nodes
from mmbot_pipelines.core.errors import Failure, InvalidSettings
from mmbot_pipelines.core.money import Address, Wei

_KEEP_SECONDS = 5.0  # minimum, so that several scrapers cause one reading
_WAIT_SECONDS = 7.0  # of a scrape, whatever hangs: Prometheus waits for 10
_HANGS_SECONDS = 30.0  # a reading that lasts longer will not end: it has failed
_SHARE = 10  # reading takes at most a tenth of the time, however large the tables are

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
        self._begun = 0.0
        self._until: float | None = None
        self._done = threading.Event()  # of the reading that is under way, or was
        self._done.set()

    def renew(self) -> threading.Event:
        """Begin a new reading where the value is old; return an event that is set at its end."""
        with self._turn:
            now = self._clock()
            if self._done.is_set() and (self._until is None or now >= self._until):
                self._begun, self._done = now, threading.Event()
                threading.Thread(target=self._renew, args=(self._done,), daemon=True).start()
            return self._done

    def get(self, patience: float = _WAIT_SECONDS) -> _T | None:
        """Return the value, or None while it cannot be read; a slow reading lasts on."""
        if not self.renew().wait(patience) and self._clock() - self._begun > _HANGS_SECONDS:
            return None
        return self._value

    def _renew(self, done: threading.Event) -> None:
        value = None
        try:
            value = self._read()
        except (Failure, InvalidSettings):
            pass  # a failed reading was no work for the other side
        finally:
            end = self._clock()
            self.took = end - self._begun
            remaining = 0.0 if value is None else _SHARE * self.took
            self._value, self._until = value, end + max(self._keep, remaining)
            done.set()


def node_health(chains: Sequence[Nodes]) -> list[NodeHealthReport]:
    """Poll every node of every chain, all at once, and return their records.

    Two of one chain at one host become "host" and "host#2".
    """
    with ThreadPoolExecutor(max(1, len(chains))) as pool:
        list(pool.map(lambda chain: chain.poll_health(include_open=True), chains))
    seen: Counter[tuple[str, str]] = Counter()
    records = [record for chain in chains for record in chain.health()]
    for place, record in enumerate(records):
        seen[record.chain, record.host] += 1
        if (number := seen[record.chain, record.host]) > 1:
            records[place] = replace(record, host=f"{record.host}#{number}")
    return records


class Metrics(Collector):
    """The collector that prometheus-client calls at every scrape."""

    def __init__(
        self,
        reader: Reader,
        chains: Callable[[], Sequence[Nodes]],
        balances: Callable[[], Mapping[Address, Wei]],
        *,
        origins: Sequence[str],
        max_exposure: Wei | None = None,
        min_balance: Wei = Wei(0),  # noqa: B008 - a number, not a call's result
        dry_run: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Plug the sources together; nothing is read yet.

        chains: what it returns is plugged together at the first scrape.
        """
        self._figures = Kept(reader.read, clock)
        self._nodes = Kept(lambda: node_health(chains()), clock)
        self._balances = Kept(balances, clock)
        self._origins = origins
        self._max_exposure = max_exposure
        self._min_balance = min_balance
        self._dry_run = dry_run

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; one that cannot be read is left out (`database_up` 0)."""
        for kept in (self._nodes, self._figures, self._balances):
            kept.renew()
        end = time.monotonic() + _WAIT_SECONDS
        nodes = self._nodes.get(end - time.monotonic()) or []
        figures = self._figures.get(end - time.monotonic())
        balances = self._balances.get(end - time.monotonic())
        yield gauge("database_up", "Whether the database answers.", float(figures is not None))
        yield gauge(
            "database_read_seconds", "Time that reading the database took.", self._figures.took
        )
        yield from node_metrics(nodes)
        yield from self._wallets(balances or {})
        if figures is not None:
            yield from order_metrics(figures, self._origins)
            yield from money_metrics(figures, self._origins)
            yield from transaction_metrics(figures)
            yield from safety_metrics(figures, self._origins)
            yield lag(figures.cursors, nodes)

    def _wallets(self, balances: Mapping[Address, Wei]) -> Iterator[Metric]:
        yield from wallet_metrics(balances, self._min_balance)
        yield gauge("dry_run", "1 where nothing is signed or sent.", float(self._dry_run))
        if self._max_exposure is not None:
            limit = float(self._max_exposure)
            yield gauge("exposure_limit_wei", "What may be paid out and not yet repaid.", limit)
