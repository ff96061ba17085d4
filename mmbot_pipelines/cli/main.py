"""mmbot: what an operator does at a terminal.

Only the command that is called is imported, so that `mmbot --help` answers at once.
Exit codes: 0 done, 1 the answer is no, 2 the command could not do its work.
"""

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer

from mmbot_pipelines.cli.screen import console, plain
from mmbot_pipelines.core.errors import ConcurrentUpdate, Failure, InvalidSettings

# by name: the module that has it under that name, and what it does; without a module the command
# is an entry point of a package beside this one
COMMANDS = {
    "demo": (None, "Run the bridge on local chains, and show every order's way."),
    "status": ("bridge.status", "Say whether all is well, and what waits for a person."),
    "orders": ("bridge.orders", "List the orders, or show one order's whole history."),
    "report": ("bridge.report", "Show what was earned and what it cost, by day and origin."),
    "replay": ("bridge.replay", "Report what the bot would have done with orders of the past."),
    "doctor": (
        "doctor.command",
        "Check every setting, the database, the chains and the contracts.",
    ),
    "retry": ("bridge.retry", "Take up orders that failed or are parked, at once."),
    "safety": ("safety", "Show what is halted or throttled, and what changed before."),
    "halt": ("safety", "Send no transfer from now on; claims go on."),
    "resume": ("safety", "Send transfers again, after a halt."),
    "delegation": ("bridge.delegation", "Show, set or remove the code that our account runs."),
    "migrate": ("migrate", "Bring the database's tables up to this version."),
    "workers": ("workers", "Execute runs in warm processes, in place of one process each."),
    "metrics": ("metrics", "Serve the metrics for Prometheus."),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a fault is one clear line per cause on stderr, and exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        gc.disable()  # nothing of what is imported can go: looking for it takes a tenth of the time
        try:
            app = _app([*given, *_completed_words()])
        finally:
            gc.freeze()
            gc.enable()
        app(given)
    except (InvalidSettings, Failure, ConcurrentUpdate) as e:
        text = str(e) if isinstance(e, InvalidSettings) else f"{type(e).__name__}: {e}"
        console(stderr=True).print(plain(text), soft_wrap=True)
        sys.exit(2)


def _completed_words() -> list[str]:
    """Return what is typed so far, where a shell asks how it may go on (bash, zsh and fish)."""
    if "_MMBOT_COMPLETE" not in os.environ:
        return []
    return " ".join(os.environ.get(n, "") for n in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")).split()


def _app(given: Sequence[str]) -> typer.Typer:
    app = typer.Typer(
        help="MM Bot: a market maker that supplies liquidity to escrow orders across chains.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for name, (module, text) in COMMANDS.items():
        command: Any = _only_named
        if name in given:
            command = _loaded(module, name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, help=text)
        else:
            app.command(name, help=text)(command)
    return app


def _loaded(module: str | None, name: str) -> Any:
    """Import a command.

    Raises:
        InvalidSettings: it belongs to a package that is not installed.
    """
    if module is not None:
        return getattr(import_module(f"mmbot_pipelines.cli.{module}"), name)
    from importlib.metadata import entry_points  # noqa: PLC0415

    for entry in entry_points(group="mmbot.commands", name=name):
        return entry.load()
    raise InvalidSettings(
        f"mmbot {name} needs the local chains, which are not installed here: "
        f"run `make setup` in the project's folder"
    )


def _only_named() -> None:
    """Stand in the help for a command that was not called."""
