"""Notifications over WebSockets of anvil, and of nodes that fail or mean harm."""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from mmbot_pipelines.adapters.rpc import subscription
from mmbot_pipelines.adapters.rpc.node import RpcCall
from mmbot_pipelines.adapters.rpc.subscription import Subscription
from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import ask, connect

HEADS: RpcCall = ("eth_subscribe", ["newHeads"])
LOGS: RpcCall = ("eth_subscribe", ["logs", {"address": "0x" + "11" * 20}])
KEY = "3e0a1b7c9d2f4a6b8c0d"
SECONDS = 60.0  # at most, where something is awaited

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "_MIN_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(subscription, "_MAX_RETRY_SECONDS", 0.05)


def ws(url: str) -> str:
    return url.replace("http", "ws", 1)


def await_count(subscribed: Subscription, count: int) -> None:
    """Wait until so many reasons to look are there."""
    while subscribed.count < count:
        before = subscribed.count
        subscribed.wait(before, SECONDS)
        assert subscribed.count > before, f"{subscribed.count} of {count} came"


@contextmanager
def announcing(behave: Callable[[ServerConnection], None]) -> Iterator[str]:
    """Serve a node that grants subscription "0x0" to the first call, "0x1" to the second."""

    def serving(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            behave(connection)

    with serve(serving, "127.0.0.1", 0, max_size=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()


def grant(connection: ServerConnection, count: int = 1) -> None:
    for _ in range(count):
        asked = json.loads(connection.recv())
        granted = {"jsonrpc": "2.0", "id": asked["id"], "result": hex(asked["id"])}
        connection.send(json.dumps(granted))


def notify(connection: ServerConnection, subscription_id: str = "0x0") -> None:
    params = {"subscription": subscription_id, "result": {"number": "0xffffffff"}}
    connection.send(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}))


def test_every_block_of_a_node_is_announced() -> None:
    with Anvil(chain_id=31337, mining=False) as chain:
        subscribed = Subscription([ws(chain.url)], [HEADS], chain="L1")
        assert not subscribed.is_live  # and nothing has connected yet
        await_count(subscribed, 1)  # what came before is looked for at once
        assert subscribed.is_live
        for number in range(2, 5):
            ask(connect(chain.url), "evm_mine")
            await_count(subscribed, number)


def test_only_what_the_escrow_logs_is_a_reason_to_look() -> None:
    with Anvil(chain_id=31337) as chain:
        w3 = connect(chain.url)
        user, escrow = w3.eth.accounts[0], w3.to_checksum_address("0x" + "11" * 20)
        # PUSH0 PUSH0 LOG0: whoever calls it makes it log
        ask(w3, "anvil_setCode", escrow, "0x5f5fa000")
        subscribed = Subscription([ws(chain.url)], [HEADS, LOGS], chain="zksync")
        await_count(subscribed, 1)
        for _ in range(3):
            ask(w3, "evm_mine")
        w3.eth.send_transaction({"from": user, "to": escrow})
        await_count(subscribed, 2)
        assert subscribed.count == 2  # the four blocks are none


def test_a_node_that_ends_is_found_again() -> None:
    chain = Anvil(chain_id=31337, mining=False).start()
    again = Anvil(chain_id=31337, mining=False, port=chain.port)
    try:
        subscribed = Subscription([ws(chain.url)], [HEADS], chain="L1")
        await_count(subscribed, 1)
        chain.stop()
        while subscribed.is_live:
            subscribed.wait(subscribed.count, 0.05)
        again.start()
        await_count(subscribed, 2)
        ask(connect(again.url), "evm_mine")
        await_count(subscribed, 3)
    finally:
        chain.stop()
        again.stop()


def test_the_next_url_serves_where_the_first_refuses() -> None:
    def refuse(connection: ServerConnection) -> None:
        connection.recv()
        error = {"code": -32601, "message": f"no subscriptions for {KEY}"}
        connection.send(json.dumps({"jsonrpc": "2.0", "id": 0, "error": error}))
        connection.recv()

    def serve_well(connection: ServerConnection) -> None:
        grant(connection)
        notify(connection)
        connection.recv()

    with announcing(refuse) as first, announcing(serve_well) as second:
        subscribed = Subscription([first, second], [HEADS], chain="L1")
        await_count(subscribed, 2)
        assert subscribed.is_live


