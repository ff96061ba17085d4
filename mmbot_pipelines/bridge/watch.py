"""Tell the operator what is wrong with the bridge, and once a day how it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.conditions import Thresholds, picture
from mmbot_pipelines.bridge.facts import Facts, look
from mmbot_pipelines.bridge.records import Day, Records
from mmbot_pipelines.core import alerts
from mmbot_pipelines.core.alerts import Alert, AlertLog, Channel, Severity
from mmbot_pipelines.core.daemons import Daemons
from mmbot_pipelines.core.money import in_strk, in_words
from mmbot_pipelines.core.untrusted import harmless

JOURNAL = "journal"  # the channel that is always there: the log of whoever looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The bridge, and whom to tell about it."""

    bridge: Bridge
    records: Records
    daemons: Daemons
    log: AlertLog
    channels: Sequence[Channel]
    thresholds: Thresholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of one look."""

    alerts: Sequence[Alert]  # that hold
    troubles: Sequence[str]  # channels that did not take everything


def tell(watch: Watch) -> Told:
    """Look at everything, and tell every channel what is new and what is over."""
    seen = picture(look(watch.bridge, watch.records, watch.daemons), watch.thresholds)
    troubles = alerts.update(watch.log, watch.channels, seen, at=watch.bridge.clock())
    return Told(alerts=seen.alerts, troubles=troubles)


def tell_summary(watch: Watch) -> Told:
    """Tell every channel what the last 24 hours brought."""
    facts = look(watch.bridge, watch.records, watch.daemons)
    day = watch.records.day(since=facts.at - timedelta(days=1))
    alert = summary(facts, day)
    troubles = alerts.post(watch.log, watch.channels, alert, at=facts.at)
    return Told(alerts=[alert], troubles=troubles)


def summary(facts: Facts, day: Day) -> Alert:
    """Write the daily summary."""
    balance = "unknown" if facts.balance is None else in_words(facts.balance)
    remedy = (
        "see `mmbot orders --failed`."
        if facts.parked_in_all
        else "nothing; no order waits for a person."
    )
    lines = [
        f"Orders found {day.found}, transferred {day.transferred}, "
        f"completed {day.completed}, dropped {day.dropped}; {day.errors} errors.",
        f"Fees earned {in_words(day.earned)}, gas paid {in_words(day.gas_paid)}.",
        f"Claims' messages paid {in_words(day.messages_paid)}, of which "
        f"{in_words(day.refunded)} came back on the L2; profit {in_words(day.profit)}.",
        *([f"Starknet fees paid {in_strk(day.starknet_fees)}."] if day.starknet_fees else []),
        f"Paid out, or about to be, and not repaid {in_words(facts.exposure)}.",
        f"Parked orders {facts.parked_in_all}.",
        *(f"Safety: {harmless(standing.told)}." for standing in facts.standings),
        f"Wallet {balance}.",
        f"To do: {remedy}",
    ]
    return Alert(
        key=f"summary {facts.at:%Y-%m-%d}",
        severity=Severity.LOW,
        title=f"the last 24 hours, until {facts.at:%Y-%m-%d %H:%M} UTC",
        text="\n".join(lines),
    )
