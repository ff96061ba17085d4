"""What was earned each day, as partitions of an asset: tables, charts and files.

daily_report   an asset: materializing the partition of a day reports it; today's is what is so far
daily_report   every day at 00:10 UTC: reports yesterday

A day changes as long as one of its transactions is undecided: materialize it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from mmbot_pipelines.bridge.ports.reports import (
    DayOfOrigin,
    Figures,
    HourOfExposure,
    Reports,
    total,
)
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.money import format_ether, in_strk
from mmbot_pipelines.defs.bridge.assets import OWNERS, SETTLEMENTS, asset_of
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

_NAME = "daily_report"
_WEI_PER_ETH = 10**18


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyReports:
    """Where a day's figures come from, and where its files go."""

    reports: Reports
    folder: Path


def definitions(first_day: date, origins: Sequence[str]) -> dg.Definitions:
    """Return the report's asset, with a partition for every day from the first one to today.

    origins: whose settlements it sums up.
    """
    days = dg.DailyPartitionsDefinition(first_day.isoformat(), timezone="UTC", end_offset=1)

    @dg.asset(
        name=_NAME,
        partitions_def=days,
        deps=[asset_of(SETTLEMENTS, origin) for origin in origins],
        group_name="reports",
        owners=OWNERS,
        config_schema={},
        kinds={"pandas", "parquet"},
        description=(
            "What a day earned and cost by origin, in UTC: orders, fees, gas, messages, profit, "
            "losses, exposure, and how long orders took. Amounts in the table and the files are "
            "exact."
        ),
    )
    def daily_report(
        context: dg.AssetExecutionContext, daily_reports: dg.ResourceParam[DailyReports]
    ) -> dg.MaterializeResult[None]:
        with operator_errors():
            metadata = _report(
                daily_reports, date.fromisoformat(context.partition_key), datetime.now(UTC)
            )
        context.log.info(f"{context.partition_key}: {metadata['summary'].value}")
        return dg.MaterializeResult(metadata=metadata)

    job = dg.define_asset_job(
        "report_day",
        selection=[_NAME],
        executor_def=dg.in_process_executor,
        description="Report what a day earned and cost.",
    )

    @dg.schedule(
        name=_NAME,
        job=job,
        cron_schedule="10 0 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Reports what yesterday earned and cost.",
    )
    def yesterday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        day = (context.scheduled_execution_time.astimezone(UTC) - timedelta(days=1)).date()
        if day < first_day:
            return dg.SkipReason(f"no order was found by {day}")
        return dg.RunRequest(partition_key=day.isoformat())

    return dg.Definitions(assets=[daily_report], jobs=[job], schedules=[yesterday])


def _report(sources: DailyReports, day: date, now: datetime) -> dict[str, dg.MetadataValue[Any]]:
    # Only here: no other run waits for these.
    from mmbot_pipelines.bridge.report import SECONDS, daily, write_files  # noqa: PLC0415
    from mmbot_pipelines.defs.bridge.report_charts import (  # noqa: PLC0415
        exposure_chart,
        money_chart,
    )

    since = datetime.combine(day, time(), UTC)
    until = since + timedelta(days=1)
    days = sources.reports.days(since=since, until=until)
    times = sources.reports.order_times(since=since, until=until)
    hours = sources.reports.exposure(since=since, until=min(until, max(now, since)))
    table = daily(days, times)
    try:
        files = write_files(table, sources.folder, day.isoformat())
    except OSError as e:
        raise InvalidSettings(f"{sources.folder} cannot be written: {e.strerror or e}") from None
    figures, last = total(d.figures for d in days), table.iloc[-1]
    value = dg.MetadataValue
    return {
        "summary": value.text(_summary(figures, is_over=now >= until)),
        "by_origin": value.table(_records(days, hours)),
        "money": value.md(money_chart(days)),
        "exposure": value.md(exposure_chart(hours)),
        **{name: value.path(file) for name, file in zip(("parquet", "csv"), files, strict=True)},
        "profit_wei": value.text(str(figures.profit)),
        # Numbers, of which Dagster draws its own plots over all days.
        **{
            f"{name}_eth": value.float(amount / _WEI_PER_ETH)
            for name, amount in _plotted(figures, hours).items()
        },
        **{name: value.int(getattr(figures, name)) for name in ("found", "completed", "dropped")},
        **{f"{n}_seconds": value.float(float(last[n])) for n in SECONDS if last[n] == last[n]},
    }


def _plotted(figures: Figures, hours: Sequence[HourOfExposure]) -> dict[str, int]:
    return {
        "profit": figures.profit,
        "volume": figures.paid,
        "fees": figures.earned,
        "gas": figures.gas_paid,
        "messages": figures.messages_paid - figures.refunded,
        "lost_to_strangers": figures.lost_to_strangers,
        "exposure_end": sum(_at_end(hours).values()),
    }


def _peaks(hours: Sequence[HourOfExposure]) -> dict[str, int]:
    peaks: dict[str, int] = {}
    for hour in hours:
        peaks[hour.origin] = max(hour.peak, peaks.get(hour.origin, 0))
    return peaks


def _at_end(hours: Sequence[HourOfExposure]) -> dict[str, int]:
    return {hour.origin: hour.end for hour in hours}


def _summary(figures: Figures, *, is_over: bool) -> str:
    if not is_over:
        state = "the day is not over"
    elif figures.undecided:
        state = f"{figures.undecided} transactions are undecided: materialize it again later"
    else:
        state = "final"
    margin = "" if figures.margin_bps is None else f", {figures.margin_bps} bps of what was repaid"
    return (
        f"{figures.completed} orders completed, profit {format_ether(figures.profit)}{margin}; "
        f"{state}"
    )


def _records(days: Sequence[DayOfOrigin], hours: Sequence[HourOfExposure]) -> list[dg.TableRecord]:
    peaks, end = _peaks(hours), _at_end(hours)
    rows = [(d.origin or "shared", d.figures, peaks.get(d.origin), end.get(d.origin)) for d in days]
    rows.append(("total", total(d.figures for d in days), None, sum(end.values())))
    return [
        dg.TableRecord(
            {
                "origin": name,
                "orders found": figures.found,
                "paid": figures.transferred,
                "completed": figures.completed,
                "dropped": figures.dropped,
                "volume": format_ether(figures.paid),
                "fees earned": format_ether(figures.earned),
                "gas": format_ether(figures.gas_paid),
                "messages": format_ether(figures.messages_paid),
                "came back on the L2": format_ether(figures.refunded),
                "profit": format_ether(figures.profit),
                "margin": f"{figures.margin_bps} bps" if figures.repaid else "",
                "gas of reverts": format_ether(figures.gas_lost),
                "lost to strangers": format_ether(figures.lost_to_strangers),
                "lost to reorgs": format_ether(figures.lost_to_reorgs),
                "fees of our own on L2s": in_strk(figures.starknet_fees),
                "highest exposure": "" if peak is None else format_ether(peak),
                "exposure at its end": "" if left is None else format_ether(left),
            }
        )
        for name, figures, peak, left in rows
    ]
