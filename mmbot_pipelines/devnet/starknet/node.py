"""The local Starknet over HTTP: `python -m mmbot_pipelines.devnet.starknet.node`."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from mmbot_pipelines.devnet.starknet.delivery import Inbox, L1Link, StarknetDelivery
from mmbot_pipelines.devnet.starknet.methods import StarknetMethods
from mmbot_pipelines.devnet.starknet.rpc import answer
from mmbot_pipelines.devnet.starknet.sequencer import Sequencer


@asynccontextmanager
async def serve(
    sequencer: Sequencer,
    inbox: Inbox,
    link: L1Link | None = None,
    *,
    port: int = 0,
    block_time: float | None = None,
) -> AsyncIterator[str]:
    """Serve a local Starknet on 127.0.0.1, and yield its URL.

    link: where messages come from; absent, none is delivered.
    block_time: seconds between two blocks; absent, nobody seals them.
    """
    routes = StarknetMethods(sequencer, inbox).routes() | {"devnet_reorg": sequencer.reorg}

    async def respond(request: web.Request) -> web.Response:
        asked = await request.json()
        if isinstance(asked, list):
            return web.json_response([answer(routes, one) for one in asked])
        return web.json_response(answer(routes, asked))

    async def seal() -> None:
        while block_time is not None:
            await asyncio.sleep(block_time)
            sequencer.chain.seal()

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{path:.*}", respond)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    work = [seal()] if link is None else [seal(), StarknetDelivery(inbox, link).run()]
    tasks = [asyncio.create_task(coroutine) for coroutine in work]
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()


async def main(argv: list[str]) -> None:
    """Serve until SIGTERM or SIGINT; print the address when ready."""
    parser = argparse.ArgumentParser(prog="starknet.node", description=__doc__)
    parser.add_argument("--block-time", type=float, required=True, help="seconds")
    parser.add_argument("--registry", required=True, help="PaymentRegistry on L1")
    parser.add_argument("--l1-rpc", required=True, help="anvil that sends messages")
    parser.add_argument("--messaging", required=True, help="StarknetMessaging on L1")
    given = parser.parse_args(argv)
    link = L1Link(rpc_url=given.l1_rpc, messaging=given.messaging)
    sequencer = Sequencer(int(given.registry, 16))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve(sequencer, Inbox(sequencer), link, block_time=given.block_time) as url:
        print("Listening on", url, flush=True)  # noqa: T201  for who started it
        await stopped.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="starknet node: %(message)s")
    asyncio.run(main(sys.argv[1:]))
