"""The prover's HTTP API: a good one, and every bad one we can think of."""

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from mmbot_pipelines.adapters.bridge.starknet.prover import (
    Prover,
    ProverRefused,
    ProverUnavailable,
    Slots,
    TaskState,
)
from mmbot_pipelines.core.money import Address
from tests.adapters.bridge.starknet.fake_prover import API_KEY, FakeProver, fake_prover

REGISTRY = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
WANTED = Slots(chain_id=1, block=17, account=REGISTRY, slots=[5, 6])


@pytest.fixture
def service() -> Iterator[FakeProver]:
    with fake_prover() as prover:
        yield prover


def prover(service: FakeProver, key: str = API_KEY, **options: Any) -> Prover:
    return Prover(service.url, SecretStr(key), destination="SN_MAIN", **options)


def asks(service: FakeProver, **options: Any) -> list[Callable[[], object]]:
    client = prover(service, **options)
    return [
        lambda: client.submit(WANTED, idempotency_key="starknet:7/1"),
        lambda: client.state("task-0"),
    ]


def test_a_task_names_chain_block_contract_and_slots(service: FakeProver) -> None:
    assert prover(service).submit(WANTED, idempotency_key="starknet:7/1") == "task-0"
    accounts = {REGISTRY: {"slots": [f"0x{5:064x}", f"0x{6:064x}"]}}
    assert service.queries["task-0"] == {
        "destinationChainId": "SN_MAIN",
        "fee": "0",
        "data": {"1": {"block:17": {"accounts": accounts}}},
    }


def test_the_same_key_is_the_same_task(service: FakeProver) -> None:
    client = prover(service)
    keys = ["starknet:7/1", "starknet:7/1", "starknet:7/2"]
    assert [client.submit(WANTED, idempotency_key=key) for key in keys] == [
        "task-0",
        "task-0",
        "task-1",
    ]


def test_the_api_key_goes_in_a_header_alone(
    service: FakeProver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = prover(service)
    client.state(client.submit(WANTED, idempotency_key="k"))
    for path, headers in service.requests:
        assert headers["api-key"] == API_KEY
        assert API_KEY not in path
    assert API_KEY not in repr(client) + repr(vars(client)) + caplog.text


@pytest.mark.parametrize(
    ("answer", "state", "why"),
    [
        ("DONE", TaskState.DONE, ""),
        ("done", TaskState.DONE, ""),
        ("PENDING", TaskState.WORKING, ""),
        ("SOMETHING_NEW", TaskState.WORKING, ""),
        ("FAILED", TaskState.FAILED, "FAILED"),
        ({"queryStatus": "ERROR", "error": "out of\nmemory"}, TaskState.FAILED, "out ofmemory"),
        ({"queryStatus": "FAILED", "error": {"code": 7}}, TaskState.FAILED, "{'code': 7}"),
    ],
)
def test_a_task_is_done_failed_or_worked_on(
    service: FakeProver, answer: Any, state: TaskState, why: str
) -> None:
    client = prover(service)
    task = client.submit(WANTED, idempotency_key="k")
    service.outcomes[task] = [answer]
    assert client.state(task) == (state, why)


def test_a_wrong_key_is_one_line_with_its_setting(service: FakeProver) -> None:
    for ask in asks(service, key="hunter2"):
        with pytest.raises(ProverRefused, match="fix MMBOT_STARKNET_PROVER_API_KEY") as refused:
            ask()
        assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_an_echoed_key_is_not_shown(service: FakeProver) -> None:
    service.status, service.body = 422, json.dumps({"error": f"with {API_KEY} no"}).encode()
    for ask in asks(service):
        with pytest.raises(ProverRefused, match="HTTP 422: with … no"):
            ask()


def test_a_task_that_the_prover_forgot_is_refused(service: FakeProver) -> None:
    with pytest.raises(ProverRefused, match="HTTP 404: no task task-9"):
        prover(service).state("task-9")


@pytest.mark.parametrize("status", [301, 429, 500, 503])
def test_a_prover_in_trouble_is_asked_again_later(service: FakeProver, status: int) -> None:
    service.status = status
    for ask in asks(service):
        with pytest.raises(ProverUnavailable, match=f"answered HTTP {status}"):
            ask()


def test_a_prover_that_is_away_or_hangs_is_one_line(service: FakeProver) -> None:
    service.hanging = True
    for ask in asks(service, connect_seconds=0.1, read_seconds=0.1):
        with pytest.raises(ProverUnavailable, match="timed out"):
            ask()
    gone = Prover("http://127.0.0.1:1/s3cr3t", SecretStr("k"), destination="SN_MAIN")
    with pytest.raises(ProverUnavailable, match=r"the prover 127\.0\.0\.1:1 is unreachable") as e:
        gone.state("x")
    assert "s3cr3t" not in "".join(traceback.format_exception(e.value))


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"7", b"{}", b'{"internalId": 7, "queryStatus": 7}', b"\xff\xfe",
     b'{"internalId": "../../x y", "queryStatus": null}', b'{"internalId": ""}'],
)  # fmt: skip
def test_garbage_is_no_answer(service: FakeProver, body: bytes) -> None:
    service.status, service.body = 200, body
    for ask in asks(service):
        with pytest.raises(ProverUnavailable):
            ask()


def test_an_answer_without_end_is_none(service: FakeProver) -> None:
    service.status, service.body = 200, b"[" * 3_000_000
    for ask in asks(service):
        with pytest.raises(ProverUnavailable):
            ask()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=st.binary(max_size=60), status=st.sampled_from([200, 201, 204, 400, 404, 500]))
def test_anything_is_an_answer_or_one_clear_line(
    service: FakeProver, body: bytes, status: int
) -> None:
    service.status, service.body = status, body
    for ask in asks(service):
        logged = ""
        try:
            ask()
        except (ProverRefused, ProverUnavailable) as e:
            logged = str(e)
        assert "\n" not in logged
