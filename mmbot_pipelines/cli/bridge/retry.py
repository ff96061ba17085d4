"""mmbot retry: a person takes orders up again."""

from collections.abc import Sequence
from typing import Annotated
from uuid import uuid4

import typer

from mmbot_pipelines import settings
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.origins import EXAMPLE_KEY
from mmbot_pipelines.cli.bridge.orders import require_keys
from mmbot_pipelines.cli.screen import acted_on, console, plain
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.wiring import bridge_store, shared


def retry(
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help=f'e.g. "{EXAMPLE_KEY}"')],
) -> None:
    """Take up orders that failed, are parked or dropped, at once and with all attempts left."""
    require_keys(keys)
    database = shared.existing(settings.load_database())
    found = bridge_store.store(database).orders.get(keys)
    missing = set(keys) - {order.key for order in found}
    if missing:
        typer.echo(f"{', '.join(sorted(missing))}: no such order; nothing was done", err=True)
        raise typer.Exit(1)
    completed = [order.key for order in found if order.status is Status.COMPLETED]
    if len(completed) == len(found):
        typer.echo(f"{', '.join(completed)}: completed; there is nothing to retry", err=True)
        raise typer.Exit(1)
    try:
        _reprocess(keys)
    except OrdersFailed as e:
        console(stderr=True).print(plain(str(e)), soft_wrap=True)
        raise typer.Exit(1) from None
    acted_on(database)


def _reprocess(keys: Sequence[str]) -> None:
    # Only an order that can be retried needs the chains' libraries, a second to import.
    from mmbot_pipelines.bridge import steps  # noqa: PLC0415
    from mmbot_pipelines.wiring import bridge as wiring  # noqa: PLC0415

    out = console()
    run = Run(id=f"cli-{uuid4().hex[:8]}", log=lambda line: out.print(plain(line), soft_wrap=True))
    steps.reprocess(wiring.bridge(settings.load()), keys, run)
