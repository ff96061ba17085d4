"""The stored errors in Postgres: the ports `ErrorReads` and `ErrorLog`, whose docstrings hold."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.engine import Rows, rows_within
from mmbot_pipelines.adapters.db.tables.orders import errors
from mmbot_pipelines.core.error_log import ErrorEntry, Fault


class PgErrorReads:
    """Questions about errors."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def of(self, subject: str) -> list[ErrorEntry]:
        return self._errors("subject", subject)

    def of_run(self, run_id: str) -> list[ErrorEntry]:
        return self._errors("run_id", run_id)

    def _errors(self, column: str, value: str) -> list[ErrorEntry]:
        named = select(errors).where(errors.c[column] == value).order_by(errors.c.id)
        return [error_of(row) for row in self._rows(named)]


class PgErrorLog(PgErrorReads):
    """The errors within one transaction."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(rows_within(connection))
        self._connection = connection

    def add(
        self, faults: Sequence[Fault], *, at: datetime, run_id: str, scanned: bool = False
    ) -> None:
        if not faults:
            return
        rows = [
            {"subject": f.subject, "step": f.step, "kind": f.kind, "message": f.message}
            | {"at": at, "run_id": run_id, "scanned": scanned}
            for f in faults
        ]
        self._connection.execute(postgresql.insert(errors).on_conflict_do_nothing(), rows)


def error_of(row: Row[Any]) -> ErrorEntry:
    """Read a row of `errors`."""
    return ErrorEntry(
        fault=Fault(subject=row.subject, step=row.step, kind=row.kind, message=row.message),
        at=row.at,
        run_id=row.run_id,
    )
