"""Expected failures as Dagster shows them: the cause as text, without a stack trace.

A database or a node that cannot be reached is no bug: the operator needs the cause alone. An
unexpected exception keeps its stack trace.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy.exc import InterfaceError, OperationalError

from mmbot_pipelines.core.errors import Failure, InvalidSettings, OrdersFailed
from mmbot_pipelines.defs.shared.dagster_internals import (
    DagsterUserCodeProcessError,
    SerializableErrorInfo,
)


class OperatorError(DagsterUserCodeProcessError, dg.Failure):
    """A failure that runs, ticks and code locations show as one text.

    A step treats it as an intended failure (`dg.Failure`). Everywhere else Dagster treats it as
    an error that another process has serialized already, and shows that one in its place.
    """

    def __init__(self, text: str) -> None:
        written = SerializableErrorInfo(message=text, stack=[], cls_name=type(self).__name__)
        super().__init__(  # type: ignore[no-untyped-call]
            text, allow_retries=False, user_code_process_error_infos=[written]
        )


@contextmanager
def operator_errors() -> Iterator[None]:
    """Turn expected exceptions into `OperatorError`; also a decorator.

    Raises:
        OperatorError: the body failed for a reason that the operator can act on.
    """
    try:
        yield
    except (OrdersFailed, InvalidSettings) as e:
        text = str(e)
    except Failure as e:
        text = f"{type(e).__name__}: {e}"
    except (DagsterPostgresException, OperationalError, InterfaceError) as e:
        text = f"StoreUnavailable: the tables of Dagster: {_cause(e)}"
    else:
        return
    raise OperatorError(text) from None


def _cause(error: BaseException) -> str:
    """Return the first line of the database driver's own error."""
    while deeper := getattr(error, "orig", None) or error.__cause__:
        error = deeper
    return (str(error).strip() or type(error).__name__).splitlines()[0]