def test_a_flood_is_read_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    paused, resume = threading.Event(), threading.Event()

    def pause(seconds: float) -> None:
        if seconds == subscription._PAUSE_SECONDS:
            paused.set()
            resume.wait(SECONDS)

    def flood(connection: ServerConnection) -> None:
        grant(connection)
        while True:
            notify(connection)

    monkeypatch.setattr("mmbot_pipelines.adapters.rpc.subscription.time.sleep", pause)
    with announcing(flood) as url:
        subscribed = Subscription([url], [HEADS], chain="L1")
        subscribed.wait(0, 0.0)
        assert paused.wait(SECONDS)
        # however many wait at the sender
        assert subscribed.count == subscription._MAX_MESSAGES
        monkeypatch.undo()
        resume.set()


def test_a_node_that_never_sends_is_not_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "_SILENT_SECONDS", 0.1)
    connected = threading.Semaphore(0)

    def say_nothing(connection: ServerConnection) -> None:
        connected.release()
        connection.recv()
        connection.recv()

    with announcing(say_nothing) as url:
        subscribed = Subscription([url], [HEADS], chain="L1")
        subscribed.wait(0, 0.0)
        for _ in range(3):
            assert connected.acquire(timeout=SECONDS)  # it is tried again and again
            assert not subscribed.is_live
    assert subscribed.count == 0


def test_a_node_that_falls_silent_is_not_relied_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "_MIN_RETRY_SECONDS", SECONDS)
    impatient = threading.Event()

    def fall_silent(connection: ServerConnection) -> None:
        grant(connection)
        assert impatient.wait(SECONDS)
        notify(connection, "0x9")  # of nobody: only the last message before the silence
        connection.recv()

    with announcing(fall_silent) as url:
        subscribed = Subscription([url], [HEADS], chain="L1")
        await_count(subscribed, 1)
        monkeypatch.setattr(subscription, "_SILENT_SECONDS", 0.1)
        impatient.set()
        while subscribed.is_live:
            subscribed.wait(subscribed.count, 0.05)
    assert subscribed.count == 1


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        "null",
        '{"params": 7}',
        '{"params": {"subscription": {"a": 1}}}',
        '{"id": [], "result": 1}',
        "[" * 5000,
        '"' + "x" * 2**19 + '"',
    ],
)
def test_garbage_ends_no_thread(message: str) -> None:
    first = threading.Event()

    def talk(connection: ServerConnection) -> None:
        grant(connection)
        if not first.is_set():
            first.set()
            connection.send(message)
        notify(connection)
        connection.recv()

    with announcing(talk) as url:
        subscribed = Subscription([url], [HEADS], chain="L1")
        # Live once or twice, with one notification or two: it is up in the end.
        await_count(subscribed, 2)
        assert subscribed._pid == os.getpid()


def test_a_forked_process_neither_has_the_thread_nor_believes_in_it() -> None:
    with Anvil(chain_id=31337, mining=False) as chain:
        subscribed = Subscription([ws(chain.url)], [HEADS], chain="L1")
        await_count(subscribed, 1)
        child = os.fork()
        if child == 0:
            os._exit(int(subscribed.is_live or threading.active_count() != 1))
        assert os.waitpid(child, 0)[1] == 0


def test_no_log_line_has_a_key(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("websockets.server"), "disabled", True)  # the node's own

    def close(connection: ServerConnection) -> None:
        connected.release()

    connected = threading.Semaphore(0)
    with announcing(close) as url:
        urls = [
            f"{url}/v3/{KEY}",
            f"wss://127.0.0.1:1/{KEY}?key={KEY}",
            f"ws://{KEY}:x@127.0.0.1:0",
        ]
        subscribed = Subscription(urls, [HEADS], chain="L1")
        subscribed.wait(0, 0.0)
        for _ in range(2):
            assert connected.acquire(timeout=SECONDS)
    assert KEY not in caplog.text
    assert caplog.text.count("announces nothing") == 1  # one line for one outage
