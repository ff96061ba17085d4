"""A glance at the bridge: an asset that is green when all is well, and what each part holds.

overview   every 60 s: reads the sums in the database once; reports the asset `overview` with its
           check, and the parts of each origin whose figures have changed since

No event stands for one order: a burst is one event a part, whatever its size.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import dagster as dg

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.overview import Overview
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.bridge.ports.reports import Figures
from mmbot_pipelines.core.safety import GLOBAL, effective_state
from mmbot_pipelines.defs.bridge.assets import (
    CLAIMS,
    ORDERS,
    OWNERS,
    SETTLEMENTS,
    TRANSFERS,
    asset_of,
)
from mmbot_pipelines.defs.bridge.metadata import Value, amounts, listed
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

ReadOverview = dg.ResourceParam[Callable[[datetime], Overview]]
OVERVIEW = dg.AssetKey("overview")
ALL_IS_WELL = "all_is_well"

_SECONDS = 60
_AT_LEAST_EVERY = timedelta(minutes=10)  # a point in the plots
_NOTHING = Figures()
_TIMED = {TRANSFERS: "transfer", SETTLEMENTS: "repayment"}  # see `OrderTime`
_MEDIAN = {
    TRANSFERS: "seconds from found to paid, p50 of the last hour",
    SETTLEMENTS: "seconds from paid to repaid, p50 of the last hour",
}

_Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


@dg.asset(
    key=OVERVIEW,
    group_name="overview",
    kinds={"postgres"},
    owners=OWNERS,
    description="Whether all is well: safety, orders, money out, today's profit, wallets, alerts. "
    "Kept by the sensor `overview`; materialize it to read it now.",
    check_specs=[
        dg.AssetCheckSpec(
            ALL_IS_WELL,
            asset=OVERVIEW,
            description="Does nothing wait for a person? Else a line for each thing that does.",
        )
    ],
    config_schema={},
)
def overview(read_overview: ReadOverview) -> Iterator[dg.MaterializeResult[None]]:
    with operator_errors():
        now = read_overview(datetime.now(UTC))
    waiting = waits_for_a_person(now)
    result = dg.AssetCheckResult(
        check_name=ALL_IS_WELL,
        passed=not waiting,
        description=waiting[0] if waiting else "all is well",
        metadata=_waiting(now, waiting),
    )
    yield dg.MaterializeResult(metadata=_overview(now) | _age(now.oldest), check_results=[result])


@dg.sensor(
    name="overview",
    minimum_interval_seconds=_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reports whether all is well, and what the parts of each origin hold.",
)
@operator_errors()
def overview_sensor(
    context: dg.SensorEvaluationContext, read_overview: ReadOverview
) -> dg.SensorResult:
    now = read_overview(datetime.now(UTC))
    waiting = waits_for_a_person(now)
    seen = _seen(context.cursor)
    events: list[_Event] = []
    marks: dict[str, str] = {}
    marks["overview"] = _mark([waiting, _values(_overview(now))])
    marks["at"] = seen.get("at", "")
    if seen.get("overview") != marks["overview"] or _is_old(marks["at"], now.at):
        marks["at"] = now.at.isoformat()
        events += [
            dg.AssetMaterialization(OVERVIEW, metadata=_overview(now) | _age(now.oldest)),
            dg.AssetCheckEvaluation(
                asset_key=OVERVIEW,
                check_name=ALL_IS_WELL,
                passed=not waiting,
                description=waiting[0] if waiting else "all is well",
                metadata=_waiting(now, waiting),
            ),
        ]
    for origin in sorted({origin for origin, _ in now.cursors}):
        for part, figures in _parts(now, origin):
            name = f"{part}/{origin}"
            marks[name] = _mark(_values(figures))
            if seen.get(name) != marks[name]:
                beside = _beside(now, origin, part)
                key = asset_of(part, origin)
                events.append(dg.AssetMaterialization(key, metadata=figures | beside))
    return dg.SensorResult(
        skip_reason=dg.SkipReason("\n".join(waiting) or "all is well"),
        asset_events=events,
        cursor=json.dumps(marks),
    )


def waits_for_a_person(now: Overview) -> list[str]:
    """Return a line for each thing that waits for a person, and for each open alert."""
    return [*now.problems(), *(f"[{a.severity}] {a.title}" for a in now.alerts)]


def _waiting(now: Overview, lines: Sequence[str]) -> dict[str, Value]:
    return {"waits for you": listed(lines, now.explorers.get(GLOBAL))} if lines else {}


def _overview(now: Overview) -> dict[str, Value]:
    metadata: dict[str, Value] = {
        "safety": dg.MetadataValue.text(str(effective_state(now.scope_states, GLOBAL).state)),
        "unfinished orders": dg.MetadataValue.int(now.unfinished.total()),
        "failed orders": dg.MetadataValue.int(now.in_condition("failed")),
        "parked orders": dg.MetadataValue.int(now.in_condition("parked")),
        "open alerts": dg.MetadataValue.int(len(now.alerts)),
        "completed today": dg.MetadataValue.int(now.today.completed),
        **amounts({"exposure": now.exposure, "profit today": now.today.profit}),
    }
    for known in now.wallets:
        name = f"wallet {known.wallet} on chain {known.chain_id}"
        metadata |= amounts({name: known.mark.account.balance})
    if explorer := now.explorers.get(GLOBAL):
        metadata["wallets"] = listed([str(known.wallet) for known in now.wallets], explorer)
    return metadata


def _parts(now: Overview, origin: str) -> Iterator[tuple[str, dict[str, Value]]]:
    """Yield the parts of an origin's orders, each with its figures of today (UTC)."""
    today = now.by_origin.get(origin, _NOTHING)
    held = {
        status: sum(n for (o, s, _), n in now.orders.items() if (o, s) == (origin, status))
        for status in Status
    }
    found = _counts({"found today": today.found, "dropped today": today.dropped})
    waiting = held[Status.PENDING] + held[Status.PROCESSING]
    yield ORDERS, found | _counts({"to be paid": waiting})
    out = {"transferred today": today.transferred, "in flight": held[Status.TRANSFERRING]}
    yield TRANSFERS, _counts(out) | amounts({"paid today": today.paid})
    claims = {
        "to be claimed": held[Status.FULFILLED],
        "claims in flight": held[Status.PROVING],
        "claims on their way to the L2": held[Status.PROVED],
    }
    costs = {"gas today": today.gas_paid, "messages today": today.messages_paid}
    yield CLAIMS, _counts(claims) | amounts(costs)
    earned = {
        "repaid today": today.repaid,
        "fees today": today.earned,
        "refunds today": today.refunded,
        "profit today": today.profit,
    }
    yield SETTLEMENTS, _counts({"completed today": today.completed}) | amounts(earned)


