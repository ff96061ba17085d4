"""What the broker shows of the workers."""

import time

import pytest
import redis
from pydantic import SecretStr

from mmbot_pipelines.adapters.broker import workers as module
from mmbot_pipelines.adapters.broker.workers import BrokerUnavailable, BrokerWorkers
from tests.broker import Broker

RUN = "5b0f8c1e"


@pytest.fixture
def workers(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> BrokerWorkers:
    monkeypatch.setattr(module, "_FAULT_KNOWN_SECONDS", 0.0)
    return BrokerWorkers(broker.url, "the broker of a test")


def test_no_run_can_start_without_a_worker(workers: BrokerWorkers) -> None:
    assert "no worker takes runs from the broker of a test" in (workers.fault() or "")
    workers.serve("one@host")
    assert workers.fault() is None
    assert workers.alive() == ["one@host"]


def test_a_broker_that_is_away_is_a_fault_until_it_is_back(
    workers: BrokerWorkers, broker: Broker
) -> None:
    workers.serve("one@host")
    broker.kill()
    assert "does not answer (ConnectionError)" in (workers.fault() or "")
    with pytest.raises(BrokerUnavailable):
        workers.is_running(RUN)
    broker.start()
    assert workers.fault() is None


def test_a_broker_that_hangs_is_one_that_is_away(
    workers: BrokerWorkers, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.2)
    impatient = BrokerWorkers(broker.url, "the broker of a test")
    broker.pause()
    assert "does not answer (TimeoutError)" in (impatient.fault() or "")


def test_a_run_is_executed_until_its_process_ends(
    workers: BrokerWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with workers.executing(RUN):
        assert workers.is_running(RUN)
    assert workers.is_running(RUN)  # the broker has just started: it may have forgotten it
    monkeypatch.setattr(module, "_ALIVE_SECONDS", 0)
    assert not workers.is_running(RUN)


def test_a_broker_that_lost_a_run_is_shown_it_again(
    workers: BrokerWorkers, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BEAT_SECONDS", 0.01)
    url = broker.url.get_secret_value().replace("redis+socket", "unix")
    with workers.executing(RUN):
        redis.Redis.from_url(url).flushall()
        monkeypatch.setattr(module, "_ALIVE_SECONDS", 10)
        end = time.monotonic() + 120
        while not redis.Redis.from_url(url).exists(f"mmbot:run:{RUN}"):
            assert time.monotonic() < end


def test_a_password_is_in_no_error() -> None:
    url = SecretStr("redis://:hunter2@127.0.0.1:1/0")
    fault = BrokerWorkers(url, "redis://127.0.0.1:1").fault()
    assert fault == "the broker redis://127.0.0.1:1 does not answer (ConnectionError)"
