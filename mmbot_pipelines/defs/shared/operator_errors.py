"""Failures as Dagster shows them: red, in words, without a trace of code.

The database may be away, or a chain's nodes: that is no bug, and who looks at a run or a
tick needs its cause alone. What nobody foresaw keeps its trace.
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
    """What failed, as a run, a tick and a code location show it.

    A step takes it for a failure by intention. Everywhere else Dagster takes it for an error
    that another process has written down already, and shows that one in its place.
    """

    def __init__(self, text: str) -> None:
        written = SerializableErrorInfo(message=text, stack=[], cls_name=type(self).__name__)
        super().__init__(  # type: ignore[no-untyped-call]
            text, allow_retries=False, user_code_process_error_infos=[written]
        )


@contextmanager
def operator_errors() -> Iterator[None]:
    """Fail what is at work with the cause in words; also a decorator.

    Raises:
        OperatorError: see there.
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
    """Return the first line of what the driver said."""
    while deeper := getattr(error, "orig", None) or error.__cause__:
        error = deeper
    return (str(error).strip() or type(error).__name__).splitlines()[0]
