"""ASGI middleware that refuses requests to Dagster's UI from other web pages.

The UI has no password, Dagster checks neither Host nor Origin, and it executes a mutation in a
plain GET: any page that the operator's browser opens could launch runs. Dagster 1.13 has no
setting against that. `install` adds the guard to the webserver however that is started
(`dagster dev`, `dagster-webserver`).
"""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from mmbot_pipelines.defs.shared.dagster_internals import add_middleware

# Names of this machine that no DNS server can redirect. With any port: an SSH tunnel has its own.
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::[0-9]{1,5})?")
_POLICY_VIOLATION = 1008  # RFC 6455, section 7.4.1
# No path of the UI has one, and a route's pattern takes "/graphql\n" for "/graphql".
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_FOREIGN_HOST = (
    "refused: the UI is not served under this host name; use 127.0.0.1 or localhost, or add the "
    "name to MMBOT_UI_HOSTS\n"
)
_FOREIGN_PAGE = "refused: another web page asks; only the UI's own pages may\n"
_NO_POST = "refused: GraphQL is executed by POST only\n"
_NO_PATH = "refused: the path holds control characters\n"


class UiGuard:
    """ASGI middleware that refuses foreign hosts, foreign pages, and GraphQL by GET."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        """Put the guard in front of `app`.

        hosts: names that it is served under, beside those of the loopback.
        """
        self._app = app
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        reason = self._refusal(scope, Headers(scope=scope))
        if reason is None:
            await self._app(scope, receive, _unframed(send))
        elif scope["type"] == "websocket":
            await WebSocketClose(_POLICY_VIOLATION)(scope, receive, send)
        else:
            status = 405 if reason is _NO_POST else 403
            await PlainTextResponse(reason, status)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> str | None:
        """Return why a request is refused, or None."""
        if _CONTROL.search(scope["path"]):
            return _NO_PATH
        named = [host.lower() for host in headers.getlist("host")]
        match = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        if match is None or match[1] not in self._hosts:
            return _FOREIGN_HOST
        own = {f"{scheme}://{named[0]}" for scheme in ("http", "https")}
        if not own.issuperset(origin.lower() for origin in headers.getlist("origin")):
            return _FOREIGN_PAGE
        method = scope.get("method", "GET")  # a websocket begins with one
        graphql = scope["path"].rstrip("/").endswith("/graphql")
        # A link from a chat may open a page of the UI, which reads alone.
        opened = (
            scope["type"] == "http"
            and method in ("GET", "HEAD")
            and not graphql
            and headers.get("sec-fetch-dest", "document") == "document"
        )
        sites = set(headers.getlist("sec-fetch-site"))
        if sites - {"same-origin", "none"} and not opened:
            return _FOREIGN_PAGE
        if graphql and scope["type"] == "http" and method != "POST":
            given = dict(parse_qsl(scope["query_string"].decode("latin-1"), True))
            if "query" in given:
                return _NO_POST
        return None


def _unframed(send: Send) -> Send:
    """Add headers that forbid other pages to frame ours (clickjacking)."""

    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Frame-Options"] = "DENY"
            headers["Content-Security-Policy"] = "; ".join(
                [*filter(None, [headers.get("Content-Security-Policy")]), "frame-ancestors 'none'"]
            )
        await send(message)

    return forward


def install(hosts: Iterable[str]) -> None:
    """Add the guard to every webserver that this process creates, if it is a webserver.

    Raises:
        RuntimeError: this version of Dagster builds its webserver in another way.
    """
    add_middleware(lambda: Middleware(UiGuard, hosts=hosts))
