"""An RPC node that fails on command: a proxy in front of a healthy one.

    with FaultyRpc("http://127.0.0.1:8545") as node:
        node.fail(Fault.HANG)    # from now on
        node.fail(Fault.NONE)    # healthy again; what hung is dropped

It serves from a thread of its own and may be controlled from any other. What it answers
when it lies or is behind is in `node_faults`.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum
from random import Random
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from tests.chaos.node_faults import Behind, lie

_MAX_BYTES = 2**26
_UPSTREAM_SECONDS = 30


class Fault(StrEnum):
    """What a node can do instead of answering."""

    NONE = "none"
    DROP = "drop"  # closes the connection without an answer
    HANG = "hang"  # keeps it open without an answer
    ERROR = "500"
    LIMIT = "429"
    GARBAGE = "garbage"  # an answer that is no JSON
    STALE = "stale"  # stays at the block it has now
    LIE = "lie"  # answers something else than the truth


_RESPONSES = {
    Fault.ERROR: (500, "Internal Server Error"),
    Fault.LIMIT: (429, "Too Many Requests"),
    Fault.GARBAGE: (200, "<html>no backend</html>"),
}


class FaultyRpc:
    """One node in front of `upstream`, as a context manager."""

    def __init__(self, upstream: str, *, seed: int = 0, port: int = 0) -> None:
        """Describe the node; `start` runs it.

        seed: of its lies.
        port: 0 lets the system choose.
        """
        self.upstream = upstream
        self.port = port
        self.fault = Fault.NONE
        self.served = Counter[Fault]()  # requests by what was done with them
        self.asked = Counter[str]()  # questions by method
        self.lies: dict[str, Callable[[Any], Any]] = {}  # by method, whatever the fault
        self._rng = Random(seed)
        self._behind: Behind | None = None
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="faulty-rpc")
        self._up: Future[None] = Future()

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Serve; return once it listens.

        Raises:
            OSError: the port is taken.
        """
        self._thread.start()
        self._up.result()
        return self

    def stop(self) -> None:
        """Stop serving; harmless when it does not."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join()

    def fail(self, fault: Fault) -> None:
        """Do this with every request from now on; what hangs is dropped."""
        asyncio.run_coroutine_threadsafe(self._fail(fault), self._loop).result()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except Exception as e:
            if self._up.done():
                raise
            self._up.set_exception(e)
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=_MAX_BYTES)
        app.router.add_post("/{path:.*}", self._answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", self.port)
            await site.start()
            self.port = runner.addresses[0][1]
            async with ClientSession(timeout=ClientTimeout(total=_UPSTREAM_SECONDS)) as session:
                self._session = session
                self._up.set_result(None)
                await self._done.wait()
                await self._fail(Fault.DROP)
        finally:
            await runner.cleanup()

    async def _fail(self, fault: Fault) -> None:
        self._behind = None
        if fault is Fault.STALE:
            self._behind = Behind(await self._height())
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()

    async def _height(self) -> int:
        for method in ("eth_blockNumber", "starknet_blockNumber"):
            answer = await self._ask({"jsonrpc": "2.0", "id": 1, "method": method, "params": []})
            if "result" in answer:
                height = answer["result"]
                return height if isinstance(height, int) else int(height, 16)
        raise RuntimeError(f"{self.upstream} speaks neither Ethereum's nor Starknet's RPC")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body, fault = await request.read(), self.fault
        self.served[fault] += 1
        if fault is Fault.HANG:
            await self._changed.wait()
        if fault in (Fault.HANG, Fault.DROP):
            return _drop(request)
        if fault in _RESPONSES:
            status, text = _RESPONSES[fault]
            return web.Response(status=status, text=text)
        try:
            return web.json_response(await self._pass(json.loads(body), fault))
        except (ClientError, TimeoutError):
            return _drop(request)

    async def _pass(self, asked: Any, fault: Fault) -> Any:
        """Answer one question, or a batch of them, in the way of the fault."""
        questions = asked if isinstance(asked, list) else [asked]
        self.asked.update(question["method"] for question in questions)
        seen = [self._behind.asked(q) for q in questions] if self._behind else questions
        answers = await self._ask(seen)
        by_id = {answer.get("id"): answer for answer in answers}
        distorted = [
            self._distorted(question, by_id[question["id"]], fault)
            for question in questions
            if question.get("id") in by_id
        ]
        return distorted if isinstance(asked, list) else distorted[0]

    def _distorted(self, question: Any, answer: Any, fault: Fault) -> Any:
        if "result" not in answer:
            return answer
        if question["method"] in self.lies:
            return answer | {"result": self.lies[question["method"]](answer["result"])}
        if fault is Fault.LIE:
            return answer | {"result": lie(question["method"], answer["result"], self._rng)}
        if self._behind is not None:
            return answer | {"result": self._behind.answered(question, answer["result"])}
        return answer

    async def _ask(self, body: Any) -> Any:
        async with self._session.post(self.upstream, json=body) as answer:
            return await answer.json()


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
