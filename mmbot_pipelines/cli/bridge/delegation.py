"""mmbot delegation: what code our accounts on L1 run (EIP-7702), and a person's change of it."""

import json
from typing import Annotated
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
from mmbot_pipelines.wiring.wallets import FIRST_WALLET, delegating_wallets, l1_rpc

delegation = typer.Typer(no_args_is_help=False)


@delegation.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    wallet: Annotated[
        str, typer.Option(help="The wallet to change: a name of MMBOT_L1_MORE_WALLETS.")
    ] = FIRST_WALLET,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what code our accounts run."""
    context.obj = wallet
    if context.invoked_subcommand is not None:
        return
    shown = [found.delegation() for found in delegating_wallets(settings.load()).values()]
    if as_json:
        rows = [{"account": d.account, "code": d.code.name, "target": d.target} for d in shown]
        typer.echo(json.dumps(rows, indent=2))
        return
    for found in shown:
        console().print(plain(found.summary), soft_wrap=True)


@delegation.command("set")
def set_(context: typer.Context) -> None:
    """Delegate our account to the batch contract, and deploy it where it is not; while halted."""
    _change(context.obj, delegate=True)


@delegation.command()
def remove(context: typer.Context) -> None:
    """End the delegation of our account, to whomever it is; while halted."""
    _change(context.obj, delegate=False)


def _change(name: str, *, delegate: bool) -> None:
    read = settings.load()
    wallets = delegating_wallets(read)
    if name not in wallets:
        names = ", ".join(wallets)
        console(stderr=True).print(plain(f"no wallet is called {name}: name one of {names}"))
        raise typer.Exit(1)
    if delegate and (faults := stranded_refunds(l1_rpc(read), read)):
        console(stderr=True).print(plain("\n".join(faults)), soft_wrap=True)
        raise typer.Exit(1)
    database = shared.existing(read.database)
    wallet = wallets[name]
    bridge = wiring.bridge(read).lanes[list(wallets).index(name)]
    out = console()
    run = Run(id=f"cli-{uuid4().hex[:8]}", log=lambda line: out.print(plain(line), soft_wrap=True))
    try:
        change_delegation(bridge, wallet, delegate=delegate, run=run)
    except InvalidDecision as e:
        console(stderr=True).print(plain(str(e)), soft_wrap=True)
        raise typer.Exit(1) from None
    acted_on(database)
