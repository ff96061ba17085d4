"""Apprise as a channel: severities, and nothing of the URL anywhere."""

import logging
import traceback

import pytest

from mmbot_pipelines.adapters.alerts.apprise import AppriseChannel
from mmbot_pipelines.core.alerts import Notice, NotSent, Severity
from mmbot_pipelines.core.errors import BadSettings
from tests.adapters.alerts.sink import Sink

SECRET = "s3cr3tt0ken"


def a_notice(severity: Severity = Severity.HIGH, *, good: bool = False) -> Notice:
    return Notice(severity=severity, title="title", text="text", good=good)


def test_severities_have_their_colours() -> None:
    with Sink() as sink:
        channel = AppriseChannel(sink.url)
        for severity in Severity:
            channel.send(a_notice(severity))
        channel.send(a_notice(good=True))
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
            Notice(severity=Severity.LOW, title=hostile, text=hostile, good=False)
        )
        (taken,) = sink.received
    assert (taken["title"], taken["message"]) == (hostile, hostile)


def test_a_service_that_hangs_is_left_alone() -> None:
    with Sink() as sink:
        sink.hanging = True
        with pytest.raises(NotSent):
            AppriseChannel(sink.url, send_seconds=0.2).send(a_notice())


@pytest.mark.parametrize("status", [401, 500])
def test_no_secret_is_in_what_goes_wrong(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Sink() as sink:
        sink.status = status
        channel = AppriseChannel(f"{sink.url.replace('//', f'//bot:{SECRET}@')}/{SECRET}")
        with pytest.raises(NotSent) as failed:
            channel.send(a_notice())
        sink.status = 200
        channel.send(a_notice())
    said = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert SECRET not in said + channel.name + repr(channel)


@pytest.mark.parametrize("url", [f"nonsense://{SECRET}", f"tgram://{SECRET}", "json://"])
def test_a_url_that_apprise_does_not_know_is_one_line(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(BadSettings) as bad:
        AppriseChannel(url, number=3)
    assert str(bad.value).startswith("MMBOT_ALERT_URLS has as its entry 3 a ")
    assert "\n" not in str(bad.value)
    assert SECRET not in str(bad.value) + caplog.text


def test_names_differ_and_stay() -> None:
    one, other = AppriseChannel("json://a/1"), AppriseChannel("json://a/2")
    assert one.name != other.name
    assert one.name == AppriseChannel("json://a/1", number=7).name
