"""mmbot doctor: every setting, against the database and the chains it names."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from mmbot_pipelines import settings
from mmbot_pipelines.adapters.db.versions import pending
from mmbot_pipelines.cli.doctor.findings import (
    CheckResult,
    CheckStatus,
    fault,
    not_checked,
    note,
    ok,
    run_check,
)
from mmbot_pipelines.cli.screen import console, plain
from mmbot_pipelines.core.errors import Failure, InvalidSettings, StoreUnavailable
from mmbot_pipelines.settings import Database, Settings
from mmbot_pipelines.settings.home import launcher_fault, require_home
from mmbot_pipelines.wiring import shared

_STYLES = {
    CheckStatus.OK: "green",
    CheckStatus.NOTE: "yellow",
    CheckStatus.FAULT: "bold red",
    CheckStatus.NOT_CHECKED: "dim",
}
_WIDTH = max(map(len, CheckStatus)) + 1


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line a check.")] = False
) -> None:
    """Check every setting, the database, the chains, the contracts and the wallet."""
    out = console()
    counted: Counter[CheckStatus] = Counter()
    for finding in findings():
        counted[finding.mark] += 1
        if as_json:
            typer.echo(json.dumps(asdict(finding)))
            continue
        out.print(f"{finding.mark:{_WIDTH}}", style=_STYLES[finding.mark], end="")
        out.print(plain(f"{finding.subject}: {finding.text}"), soft_wrap=True)
    if not as_json:
        unknown = counted[CheckStatus.NOT_CHECKED]
        out.print(
            f"checks: {counted.total() - unknown}, faults: {counted[CheckStatus.FAULT]}"
            + (f", not checked: {unknown}" if unknown else "")
        )
    if counted[CheckStatus.FAULT]:
        raise typer.Exit(1)


def findings() -> Iterator[CheckResult]:
    """Check everything that the settings make possible, one finding at a time."""
    read = None
    try:
        read = settings.load()
        yield ok("settings", f"all {len(settings.VARIABLES)} are understood")
    except InvalidSettings as e:
        for line in str(e).splitlines():
            yield fault("settings", line)
    yield from run_check("database", lambda: _database(settings.load_database()))
    if read is None:
        yield not_checked("chains, wallet and contracts", "settings above are at fault")
        yield not_checked("DAGSTER_HOME and workers", "settings above are at fault")
        return
    yield from _limits(read)
    # Their libraries take a second to import, in which something stands on the screen already.
    from mmbot_pipelines.cli.doctor import chains as chain_checks  # noqa: PLC0415

    yield from chain_checks.chains(read)
    yield from _dagster(read)
    yield from _workers(read)


def _limits(read: Settings) -> Iterator[CheckResult]:
    if read.dry_run:
        yield note("MMBOT_DRY_RUN", "is true: all is decided and simulated, nothing is sent")
    for name in read.limits.unbounded:
        yield note(name, "is not set: what it would limit has no limit")
    if not any(tier.blocks != 0 for tier in read.limits.confirmations):
        yield note("MMBOT_CONFIRMATIONS", "is not set: orders are paid as soon as they are seen")
    if read.rpc_quorum == 1:
        yield note("MMBOT_RPC_QUORUM", "is 1: every RPC URL that is named is trusted alone")


def _database(database: Database) -> Iterator[CheckResult]:
    try:
        lacks_migration = pending(shared.database_url(database))
    except StoreUnavailable as e:
        yield fault("database", f"{e}: start it, or fix MMBOT_DATABASE_URL")
        yield not_checked("database", "whether its tables are of this version")
        return
    yield ok("database", f"{database.description} answers")
    shared.require_own_sessions(database)
    if not lacks_migration:
        yield ok("database", "its tables are of this version")
    elif database.auto_migrate:
        yield ok("database", "its tables are brought up to date at start (MMBOT_AUTO_MIGRATE)")
    else:
        yield fault("database", "its tables are not of this version: run `mmbot migrate`")


def _workers(read: Settings) -> Iterator[CheckResult]:
    workers = shared.workers(read.broker)
    if workers is None:
        yield note("MMBOT_BROKER_URL", "is not set: each run starts a process, for 2 to 4 seconds")
        return
    try:
        alive = workers.alive()
    except Failure as e:
        yield fault("broker", f"{e}: start it, or fix MMBOT_BROKER_URL")
        yield not_checked("workers", "whether any takes runs: the broker does not answer")
        return
    where = read.broker.description
    if alive:
        yield ok("workers", f"{', '.join(alive)} of {where}")
    else:
        yield fault("workers", f"none takes runs from {where}: start `mmbot workers`")


def _dagster(read: Settings) -> Iterator[CheckResult]:
    try:
        home = require_home(read.database.dagster_home)
    except InvalidSettings as e:
        yield fault("DAGSTER_HOME", str(e).removeprefix("DAGSTER_HOME "))
        return
    if not os.access(home, os.W_OK):
        yield fault("DAGSTER_HOME", f"{home} is no folder that we may write to: make it ours")
    else:
        yield ok("DAGSTER_HOME", f"{home} holds our dagster.yaml")
    if read.broker.url is not None and (why := launcher_fault(home)):
        yield fault("DAGSTER_HOME", why)
