"""mmbot metrics: what Prometheus scrapes, from a process of its own."""

import signal
import threading
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry, start_http_server

from mmbot_pipelines import settings
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.settings.values import JSON
from mmbot_pipelines.wiring import bridge as wiring


def metrics(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0: any that is free.")] = 9464,
) -> None:
    """Serve the metrics until Ctrl-C or SIGTERM."""
    if settings.load_log_format() == JSON:
        from mmbot_pipelines.adapters.logs import log_as_json  # noqa: PLC0415

        log_as_json((*settings.ORIGINS,))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(wiring.metrics(settings.load(keys=False)))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as e:
        raise InvalidSettings(
            f"cannot listen on {host}:{port} ({e.strerror}): choose another --host or --port"
        ) from None
    stop = threading.Event()
    for ends in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ends, lambda *_: stop.set())
    typer.echo(f"metrics on http://{host}:{server.server_port}/metrics")
    stop.wait()
    server.shutdown()
    server.server_close()
    thread.join()
