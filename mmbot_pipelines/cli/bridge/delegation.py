"""mmbot delegation: what code our account on L1 runs (EIP-7702), and a person's change of it."""

from uuid import uuid4

import typer

from mmbot_pipelines import settings
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.sending.delegation import change_delegation
from mmbot_pipelines.cli.screen import acted_on, console, plain
from mmbot_pipelines.core.safety import InvalidDecision
from mmbot_pipelines.wiring import bridge as wiring
from mmbot_pipelines.wiring import shared
from mmbot_pipelines.wiring.origins import stranded_refunds

delegation = typer.Typer(no_args_is_help=False)


@delegation.callback(invoke_without_command=True)
def show(context: typer.Context) -> None:
    """Show what code our account runs."""
    if context.invoked_subcommand is None:
        found = wiring.delegating_wallet(settings.load()).delegation()
        console().print(plain(found.summary), soft_wrap=True)


@delegation.command("set")
def set_() -> None:
    """Delegate our account to the batch contract, and deploy it where it is not; while halted."""
    _change(delegate=True)


@delegation.command()
def remove() -> None:
    """End the delegation of our account, to whomever it is; while halted."""
    _change(delegate=False)


def _change(*, delegate: bool) -> None:
    read = settings.load()
    if delegate and (faults := stranded_refunds(wiring.l1_rpc(read), read)):
        console(stderr=True).print(plain("\n".join(faults)), soft_wrap=True)
        raise typer.Exit(1)
    database = shared.existing(read.database)
    bridge, wallet = wiring.bridge(read), wiring.delegating_wallet(read)
    out = console()
    run = Run(id=f"cli-{uuid4().hex[:8]}", log=lambda line: out.print(plain(line), soft_wrap=True))
    try:
        change_delegation(bridge, wallet, delegate=delegate, run=run)
    except InvalidDecision as e:
        console(stderr=True).print(plain(str(e)), soft_wrap=True)
        raise typer.Exit(1) from None
    acted_on(database)
