"""Apprise as a channel: severities, and nothing of the URL anywhere."""

import logging
import traceback

import pytest

from mmbot_pipelines.adapters.alerts.apprise import AppriseChannel
from mmbot_pipelines.core.alerts import Notification, NotSent, Severity
from mmbot_pipelines.core.errors import InvalidSettings
from tests.adapters.alerts.sink import Sink

SECRET = "s3cr3tt0ken"


def a_notification(
    severity: Severity = Severity.HIGH, *, is_resolved: bool = False
) -> Notification:
    return Notification(severity=severity, title="title", text="text", is_resolved=is_resolved)


def test_severities_have_their_colours() -> None:
    with Sink() as sink:
        channel = AppriseChannel(sink.url)
        for severity in Severity:
            channel.send(a_notification(severity))
        channel.send(a_notification(is_resolved=True))
        assert [n["type"] for n in sink.received] == [
            "failure",
            "failure",
            "warning",
            "info",
            "success",
        ]


def test_text_is_sent_as_text() -> None:
    hostile = "<b>${HOME} {{x}} *_`\\n :smile: &amp; 支付"
    with Sink() as sink:
        AppriseChannel(sink.url).send(
            Notification(severity=Severity.LOW, title=hostile, text=hostile, is_resolved=False)
        )
        (taken,) = sink.received
    assert (taken["title"], taken["message"]) == (hostile, hostile)


def test_a_service_that_hangs_is_left_alone() -> None:
    with Sink() as sink:
        sink.hanging = True
        with pytest.raises(NotSent):
            AppriseChannel(sink.url, send_seconds=0.2).send(a_notification())


@pytest.mark.parametrize("status", [401, 500])
def test_no_secret_is_in_what_goes_wrong(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Sink() as sink:
        sink.status = status
        channel = AppriseChannel(f"{sink.url.replace('//', f'//bot:{SECRET}@')}/{SECRET}")
        with pytest.raises(NotSent) as failed:
            channel.send(a_notification())
        sink.status = 200
        channel.send(a_notification())
    logged = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert SECRET not in logged + channel.name + repr(channel)


@pytest.mark.parametrize("url", [f"nonsense://{SECRET}", f"tgram://{SECRET}", "json://"])
def test_a_url_that_apprise_does_not_know_is_one_line(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InvalidSettings) as bad:
        AppriseChannel(url, number=3)
    assert str(bad.value).startswith("MMBOT_ALERT_URLS has as its entry 3 a ")
    assert "\n" not in str(bad.value)
    assert SECRET not in str(bad.value) + caplog.text


def test_names_differ_and_stay() -> None:
    one, other = AppriseChannel("json://a/1"), AppriseChannel("json://a/2")
    assert one.name != other.name
    assert one.name == AppriseChannel("json://a/1", number=7).name
