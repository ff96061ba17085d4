"""A JSON-RPC node that answers what a test sets, over real HTTP."""

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mmbot_pipelines.adapters.rpc.client import Rpc

Method = Callable[..., Any]
NOBODY = "http://127.0.0.1:1"  # a port that nothing listens on


class Refusal(Exception):
    """The node answers a question with this error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        self.error = {"code": code, "message": message, "data": data}
        super().__init__(message)


def refuse(code: int, message: str, data: Any = None) -> Method:
    """Return a method that answers whatever it is asked with this error."""

    def method(*_: Any, **__: Any) -> None:
        raise Refusal(code, message, data)

    return method


def word(number: int) -> str:
    """Return a number as 32 bytes in a node's hex: a hash, a topic or a slot."""
    return f"0x{number:064x}"


class FakeNode:
    """Answer by `methods`; `body` and `status` replace whole HTTP answers while they are set."""

    def __init__(self, chain_id: int = 1) -> None:
        self.methods: dict[str, Method] = {
            "eth_chainId": lambda: hex(self.chain_id),
            "eth_blockNumber": lambda: hex(self.height),
            "eth_getBlockByNumber": lambda *_: {"timestamp": hex(int(time.time()) - self.age)},
        }
        self.chain_id = chain_id
        self.height = 100
        self.age = 0  # of its newest block, in seconds
        self.status = 200
        self.headers: dict[str, str] = {}  # of the HTTP answer, beside its length
        self.body: bytes | Callable[[Any], bytes] | None = None
        self.silent = False  # takes the request and never answers
        self.gzip = False
        self.drip_seconds = 0.0  # between two bytes of an answer, padded to be long
        self.requests: list[Any] = []  # decoded bodies, in order
        self.cookies: list[str | None] = []  # of the requests
        self.released = threading.Event()  # ends the silence
        self.url = ""

    @property
    def asked(self) -> list[str]:
        """List the methods asked for, but the check of the chain id and the looks around."""
        requests = [r if isinstance(r, list) else [r] for r in self.requests]
        return [
            rpc_call["method"]
            for request in requests
            if request[0]["method"] != "eth_chainId"
            for rpc_call in request
        ]

    def answer(self, request: Any) -> bytes:
        """Return the body of the HTTP answer."""
        if self.body is not None:
            return self.body(request) if callable(self.body) else self.body
        if isinstance(request, list):
            return json.dumps([self._one(q) for q in request]).encode()
        return json.dumps(self._one(request)).encode()

    def _one(self, rpc_call: Any) -> dict[str, Any]:
        answer = {"jsonrpc": "2.0", "id": rpc_call["id"]}
        method = self.methods.get(rpc_call["method"])
        if method is None:
            return answer | {"error": {"code": -32601, "message": "no such method"}}
        try:
            given = rpc_call["params"]
            result = method(**given) if isinstance(given, dict) else method(*given)
            return answer | {"result": result}
        except Refusal as refusal:
            return answer | {"error": refusal.error}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Log nothing about clients that disconnect."""


@contextmanager
def fake_node(chain_id: int = 1, **methods: Method) -> Iterator[FakeNode]:
    """Serve a node on 127.0.0.1 until the block ends."""
    node = FakeNode(chain_id)
    node.methods |= methods

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body go out in two writes

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            node.cookies.append(self.headers["Cookie"])
            node.requests.append(request)
            if node.silent:
                node.released.wait(30)
                self.close_connection = True
                return
            body = node.answer(request)
            if node.drip_seconds:
                body += b" " * 1000
            self.send_response(node.status)
            if node.gzip:
                body = gzip.compress(body)
                self.send_header("Content-Encoding", "gzip")
            for name, value in node.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not node.drip_seconds:
                self.wfile.write(body)
                return
            with contextlib.suppress(OSError):  # the client has hung up
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    node.released.wait(node.drip_seconds)

        def log_message(self, *_: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    node.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield node
    finally:
        node.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def rpc(*nodes: FakeNode | str, **options: Any) -> Rpc:
    """Return a client of these nodes, or URLs."""
    urls = [node if isinstance(node, str) else node.url for node in nodes]
    return Rpc(urls, chain="L1", chain_id=1, **options)
