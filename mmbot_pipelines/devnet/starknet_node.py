"""A Starknet node for demo and tests: `python -m mmbot_pipelines.devnet.starknet_node`.

No Starknet node can be had from the package registries, so this one answers
Starknet's JSON-RPC 0.10.2 over HTTP from a chain in memory. It knows one Escrow, two
tokens and a few accounts; it proves nothing and keeps nothing.
"""

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

from mmbot_pipelines.devnet.starknet_control import DevnetMethods
from mmbot_pipelines.devnet.starknet_delivery import FINALITY, Delivery, L1Link
from mmbot_pipelines.devnet.starknet_genesis import StarknetSettings
from mmbot_pipelines.devnet.starknet_inbox import Inbox
from mmbot_pipelines.devnet.starknet_methods import StarknetMethods
from mmbot_pipelines.devnet.starknet_routes import answer
from mmbot_pipelines.devnet.starknet_sequencer import Sequencer


class StarknetNode:
    """Serve a local Starknet: `async with StarknetNode(settings) as node: ... node.url`."""

    def __init__(
        self,
        settings: StarknetSettings | None = None,
        link: L1Link | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.settings = settings or StarknetSettings()
        self.link = link
        self.url = ""
        self._host, self._port = host, port
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
        site = web.TCPSite(self._runner, self._host, self._port)
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
        response = await answer(self._routes, await request.read())
        return web.Response(status=204) if response is None else web.json_response(response)

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


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="starknet_node", description=__doc__.split("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--chain-id", default="SN_DEVNET")
    parser.add_argument("--users", type=int, default=3, help="funded accounts")
    parser.add_argument("--block-time", type=float, help="seconds; absent: devnet_mine only")
    parser.add_argument("--l1-depth", type=int, default=10, help="blocks until L1 accepts one")
    parser.add_argument("--registry", default="0x0", help="PaymentRegistry on L1")
    parser.add_argument("--market-maker", help="wallet that the escrow pays")
    parser.add_argument("--l1-rpc", help="anvil that sends messages")
    parser.add_argument("--messaging", help="StarknetMessaging on L1")
    parser.add_argument("--consume-at", choices=FINALITY, default=FINALITY[0])
    given = parser.parse_args(argv)
    if bool(given.l1_rpc) != bool(given.messaging):
        parser.error("--l1-rpc and --messaging belong together: give both or neither")
    return given


async def main(argv: list[str]) -> None:
    """Serve until SIGTERM or SIGINT; say the address in one line when ready."""
    given = arguments(argv)
    link = None
    if given.l1_rpc:
        link = L1Link(rpc_url=given.l1_rpc, messaging=given.messaging, consume_at=given.consume_at)
    settings = StarknetSettings(
        chain_id=given.chain_id,
        users=given.users,
        registry=int(given.registry, 16),
        market_maker=int(given.market_maker, 16) if given.market_maker else None,
        block_time=given.block_time,
        l1_depth=given.l1_depth,
    )
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with StarknetNode(settings, link, host=given.host, port=given.port) as node:
        sys.stdout.write(f"{node.url}\n")
        sys.stdout.flush()
        await stopped.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="starknet_node: %(message)s")
    asyncio.run(main(sys.argv[1:]))
