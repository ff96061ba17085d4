"""A service that proves slots of L1's storage to Starknet, over HTTP.

Two requests, as Herodotus has them: one submits a task, one asks what became of it. The
API key goes in a header; neither it nor the URL's path is ever part of an error.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import requests
import urllib3
from pydantic import SecretStr

from mmbot_pipelines.core.errors import TryAgain, TryLater
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.text import cleaned, redacted_host, secret_parts

_MAX_BYTES = 2**20
_CHUNK = 65_536
_TASK = re.compile(r"[0-9A-Za-z_.:-]{1,100}")
_OK = (200, 201)
_NOT_FOUND = 404
_TOO_MANY = 429  # HTTP: ask later
_FAILED = ("FAILED", "ERROR", "REJECTED", "CANCELED", "CANCELLED", "EXPIRED")


class ProverUnavailable(TryAgain):
    """The prover gave no usable answer."""


class ProverRefused(TryLater):
    """The prover answered that it will not do this."""


class TaskUnknown(ProverRefused):
    """The prover knows no such task, or not any more."""


class TaskState(StrEnum):
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """What is to be proven: slots of one contract's storage after one block of L1."""

    chain_id: int
    block: int
    account: Address
    slots: Sequence[int]

    def query(self, destination: str) -> dict[str, Any]:
        """Return the body of a request for these slots."""
        slots = {"slots": [f"0x{slot:064x}" for slot in self.slots]}
        return {
            "destinationChainId": destination,
            "fee": "0",
            "data": {
                str(self.chain_id): {f"block:{self.block}": {"accounts": {self.account: slots}}}
            },
        }


class Prover:
    """One service. Threads may share it."""

    def __init__(
        self,
        url: str,
        api_key: SecretStr,
        *,
        destination: str,
        connect_seconds: float = 3.0,
        read_seconds: float = 15.0,
    ) -> None:
        """Describe the service; nothing is asked yet.

        destination: the chain to prove to, e.g. "SN_MAIN".
        """
        self.host = redacted_host(url)
        self._url = url.rstrip("/")
        self._key = api_key
        self._destination = destination
        self._timeouts = (connect_seconds, read_seconds)

    def __repr__(self) -> str:
        return f"Prover({self.host})"

    def query(self, wanted: Slots) -> dict[str, Any]:
        """Return the body of the request that orders a proof."""
        return wanted.query(self._destination)

    def submit(self, wanted: Slots, *, idempotency_key: str) -> str:
        """Give a task and return its id; the same key again gives the same task.

        Raises:
            ProverRefused: the key or the task is refused.
            ProverUnavailable: no usable answer.
        """
        answer = self._ask(
            "POST",
            "submit-batch-query",
            headers={"Idempotency-Key": idempotency_key},
            json=self.query(wanted),
        )
        task = answer.get("internalId")
        if not isinstance(task, str) or not _TASK.fullmatch(task):
            raise ProverUnavailable(f"the prover {self.host} answered no task's id")
        return task

    def state(self, task: str) -> tuple[TaskState, str]:
        """Return how far a task is, and why where it failed.

        Raises:
            TaskUnknown: there is no such task.
            ProverRefused: the key is refused.
            ProverUnavailable: no usable answer.
        """
        answer = self._ask("GET", "batch-query-status", params={"batchQueryId": task})
        status = answer.get("queryStatus")
        if not isinstance(status, str):
            raise ProverUnavailable(f"the prover {self.host} answered no task's status")
        if status.upper() == "DONE":
            return TaskState.DONE, ""
        if status.upper() in _FAILED:
            return TaskState.FAILED, self._shown(answer.get("error") or status)
        return TaskState.WORKING, ""

    def _ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **what: Any
    ) -> dict[str, Any]:
        key = {"api-key": self._key.get_secret_value()}
        answered = self._answered(method, f"{self._url}/{path}", key | dict(headers or {}), what)
        if isinstance(answered, ProverUnavailable):
            raise answered
        status, body = answered
        answer = _object(body)
        if status in (401, 403):
            raise ProverRefused(
                f"the prover {self.host} refuses our key: fix MMBOT_STARKNET_PROVER_API_KEY"
            )
        if status == _NOT_FOUND and not (answer.get("error") or answer.get("message")):
            # A gateway's page, as while the prover is deployed again: not the prover's word.
            raise ProverUnavailable(f"the prover {self.host} answered HTTP 404 without a reason")
        if status not in _OK and 400 <= status < 500 and status != _TOO_MANY:
            error_text = answer.get("error") or answer.get("message") or "no reason given"
            kind = TaskUnknown if status == _NOT_FOUND else ProverRefused
            raise kind(
                f"the prover {self.host} refuses with HTTP {status}: {self._shown(error_text)}"
            )
        if status not in _OK:
            raise ProverUnavailable(f"the prover {self.host} answered HTTP {status}")
        return answer

    def _answered(
        self, method: str, url: str, headers: Mapping[str, str], what: Mapping[str, Any]
    ) -> tuple[int, bytes] | ProverUnavailable:
        """Return the fault instead of raising it: so no exception with the URL is chained."""
        try:
            return self._read(method, url, headers, what)
        except requests.Timeout:
            return ProverUnavailable(f"the prover {self.host} timed out")
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError):
            return ProverUnavailable(f"the prover {self.host} is unreachable")

    def _read(
        self, method: str, url: str, headers: Mapping[str, str], what: Mapping[str, Any]
    ) -> tuple[int, bytes]:
        deadline = time.monotonic() + sum(self._timeouts)
        read = bytearray()
        with requests.request(
            method,
            url,
            headers=headers,
            timeout=self._timeouts,
            stream=True,
            allow_redirects=False,
            **what,
        ) as response:
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                read += chunk
                if len(read) > _MAX_BYTES or time.monotonic() > deadline:
                    raise requests.Timeout
            return response.status_code, bytes(read)

    def _shown(self, text: object) -> str:
        """Return the prover's error without our keys, which it may echo."""
        reported = str(text)
        for secret in (self._key.get_secret_value(), *secret_parts(self._url)):
            reported = reported.replace(secret, "…")
        return cleaned(reported)


def _object(body: bytes) -> dict[str, Any]:
    """Read a JSON object; what is none has no members."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
