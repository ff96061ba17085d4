"""Foreign web pages at the bare port of the UI: DNS rebinding, forged requests, frames."""

import json
import socket
from collections.abc import Iterator
from importlib.metadata import version
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, text

from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.settings import load_ui
from tests.attacks.conftest import HOST
from tests.attacks.dagster_server import DagsterServer

MUTATION = "mutation { setNuxSeen }"
QUERY = "{ __typename }"
EVIL = "evil.example"
JSON = "Content-Type: application/json"
LAUNCH = (
    'mutation { launchRun(executionParams: {selector: {pipelineName: "halt", '
    'repositoryName: "__repository__", repositoryLocationName: "mmbot"}, runConfigData: '
    '{ops: {halt_transfers: {config: {by: "x", reason: "y"}}}}}) { __typename } }'
)
SOCKET = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: graphql-ws",
]


def raw(port: int, line: str, *headers: str, body: str = "") -> tuple[int, str]:
    """Send one request as it is written here; return the status and the answer.

    Of an answer that opens a websocket the head is all that comes.
    """
    sized = [f"Content-Length: {len(body)}"] if body else []
    closing = [] if SOCKET[0] in headers else ["Connection: close"]
    lines = [f"{line} HTTP/1.1", *headers, *sized, *closing, "", body]
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while closing or b"\r\n\r\n" not in answer:
            if not (read := connection.recv(65_536)):
                break
            answer += read
    reported = answer.decode(errors="replace")
    return int(reported.split()[1]), reported


def post(port: int, *headers: str, query: str = QUERY) -> int:
    body = json.dumps({"query": query})
    return raw(port, "POST /graphql", *headers, JSON, body=body)[0]


def websocket(port: int, *headers: str) -> int:
    return raw(port, "GET /graphql", *headers, *SOCKET)[0]


def own(port: int) -> Iterator[list[str]]:
    """Yield the headers of requests that must be answered."""
    for host, origin in {
        f"127.0.0.1:{port}": f"http://127.0.0.1:{port}",
        f"localhost:{port}": f"http://localhost:{port}",
        "localhost:8080": "http://localhost:8080",  # the other end of an SSH tunnel
        f"[::1]:{port}": f"http://[::1]:{port}",
        HOST: f"https://{HOST}",  # behind nginx
    }.items():
        yield [f"Host: {host}"]  # no browser
        yield [f"Host: {host}", f"Origin: {origin}", "Sec-Fetch-Site: same-origin"]


def foreign(port: int) -> Iterator[list[str]]:
    """Yield the headers that a browser sends for a foreign page, and some that none sends."""
    yield [f"Host: {EVIL}"]
    yield [f"Host: {EVIL}:{port}", f"Origin: http://{EVIL}:{port}"]  # DNS rebinding
    yield [f"Host: 127.0.0.1.{EVIL}"]
    yield ["Host: 169.254.1.1"]
    yield ["Host: "]
    here = f"Host: 127.0.0.1:{port}"
    yield [here, f"Origin: http://{EVIL}"]
    yield [here, "Origin: null"]  # a sandboxed frame, a file
    yield [here, "Origin: http://127.0.0.1:1"]  # another program on this machine
    yield [here, f"Origin: http://{HOST}"]
    yield [here, "Sec-Fetch-Site: cross-site"]
    yield [here, "Sec-Fetch-Site: same-site"]


def test_only_its_own_pages_and_terminals_are_answered(dagster_server: DagsterServer) -> None:
    for headers in own(dagster_server.port):
        assert post(dagster_server.port, *headers) == 200, headers
        assert websocket(dagster_server.port, *headers) == 101, headers
    for headers in foreign(dagster_server.port):
        assert post(dagster_server.port, *headers) == 403, headers
        assert websocket(dagster_server.port, *headers) == 403, headers
    for headers in ([], [f"Host: 127.0.0.1:{dagster_server.port}", f"Host: {EVIL}"]):
        assert post(dagster_server.port, *headers) in (400, 403), headers


def test_no_page_is_read_under_a_foreign_name(dagster_server: DagsterServer) -> None:
    for path in ("/", "/runs", "/server_info", "/graphql", "/download_debug/x"):
        status, reported = raw(dagster_server.port, f"GET {path}", f"Host: {EVIL}")
        assert status == 403, path
        assert "MMBOT_UI_HOSTS" in reported
        assert EVIL not in reported


def test_nothing_is_executed_by_get(dagster_server: DagsterServer) -> None:
    for method in ("GET", "HEAD", "PUT", "OPTIONS"):
        for query in (MUTATION, QUERY):
            line = f"{method} /graphql?query={quote(query)}"
            status, _ = raw(
                dagster_server.port, line, f"Host: 127.0.0.1:{dagster_server.port}", "Accept: */*"
            )
            assert status == 405, line


def test_no_other_spelling_of_the_path_executes_by_get(dagster_server: DagsterServer) -> None:
    """A route's pattern ends with "$", which stands before a line's end too."""
    before = runs(dagster_server)
    for path in ("/graphql%0A", "/graphql%0a", "/%67raphql", "/graphql//", "/x/../graphql"):
        for method in ("GET", "HEAD", "POST"):
            line = f"{method} {path}?query={quote(LAUNCH)}"
            cross = ["Sec-Fetch-Site: cross-site"] if method == "POST" else []
            here = f"Host: localhost:{dagster_server.port}"
            status, reported = raw(dagster_server.port, line, here, "Accept: */*", *cross)
            assert status in (403, 404, 405) or "LaunchRun" not in reported, line
            assert "%0" not in path.lower() or status == 403, line
    assert runs(dagster_server) == before


def test_a_get_from_a_web_page_launches_nothing(dagster_server: DagsterServer) -> None:
    before = runs(dagster_server)
    for path in (f"/graphql?query={quote(LAUNCH)}", f"/graphql/?query={quote(LAUNCH)}"):
        for site in ([], ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: image"]):
            status, _ = raw(
                dagster_server.port, f"GET {path}", f"Host: localhost:{dagster_server.port}", *site
            )
            assert status in (403, 405)
    assert runs(dagster_server) == before


def runs(dagster_server: DagsterServer) -> int:
    with create_engine(store_url(dagster_server.database_url)).connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM dagster.runs")).scalar_one())


def test_a_link_opens_a_page_but_no_foreign_page_embeds_one(dagster_server: DagsterServer) -> None:
    here = f"Host: localhost:{dagster_server.port}"
    link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"]
    status, reported = raw(
        dagster_server.port, "GET /runs", here, *link, "Sec-Fetch-Dest: document"
    )
    assert status == 200
    assert "x-frame-options: deny" in reported.lower()
    assert "frame-ancestors 'none'" in reported
    for kind in ("iframe", "script", "image", "empty"):
        assert (
            raw(dagster_server.port, "GET /runs", here, *link, f"Sec-Fetch-Dest: {kind}")[0] == 403
        )


def test_the_guard_was_fitted_to_this_version_of_dagster() -> None:
    """When raising the version, check defs/shared/dagster_internals.py, then run this file."""
    assert version("dagster-webserver") == "1.13.27"


@pytest.mark.parametrize("name", ["https://x.example", "x.example:443", "x.example/ui", "-x"])
def test_a_host_setting_that_can_never_match_is_refused(name: str) -> None:
    with pytest.raises(InvalidSettings, match="MMBOT_UI_HOSTS must be host names"):
        load_ui({"MMBOT_UI_HOSTS": name})
