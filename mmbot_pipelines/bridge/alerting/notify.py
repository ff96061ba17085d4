"""Alert the operator to what is wrong with the bridge; send a summary once a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from mmbot_pipelines.bridge.alerting.rules import AlertThresholds, firing_alerts
from mmbot_pipelines.bridge.alerting.snapshot import BridgeSnapshot, take_snapshot
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.ports.order_stats import OrderStats
from mmbot_pipelines.bridge.ports.reports import Figures, Reports, total
from mmbot_pipelines.core import alerts
from mmbot_pipelines.core.alerts import Alert, AlertLog, Channel, Severity
from mmbot_pipelines.core.daemons import Daemons
from mmbot_pipelines.core.money import format_ether, in_strk
from mmbot_pipelines.core.text import sanitized

JOURNAL = "journal"  # the channel that is always there: the log of the process that looks


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertService:
    """The bridge, and the channels its alerts go to."""

    bridge: Bridge
    records: OrderStats
    reports: Reports
    daemons: Daemons
    log: AlertLog
    channels: Sequence[Channel]
    thresholds: AlertThresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRound:
    """What came of one look."""

    alerts: Sequence[Alert]  # that hold
    problems: Sequence[str]  # channels that did not take everything


def send_alerts(service: AlertService) -> AlertRound:
    """Send every channel the alerts that fire now and those that are resolved."""
    snapshot = firing_alerts(
        take_snapshot(service.bridge, service.records, service.daemons), service.thresholds
    )
    problems = alerts.update(service.log, service.channels, snapshot, at=service.bridge.clock())
    return AlertRound(alerts=snapshot.alerts, problems=problems)


def send_daily_summary(service: AlertService) -> AlertRound:
    """Send every channel the summary of the last 24 hours."""
    facts = take_snapshot(service.bridge, service.records, service.daemons)
    days = service.reports.days(since=facts.at - timedelta(days=1))
    dry_run = service.bridge.rules.dry_run
    alert = summary(facts, total(entry.figures for entry in days), dry_run=dry_run)
    problems = alerts.post(service.log, service.channels, alert, at=facts.at)
    return AlertRound(alerts=[alert], problems=problems)


def summary(facts: BridgeSnapshot, day: Figures, *, dry_run: bool = False) -> Alert:
    """Write the daily summary."""
    several = len(facts.wallets) > 1
    to_do = (
        "see `mmbot orders --failed`."
        if facts.parked_in_all
        else "nothing; no order waits for a person."
    )
    lines = [
        *(["Dry run: nothing is signed or sent."] if dry_run else []),
        f"Orders found {day.found}, transferred {day.transferred}, "
        f"completed {day.completed}, dropped {day.dropped}; {day.errors} errors.",
        f"Fees earned {format_ether(day.earned)}, gas paid {format_ether(day.gas_paid)}.",
        f"Claims' messages paid {format_ether(day.messages_paid)}, of which "
        f"{format_ether(day.refunded)} came back on the L2; profit {format_ether(day.profit)}.",
        *([f"L2 fees paid {in_strk(day.starknet_fees)}."] if day.starknet_fees else []),
        f"Paid out, or about to be, and not repaid {format_ether(facts.exposure)}.",
        f"Parked orders {facts.parked_in_all}.",
        *(f"Safety: {sanitized(scope_state.summary)}." for scope_state in facts.scope_states),
        *(
            f"Wallet {f'{wallet.address} ' if several else ''}"
            f"{'unknown' if wallet.balance is None else format_ether(wallet.balance)}."
            for wallet in facts.wallets
        ),
        f"To do: {to_do}",
    ]
    return Alert(
        key=f"summary {facts.at:%Y-%m-%d}",
        severity=Severity.LOW,
        title=f"the last 24 hours, until {facts.at:%Y-%m-%d %H:%M} UTC",
        text="\n".join(lines),
    )
