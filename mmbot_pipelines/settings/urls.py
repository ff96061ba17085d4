"""The kinds of URLs that settings have, and how one is shown without what is secret in it.

No message repeats a URL: keys and passwords are parts of it.
"""

import re
from typing import Annotated
from urllib.parse import parse_qsl, unquote

from pydantic import BeforeValidator, SecretStr

from mmbot_pipelines.core.text import parse_url, redacted_host
from mmbot_pipelines.settings.values import entries

EMBEDDED = "embedded"  # as a broker: the one beside the program
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def place(url: str) -> str:
    """Return where a URL leads without what may be secret in it: scheme, host and port."""
    parts = parse_url(url)
    if parts is None or not parts.hostname:
        return redacted_host(url)
    return f"{parts.scheme}://{redacted_host(url)}"


def database(url: str) -> str:
    """Return a database's name and place without its password: "mmbot at db.internal:5432"."""
    parts = parse_url(url)
    if parts is None:
        return "an unreadable URL"
    given = dict(parse_qsl(parts.query))
    host = unquote(parts.hostname or "") or given.get("host", "the default socket")
    port = parts.port or given.get("port")
    name = unquote(parts.path.strip("/")) or given.get("dbname", "the default database")
    return f"{name} at {host}" + (f":{port}" if port else "")


def broker(url: str) -> str:
    """Return a broker's place without its password: "redis://broker.internal:6379"."""
    parts = parse_url(url)
    if parts is not None and parts.scheme == "redis+socket":
        return parts.path
    return place(url)


def is_http(url: str) -> bool:
    """Return whether a text is a URL of the web, with a host."""
    parts = parse_url(url)
    return bool(parts and parts.scheme in ("http", "https") and parts.hostname)


def _rpc_urls(text: str) -> list[SecretStr]:
    urls = entries(text)
    for number, url in enumerate(urls, 1):
        if not is_http(url):
            raise ValueError(
                f"has no valid URL as its entry {number}: write http://host:port or "
                "https://host/path, several separated by commas"
            )
    if not urls:
        raise ValueError("has no URL in it: write http://host:port, several separated by commas")
    return [SecretStr(url) for url in urls]


def _ws_urls(text: str) -> list[SecretStr]:
    urls = entries(text)
    for number, url in enumerate(urls, 1):
        parts = parse_url(url)
        if parts is None or parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(
                f"has no WebSocket URL as its entry {number}: write ws://host:port or "
                "wss://host/path, several separated by commas"
            )
    return [SecretStr(url) for url in urls]


def _database_url(text: str) -> SecretStr:
    parts = parse_url(text)
    if parts is None or parts.scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError("must be a Postgres URL: postgresql://user:password@host:5432/database")
    return SecretStr(text)


def _broker_url(text: str) -> SecretStr:
    if text.lower() == EMBEDDED:
        return SecretStr(EMBEDDED)
    parts = parse_url(text)
    at_host = parts and parts.scheme in ("redis", "rediss") and parts.hostname
    at_socket = parts and parts.scheme == "redis+socket" and not parts.netloc and parts.path
    if not (at_host or at_socket):
        raise ValueError(
            f"must be {EMBEDDED}, redis://:password@host:6379/0, rediss://... with TLS, or "
            "redis+socket:///path/of/the/socket"
        )
    return SecretStr(text)


def _alert_urls(text: str) -> list[SecretStr]:
    # Apprise URLs may hold commas themselves: only a comma before the next scheme separates.
    urls = [url.strip() for url in re.split(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)", text)]
    for number, url in enumerate(urls, 1):
        if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://\S", url):
            raise ValueError(
                f"has no valid Apprise URL as its entry {number}: write service://..., "
                "several separated by commas"
            )
    return [SecretStr(url) for url in urls]


def _prover_url(text: str) -> SecretStr:
    parts = parse_url(text)
    if parts is None or not is_http(text):
        raise ValueError("must be a URL: https://host or https://host/path")
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise ValueError("must begin with https://: the API key goes over it")
    return SecretStr(text)


RpcUrls = Annotated[tuple[SecretStr, ...], BeforeValidator(_rpc_urls)]
WsUrls = Annotated[tuple[SecretStr, ...], BeforeValidator(_ws_urls)]
AlertUrls = Annotated[tuple[SecretStr, ...], BeforeValidator(_alert_urls)]
BrokerUrl = Annotated[SecretStr, BeforeValidator(_broker_url)]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(_database_url)]
ProverUrl = Annotated[SecretStr, BeforeValidator(_prover_url)]
