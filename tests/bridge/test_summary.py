"""The summary that an operator gets once a day."""

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.bridge.order_stats import PgOrderStats
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.bridge.alerting.notify import (
    AlertRound,
    AlertService,
    send_alerts,
    send_daily_summary,
)
from mmbot_pipelines.bridge.alerting.rules import AlertThresholds
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei, format_ether
from tests.bridge.guard_steps import halt
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import at
from tests.ports.channel_memory import ChannelMemory


def service(harness: BridgeHarness, *channels: ChannelMemory) -> AlertService:
    return AlertService(
        bridge=harness.bridge,
        records=PgOrderStats(harness.engine),
        reports=PgReports(harness.engine),
        daemons=PgDaemons(harness.engine),
        log=PgAlertLog(harness.engine),
        channels=channels,
        thresholds=AlertThresholds(
            max_exposure=None, min_balance=Wei(0), undelivered_after_seconds=60
        ),
    )


def lines(sent: AlertRound) -> list[str]:
    (alert,) = sent.alerts
    return alert.text.splitlines()


def test_the_summary_goes_to_every_channel(harness: BridgeHarness) -> None:
    well, broken = ChannelMemory("well"), ChannelMemory("broken", down=True)
    sent = send_daily_summary(service(harness, well, broken))
    assert sent.problems == ["broken: 1 not sent, out of order; tried again"]
    assert well.titles == ["[LOW] the last 24 hours, until 2026-11-20 12:00 UTC"]
    assert lines(sent)[-1] == "To do: nothing; no order waits for a person."


def test_the_summary_counts_what_happened_within_a_day(harness: BridgeHarness) -> None:
    at(harness, Status.PROVED)
    harness.later(86_401)
    assert lines(send_daily_summary(service(harness)))[0].startswith("Orders found 0, ")
    at(harness, Status.PROVED)
    harness.later(1)
    harness.l2.deliver()
    harness.settle()
    harness.set_and_detect(fee=1)
    harness.transfer([o.key for o in harness.store.orders.unfinished("zksync", max_orders=9)])
    text = lines(send_daily_summary(service(harness)))
    # Of the two that are completed one was transferred the day before.
    assert text[0] == "Orders found 2, transferred 1, completed 2, dropped 1; 0 errors."
    assert f"Wallet {format_ether(harness.chain.balance())}." in text


def test_the_summary_begins_with_a_dry_run(harness: BridgeHarness) -> None:
    harness.rules(dry_run=True)
    text = lines(send_daily_summary(service(harness)))
    assert text[0] == "Dry run: nothing is signed or sent."


def test_the_summary_names_what_waits_for_a_person(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.chain.refuse(lambda _: True, "no")
    harness.failing(lambda: harness.transfer([key]))
    halt(harness)
    harness.chain.fault = RpcUnavailable("gone")
    text = lines(send_daily_summary(service(harness)))
    assert "Parked orders 1." in text
    assert "Wallet unknown." in text
    assert any(line.startswith("Safety: global is HALTED") for line in text)
    assert text[-1] == "To do: see `mmbot orders --failed`."


def test_alerts_go_to_every_channel_and_say_which_did_not_take_them(
    harness: BridgeHarness,
) -> None:
    well, broken = ChannelMemory("well"), ChannelMemory("broken", down=True)
    halt(harness)
    sent = send_alerts(service(harness, well, broken))
    assert [alert.key for alert in sent.alerts] == ["halted global"]
    assert sent.problems == ["broken: 1 not sent, out of order; tried again"]
    assert well.titles == ["[CRITICAL] everything is halted"]
