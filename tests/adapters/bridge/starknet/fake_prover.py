"""A prover on 127.0.0.1 that works, fails or hangs as a test sets it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

API_KEY = "s3cr3t-api-key"


class FakeProver:
    """Answer by `outcomes`; `status` and `body` replace whole answers while they are set.

    It is strict: the same idempotency key with another body is refused.
    outcomes: by task, the answers to its next questions; the last one stays.
    prove: called with each query before its task is DONE for the first time.
    """

    def __init__(self) -> None:
        self.url = ""
        self.tasks: dict[str, str] = {}  # by idempotency key
        self.queries: dict[str, Any] = {}  # by task
        self.outcomes: dict[str, list[Any]] = {}
        self.default: list[Any] = ["DONE"]
        self.prove: Callable[[Any], None] = lambda _: None
        self.proven: set[str] = set()
        self.status: int | None = None
        self.body: bytes = b""
        self.hanging = False
        self.requests: list[tuple[str, dict[str, str]]] = []  # path with query, headers
        self._released = asyncio.Event()

    async def submit(self, request: web.Request) -> web.StreamResponse:
        if (odd := await self._odd(request)) is not None:
            return odd
        key, query = request.headers["Idempotency-Key"], await request.json()
        if key not in self.tasks:
            self.tasks[key] = f"task-{len(self.tasks)}"
        task = self.tasks[key]
        if self.queries.setdefault(task, query) != query:
            return web.json_response({"error": f"key of {task} with another body"}, status=409)
        return web.json_response({"internalId": task}, status=201)

    async def state(self, request: web.Request) -> web.StreamResponse:
        if (odd := await self._odd(request)) is not None:
            return odd
        task = request.query["batchQueryId"]
        if task not in self.queries:
            return web.json_response({"error": f"no task {task}"}, status=404)
        outcomes = self.outcomes.setdefault(task, list(self.default))
        outcome = outcomes.pop(0) if len(outcomes) > 1 else outcomes[0]
        if outcome == "DONE" and task not in self.proven:
            self.proven.add(task)
            await asyncio.to_thread(self.prove, self.queries[task])
        answer = outcome if isinstance(outcome, dict) else {"queryStatus": outcome}
        return web.json_response(answer)

    async def _odd(self, request: web.Request) -> web.StreamResponse | None:
        self.requests.append((request.path_qs, dict(request.headers)))
        if self.hanging:
            await self._released.wait()
        if request.headers.get("api-key") != API_KEY:
            given = request.headers.get("api-key")
            return web.json_response({"error": f"key {given} is unknown"}, status=401)
        if self.status is not None:
            return web.Response(body=self.body, status=self.status)
        return None

    async def serve(self, ready: threading.Event, done: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_post("/v1/submit-batch-query", self.submit)
        app.router.add_get("/v1/batch-query-status", self.state)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        ready.set()
        await done.wait()
        self._released.set()
        await runner.cleanup()


@contextmanager
def fake_prover() -> Iterator[FakeProver]:
    """Serve a prover until the block ends."""
    prover, ready = FakeProver(), threading.Event()
    loop, done = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(prover.serve(ready, done)), name="fake-prover"
    )
    thread.start()
    assert ready.wait(120)
    try:
        yield prover
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()
