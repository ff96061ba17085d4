"""One JSON-RPC node behind one URL. Reads chain.

The URL may hold an API key: only its redacted host is ever shown (core.text), and no
exception of the HTTP library, which repeats the URL, is passed on or chained.
"""

import itertools
import json
import os
import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import requests
import urllib3

from mmbot_pipelines.adapters.rpc.health import NodeFault, NodeFaultKind, NodeHealth
from mmbot_pipelines.core.text import cleaned, redacted_host, secret_parts

# Method and parameters, by position or by name.
RpcCall = tuple[str, Sequence[Any] | Mapping[str, Any]]

_CHUNK = 65_536  # bytes read at once
_BODY_STATUSES = (200, 400)  # some nodes answer a refused call with 400
_LIMITED = 429


class RpcError(Exception):
    """An error that the node itself answered."""

    def __init__(self, code: int, message: object, data: object = None) -> None:
        self.code = code
        self.message = cleaned(message)
        self.data = data
        super().__init__(f"{self.message} (code {code})")


Answer = Any | RpcError  # a result, whatever its JSON, or an error


class _Connection:
    """An HTTP session with a node, for one thread at a time.

    The request is prepared once: that, and reading the environment for proxies, took two thirds
    of the time of a question.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._send = self._session.get_adapter(url).send
        self._settings: Any = self._session.merge_environment_settings(url, {}, True, None, None)
        self._prepare()

    def _prepare(self) -> None:
        headers = {"Content-Type": "application/json"}
        request = requests.Request("POST", self._url, headers=headers, data=b"")
        self._request = self._session.prepare_request(request)

    def post(self, body: bytes, timeouts: tuple[float, float]) -> requests.Response:
        """Post; follow no redirection.

        Raises:
            requests.RequestException: it failed.
        """
        self._request.prepare_body(body, None)
        response = self._send(self._request, timeout=timeouts, **self._settings)
        if "Set-Cookie" in response.headers:  # of a load balancer, that it may know us again
            self._session.cookies.update(response.cookies)
            self._prepare()
        return response

    def close(self) -> None:
        self._session.close()


class Node:
    """One URL, asked by any thread."""

    def __init__(
        self, url: str, *, connect_seconds: float, read_seconds: float, max_bytes: int
    ) -> None:
        self.host = redacted_host(url)
        self.health = NodeHealth()
        self.verified = False  # that it serves the expected chain
        self._url = url
        self._keys = secrets_in(url)
        self._timeouts = (connect_seconds, read_seconds)
        self._max_bytes = max_bytes
        self._ids = itertools.count(1)
        self._pid = os.getpid()
        self._idle: deque[_Connection] = deque()

    def __repr__(self) -> str:
        return f"Node({self.host})"

    def ask(self, rpc_calls: Sequence[RpcCall]) -> list[Answer]:
        """Ask in one HTTP request; answers stand in the order of the questions.

        Raises:
            NodeFault: unreachable, slow, overloaded, or the answer is none.
        """
        ids = [next(self._ids) for _ in rpc_calls]
        asked = [
            {"jsonrpc": "2.0", "id": i, "method": method, "params": params}
            for i, (method, params) in zip(ids, rpc_calls, strict=True)
        ]
        body = json.dumps(asked if len(asked) > 1 else asked[0]).encode()
        posted = self._post(body)
        if isinstance(posted, NodeFault):
            raise posted
        return _answers(posted, ids)

    def _post(self, body: bytes) -> bytes | NodeFault:
        """Return the fault instead of raising it: so no exception with the URL is chained."""
        try:
            return self._read(body)
        except NodeFault as e:
            return e
        except (requests.Timeout, urllib3.exceptions.ReadTimeoutError):
            return NodeFault("timed out", NodeFaultKind.TIMEOUT)
        except requests.exceptions.SSLError:
            return NodeFault("its TLS certificate is not accepted", NodeFaultKind.UNREACHABLE)
        except requests.ConnectionError:
            return NodeFault("unreachable", NodeFaultKind.UNREACHABLE)
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as e:
            return NodeFault(f"the request failed ({type(e).__name__})", NodeFaultKind.UNREACHABLE)

    def _read(self, body: bytes) -> bytes:
        if self._pid != os.getpid():  # a forked process must not share open connections
            self._pid, self._idle = os.getpid(), deque()
        connection = self._idle.pop() if self._idle else _Connection(self._url)
        try:
            read = self._read_from(connection, body)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return read

    def _read_from(self, connection: _Connection, body: bytes) -> bytes:
        # The library's read timeout starts again with every packet.
        deadline = time.monotonic() + sum(self._timeouts)
        read = bytearray()
        with connection.post(body, self._timeouts) as response:
            if response.status_code not in _BODY_STATUSES:
                text = f"answered HTTP {response.status_code}"
                if response.status_code != _LIMITED:
                    raise NodeFault(text, NodeFaultKind.HTTP)
                raise NodeFault(
                    text,
                    NodeFaultKind.RATE_LIMITED,
                    retry_after_seconds=_seconds(response.headers.get("Retry-After", "")),
                )
            # Unlike iter_content, this returns with whatever has come by now.
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                read += chunk
                if len(read) > self._max_bytes:
                    raise NodeFault(
                        f"answered more than {self._max_bytes} bytes", NodeFaultKind.TOO_LARGE
                    )
                if time.monotonic() > deadline:
                    raise NodeFault("timed out", NodeFaultKind.TIMEOUT)
        return redact(bytes(read), self._keys)


def _seconds(retry_after: str) -> float:
    """Read Retry-After, seconds or a date (RFC 9110, section 10.2.3); 0 where it is neither."""
    if re.fullmatch(r"[0-9]{1,9}", retry_after):
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0


def _answers(body: bytes, ids: Sequence[int]) -> list[Answer]:
    """Match answers to questions by id (JSON-RPC 2.0, sections 5 and 6).

    Raises:
        NodeFault: not JSON, or not exactly one answer for each id.
    """
    try:
        answered = json.loads(body)
    except (ValueError, RecursionError):
        raise NodeFault("answered something that is not JSON") from None
    listed = [answered] if isinstance(answered, dict) and len(ids) == 1 else answered
    if isinstance(listed, dict) and isinstance(listed.get("error"), dict):
        # One error for the whole batch, e.g. that it is too long or the key is spent.
        raise NodeFault(f"refused a batch: {_error(listed['error'])}")
    if not isinstance(listed, list) or not all(isinstance(a, dict) for a in listed):
        raise NodeFault("answered something that is not JSON-RPC")
    by_id = {a["id"]: a for a in listed if isinstance(a.get("id"), int)}
    if sorted(by_id) != sorted(ids) or len(listed) != len(ids):
        raise NodeFault(f"gave {len(listed)} answers that do not match {len(ids)} questions")
    return [_answer(by_id[i]) for i in ids]


def _answer(answer: Mapping[str, Any]) -> Answer:
    if answer.get("error") is not None:
        return _error(answer["error"])
    if "result" not in answer:
        raise NodeFault("gave an answer without result and error")
    return answer["result"]


def _error(error: object) -> RpcError:
    if not isinstance(error, dict):
        return RpcError(0, error)
    code = error.get("code")
    return RpcError(
        code if isinstance(code, int) else 0, error.get("message", ""), error.get("data")
    )


# Providers' keys have 20 digits and letters or more; the words in a path and in JSON-RPC are
# shorter or have no digit, and what is in no key must not be changed in an answer.
_KEY_CHARACTERS = 16


def secrets_in(url: str) -> tuple[bytes, ...]:
    """Return what may be a secret in a URL, and differs from common words."""
    parts = urlsplit(url)
    candidates = [
        *(parts.username or "", parts.password or ""),
        *unquote(parts.path).split("/"),
        *(value for _, value in parse_qsl(parts.query)),
        *secret_parts(url),
    ]
    long = (w for w in candidates if len(w) >= _KEY_CHARACTERS and any(c.isdigit() for c in w))
    return tuple(w.encode() for w in long)


def redact(answer: bytes, keys: Sequence[bytes]) -> bytes:
    """Return a node's answer without our keys: it may repeat the one that it refuses."""
    for key in keys:
        answer = answer.replace(key, b"***")
    return answer
