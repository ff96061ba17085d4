"""Read how the bridge stands from its database alone, so that `mmbot status` answers at once."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from statistics import median

from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.figures import HEALTHY, PgFigures
from mmbot_pipelines.adapters.db.bridge.order_stats import PgOrderStats
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.bridge.alerting.notify import JOURNAL
from mmbot_pipelines.bridge.overview import Overview
from mmbot_pipelines.core.daemons import HEARTBEAT_TIMEOUT

_LAST_HOUR = timedelta(hours=1)
_MAX_PARKED = 10  # listed, of each kind


def overview(
    engine: Engine, at: datetime, *, explorers: Mapping[str, str] | None = None
) -> Overview:
    """Read everything.

    Raises:
        StoreUnavailable: the database cannot be reached.
    """
    store = PgBridgeStore(engine)
    figures = PgFigures(lambda: engine, [JOURNAL], clock=lambda: at).read()
    parked = PgOrderStats(engine).parked(max_paid=_MAX_PARKED, max_unpaid=_MAX_PARKED)
    midnight = datetime.combine(at.astimezone(UTC), time(), UTC)
    oldest = {
        origin: timedelta(seconds=seconds)
        for (origin, stands), seconds in figures.oldest_seconds.items()
        if stands == HEALTHY
    }
    daemons = PgDaemons(engine).alive_since(at - HEARTBEAT_TIMEOUT)
    reports = PgReports(engine)
    took = defaultdict[tuple[str, str], list[float]](list)
    for one in reports.order_times(since=at - _LAST_HOUR, until=at):
        took[one.origin, one.part].append(one.seconds)
    return Overview(
        at=at,
        scope_states=store.safety.scope_states(),
        orders={(o, s, c): int(count) for (o, s, c), count in figures.orders.items()},
        oldest=max(oldest.values(), default=None),
        oldest_of=oldest,
        parked=[*parked.paid, *parked.unpaid],
        exposure=store.orders.exposure(),
        by_origin={d.origin: d.figures for d in reports.days(since=midnight)},
        wallets=PgAccounts(engine).wallet_marks(),
        cursors={(network, kind): int(n) for (network, kind), n in figures.cursors.items()},
        alerts=PgAlertLog(engine).open(JOURNAL),
        daemon_seen_at=max((d.last_at for d in daemons), default=None),
        explorers=explorers or {},
        median_seconds={part: median(seconds) for part, seconds in took.items()},
    )
