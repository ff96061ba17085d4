"""mmbot metrics: its messages when it cannot serve, and when the database is away."""

import signal
import socket

import pytest

from tests.adapters.rpc.fake_node import fake_node
from tests.cli.command import caller
from tests.deploy.exporter import environment, exporter, scrape

NO_DATABASE = "postgresql://mmbot:s3cret@127.0.0.1:1/mmbot"


def test_a_port_in_use_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    environ = environment(NO_DATABASE, "http://127.0.0.1:1", "http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        output = caller(environ, capsys, monkeypatch)("metrics", "--port", port)
    assert output.code == 2
    (line,) = output.err.splitlines()
    assert line.startswith(f"cannot listen on 127.0.0.1:{port} (")
    assert handlers == {s: signal.getsignal(s) for s in handlers}


def test_it_starts_and_answers_without_the_database() -> None:
    with (
        fake_node(5, eth_blockNumber=lambda: "0x1") as node,
        exporter(environment(NO_DATABASE, node.url, "http://127.0.0.1:1")) as (process, url),
    ):
        lines = scrape(url).splitlines()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert "mmbot_database_up 0.0" in lines
    assert any(line.startswith("mmbot_rpc_up") and line.endswith(" 1.0") for line in lines)
    assert not any(line.startswith("mmbot_orders{") for line in lines)
