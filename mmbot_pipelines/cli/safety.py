"""mmbot safety, halt and resume: the states, and a person's word about them.

The database is all they need, so that they work when nothing else does.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from mmbot_pipelines import settings, wiring
from mmbot_pipelines.cli.screen import console, plain
from mmbot_pipelines.cli.words import utc
from mmbot_pipelines.core import safety as states
from mmbot_pipelines.core.safety import GLOBAL, NotDecided, SafetyStore, Standing

By = Annotated[str, typer.Option(help="Your name.")]
Reason = Annotated[str, typer.Option(help="Why, for those who read it later.")]
Scope = Annotated[str, typer.Option(help='"global", or one origin.')]


def safety(
    history: Annotated[int, typer.Option(min=0, help="How many changes, newest first.")] = 20,
) -> None:
    """Show what is halted or throttled, since when and why, and what changed before."""
    store, out = _store(), console()
    standings = {s.scope: s for s in (Standing(scope=GLOBAL), *store.standings())}
    for standing in standings.values():
        out.print(plain(standing.told), soft_wrap=True)
    changes = store.changes(history)
    out.print(f"\nHistory ({len(changes)}), newest first, times in UTC", style="bold")
    for change in changes:
        step = f"{change.scope}: {change.before} -> {change.after}"
        out.print(plain(f"  {utc(change.at)}  {step}  by {change.by}"), soft_wrap=True)
        out.print(plain(f"      {change.why}"), soft_wrap=True)


def halt(*, by: By, reason: Reason, scope: Scope = GLOBAL) -> None:
    """Send no transfer from now on; claims go on."""
    store = _store()
    _say(lambda: states.halt(store, _known(scope), by=by, reason=reason, at=datetime.now(UTC)))


def resume(*, by: By, reason: Reason, scope: Scope = GLOBAL) -> None:
    """Send transfers again; failures are counted anew from now on."""
    store = _store()
    _say(lambda: states.resume(store, _known(scope), by=by, reason=reason, at=datetime.now(UTC)))


def _store() -> SafetyStore:
    return wiring.safety(settings.load_database())


def _known(scope: str) -> str:
    return states.known(scope, settings.ORIGINS)


def _say(decide: Callable[[], Standing]) -> None:
    try:
        console().print(plain(decide().told), soft_wrap=True)
    except NotDecided as e:
        console(stderr=True).print(plain(str(e)), soft_wrap=True)
        raise typer.Exit(1) from None
