"""mmbot safety, halt and resume: the states, and a person's word about them.

The database is all they need, so that they work when nothing else does.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Protocol

import typer

from mmbot_pipelines import settings
from mmbot_pipelines.cli.screen import acted_on, console, format_utc, plain
from mmbot_pipelines.core import safety as states
from mmbot_pipelines.core.safety import (
    GLOBAL,
    InvalidDecision,
    SafetyChange,
    SafetyStates,
    ScopeState,
)
from mmbot_pipelines.wiring import shared

By = Annotated[str, typer.Option(help="Your name.")]
Reason = Annotated[str, typer.Option(help="Why, for those who read it later.")]
Scope = Annotated[
    str,
    typer.Option(
        help='"global", or one origin.', autocompletion=lambda: [GLOBAL, *settings.ORIGINS]
    ),
]


def safety(
    history: Annotated[int, typer.Option(min=0, help="How many changes, newest first.")] = 20,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is halted or throttled, since when and why, and what changed before."""
    database, out = shared.existing(settings.load_database()), console()
    store = shared.store(database)
    scope_states = {s.scope: s for s in (ScopeState(scope=GLOBAL), *store.safety.scope_states())}
    changes = store.safety.changes(history)
    if as_json:
        typer.echo(json.dumps(_as_json([*scope_states.values()], changes), indent=2))
        acted_on(database, stderr=True)
        return
    for scope_state in scope_states.values():
        out.print(plain(scope_state.summary), soft_wrap=True)
    out.print(f"\nHistory ({len(changes)}), newest first, times in UTC", style="bold")
    for change in changes:
        step = f"{change.scope}: {change.before} -> {change.after}"
        out.print(plain(f"  {format_utc(change.at)}  {step}  by {change.by}"), soft_wrap=True)
        out.print(plain(f"      {change.why}"), soft_wrap=True)
    acted_on(database)


def _as_json(
    scope_states: Sequence[ScopeState], changes: Sequence[SafetyChange]
) -> dict[str, object]:
    return {
        "scopes": [
            {
                "scope": s.scope,
                "state": s.state,
                "since": s.since.isoformat() if s.since else None,
                "by": s.by,
                "why": s.why,
            }
            for s in scope_states
        ],
        "history": [asdict(change) | {"at": change.at.isoformat()} for change in changes],
    }


def halt(*, by: By, reason: Reason, scope: Scope = GLOBAL) -> None:
    """Send no transfer from now on; claims go on."""
    _decide(states.halt, scope, by=by, reason=reason)


def resume(*, by: By, reason: Reason, scope: Scope = GLOBAL) -> None:
    """Send transfers again, and count failures from zero."""
    _decide(states.resume, scope, by=by, reason=reason)


class _Decision(Protocol):
    def __call__(
        self, states: SafetyStates, scope: str, *, by: str, reason: str, at: datetime
    ) -> ScopeState: ...


def _decide(decide: _Decision, scope: str, *, by: str, reason: str) -> None:
    database = shared.existing(settings.load_database())
    store = shared.store(database)
    try:
        known = states.require_scope(scope, settings.ORIGINS)
        with store.begin() as uow:
            now = decide(uow.safety, known, by=by, reason=reason, at=datetime.now(UTC))
    except InvalidDecision as e:
        console(stderr=True).print(plain(str(e)), soft_wrap=True)
        raise typer.Exit(1) from None
    console().print(plain(now.summary), soft_wrap=True)
    acted_on(database)