def _counts(given: Mapping[str, int]) -> dict[str, Value]:
    return {name: dg.MetadataValue.int(count) for name, count in given.items()}


def _beside(now: Overview, origin: str, part: str) -> dict[str, Value]:
    """Return what changes by itself, and is reported only beside other news."""
    if part != ORDERS:
        seconds = now.median_seconds.get((origin, _TIMED.get(part, "")))
        return {} if seconds is None else {_MEDIAN[part]: dg.MetadataValue.float(seconds)}
    blocks = {
        f"{kind} block read": now.cursors[origin, kind]
        for kind in Cursor
        if (origin, kind) in now.cursors
    }
    return _counts(blocks) | _age(now.oldest_of.get(origin))


def _age(oldest: timedelta | None) -> dict[str, Value]:
    if oldest is None:
        return {}
    return {"oldest unfinished order, seconds": dg.MetadataValue.float(oldest.total_seconds())}


def _values(metadata: Mapping[str, Value]) -> dict[str, object]:
    return {name: value.value for name, value in metadata.items()}


def _mark(news: object) -> str:
    return sha256(json.dumps(news, default=str, sort_keys=True).encode()).hexdigest()[:16]


def _seen(cursor: str | None) -> dict[str, str]:
    """Return what the last tick reported; anybody may edit it in the UI."""
    try:
        seen = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in seen.items()} if isinstance(seen, dict) else {}


def _is_old(at: str, now: datetime) -> bool:
    try:
        return not at or now - datetime.fromisoformat(at) >= _AT_LEAST_EVERY
    except (ValueError, TypeError):
        return True


definitions = dg.Definitions(assets=[overview], sensors=[overview_sensor])
