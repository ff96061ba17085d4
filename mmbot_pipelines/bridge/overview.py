"""Whether all is well, and what is not, from the database alone. Pure: facts in, lines out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import WalletMark
from mmbot_pipelines.bridge.ports.reports import Figures, total
from mmbot_pipelines.core.alerts import Alert
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.safety import ScopeState, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How the bridge stands at one time, as its database has it."""

    at: datetime  # UTC
    scope_states: Sequence[ScopeState]  # those that are stored; what was never changed is not
    orders: Mapping[tuple[str, str, str], int]  # by origin, status, condition
    oldest: timedelta | None  # age of the oldest unfinished order that is healthy
    parked: Sequence[Order]  # the first of them
    exposure: Wei  # paid out, or about to be, and not yet repaid
    by_origin: Mapping[str, Figures]  # since midnight, UTC; SHARED for what belongs to none
    oldest_of: Mapping[str, timedelta]  # as `oldest`, by origin
    wallets: Sequence[WalletMark]
    cursors: Mapping[tuple[str, str], int]  # by origin and kind: the last block read
    alerts: Sequence[Alert]  # open
    daemon_seen_at: datetime | None  # UTC; None: by nobody within the heartbeats' time
    explorers: Mapping[str, str] = field(default_factory=dict)  # by scope, URLs for people
    # by origin and part of the way, see `OrderTime`: the median of the orders of the last hour
    median_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)

    @property
    def today(self) -> Figures:
        """Return what happened since midnight, UTC, of all origins."""
        return total(self.by_origin.values())

    @property
    def is_well(self) -> bool:
        """Return whether nothing waits for a person."""
        return not self.alerts and not self.problems()

    @property
    def unfinished(self) -> Counter[Status]:
        """Count the orders that are neither completed nor dropped, by status."""
        found: Counter[Status] = Counter()
        for (_, status, _), count in self.orders.items():
            if not Status(status).is_final:
                found[Status(status)] += count
        return found

    def in_condition(self, condition: str) -> int:
        """Count the orders that are healthy, failed or parked."""
        return sum(count for (_, _, stands), count in self.orders.items() if stands == condition)

    def problems(self) -> list[str]:
        """Return a line for each thing that waits for a person, the gravest first.

        Open alerts are not among them: they say most of it again, after the sensor's next tick.
        """
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        if self.daemon_seen_at is None:
            yield (
                "no Dagster daemon sends heartbeats: nothing is detected and nothing paid; "
                "start `dagster-daemon run`"
            )
        for scope in self.scope_states:
            if scope.state is not State.NORMAL:
                yield scope.summary
        for order in self.parked:
            why = (order.reason or "no reason is stored").partition("\n")[0]
            yield f"{order.key} is parked at {order.status}: {why}; `mmbot retry {order.key}`"
        more = self.in_condition("parked") - len(self.parked)
        if more > 0:
            yield f"{more} more orders are parked; `mmbot orders --failed` lists them"
