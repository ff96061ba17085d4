"""The local Starknet over HTTP: `python -m mmbot_pipelines.devnet.starknet.node`."""

import argparse
import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from aiohttp import web

from mmbot_pipelines.devnet.starknet.control import DevnetMethods
from mmbot_pipelines.devnet.starknet.delivery import Delivery, Inbox, L1Link
from mmbot_pipelines.devnet.starknet.methods import StarknetMethods
from mmbot_pipelines.devnet.starknet.rpc import answer
from mmbot_pipelines.devnet.starknet.sequencer import Sequencer, StarknetSettings


class StarknetNode:
    """Serve a local Starknet: `async with StarknetNode(settings) as node: ... node.url`."""

    def __init__(
        self,
        settings: StarknetSettings | None = None,
        link: L1Link | None = None,
        *,
        port: int = 0,
    ) -> None:
        self.settings = settings or StarknetSettings()
        self.link = link
        self.url = ""
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self.sequencer = Sequencer(self.settings)
        inbox = Inbox(self.sequencer)
        self._routes = {
            **StarknetMethods(self.sequencer, inbox.sent_by).routes(),
            **DevnetMethods(self.sequencer, inbox).routes(),
        }
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._tasks = [asyncio.create_task(self._seal_blocks())]
        if self.link is not None:
            delivery = Delivery(self.sequencer, inbox, self.link)
            self._tasks.append(asyncio.create_task(delivery.run()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        return web.json_response(answer(self._routes, await request.read()))

    async def _seal_blocks(self) -> None:
        while self.settings.block_time is not None:
            await asyncio.sleep(self.settings.block_time)
            self.sequencer.chain.seal()


@contextmanager
def in_thread(node: StarknetNode) -> Iterator[StarknetNode]:
    """Serve a node from a thread of its own, for callers without an event loop."""
    ready, failure = threading.Event(), []
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with node:
            ready.set()
            await done.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except Exception as e:
            failure.append(e)
        finally:
            loop.close()
            ready.set()

    thread = threading.Thread(target=run, name="starknet-node", daemon=True)
    thread.start()
    ready.wait()
    if failure:
        raise failure[0]
    try:
        yield node
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()


async def main(argv: list[str]) -> None:
    """Serve until SIGTERM or SIGINT; print the address in one line when ready."""
    parser = argparse.ArgumentParser(prog="starknet.node", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--block-time", type=float, help="seconds; absent: devnet_mine only")
    parser.add_argument("--registry", required=True, help="PaymentRegistry on L1")
    parser.add_argument("--l1-rpc", required=True, help="anvil that sends messages")
    parser.add_argument("--messaging", required=True, help="StarknetMessaging on L1")
    given = parser.parse_args(argv)
    link = L1Link(rpc_url=given.l1_rpc, messaging=given.messaging)
    settings = StarknetSettings(registry=int(given.registry, 16), block_time=given.block_time)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with StarknetNode(settings, link, port=given.port) as node:
        print(node.url, flush=True)  # noqa: T201  for who started it
        await stopped.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="starknet node: %(message)s")
    asyncio.run(main(sys.argv[1:]))
