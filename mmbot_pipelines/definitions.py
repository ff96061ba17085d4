"""What Dagster loads. Importing it reads no environment; `defs` does when Dagster calls it."""

import logging
import sys
import warnings
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Protocol, cast

import dagster as dg

from mmbot_pipelines.defs.shared import retention
from mmbot_pipelines.defs.shared.dagster_internals import follow_ticks, share_instance
from mmbot_pipelines.defs.shared.logs import configure_logs
from mmbot_pipelines.defs.shared.operator_errors import OperatorError, operator_errors
from mmbot_pipelines.settings import load_apps, load_broker, load_database
from mmbot_pipelines.settings.home import launcher_fault, require_home

_log = logging.getLogger(__name__)


class Application(Protocol):
    """The module `defs/NAME/application.py` of an application."""

    def require_settings(self) -> None:
        """Read and check what the application needs of the environment."""

    def definitions(self) -> dg.Definitions:
        """Return the application's definitions."""

    def warm_up(self) -> None:
        """Open what its runs need, in a process that will execute many of them."""


@dg.definitions
@cache  # Dagster calls it several times in one process
def defs() -> dg.Definitions:
    """Return the definitions of the applications that MMBOT_APPS names; no other is imported.

    Raises:
        OperatorError: the settings cannot work.
    """
    # Dagster warns of a call of its own, in the log of every run.
    warnings.filterwarnings("ignore", "Parameter `owners` of", dg.BetaWarning)
    follow_ticks()
    share_instance()
    try:
        with operator_errors():
            configure_logs()
            applications = [_application(name) for name in load_apps()]
            for application in applications:
                application.require_settings()
            database = load_database()
            home = require_home(database.dagster_home)
            if load_broker().url is not None and (why := launcher_fault(home)):
                _log.warning(why)
            parts = [application.definitions() for application in applications]
    except OperatorError:
        sys.tracebacklimit = 0  # the code server ends here, and would print its whole way
        raise
    return merged(parts, database.run_retention_days)


def warm_up() -> None:
    """Open what runs need, in a process that will execute many of them.

    Raises:
        InvalidSettings, StoreUnavailable: something cannot be opened.
    """
    for name in load_apps():
        _application(name).warm_up()


def merged(parts: Sequence[dg.Definitions], keep_days: int) -> dg.Definitions:
    """Return the applications' definitions with what all share; reads nothing else.

    keep_days: how long Dagster keeps runs that ended.
    """
    return dg.Definitions.merge(
        *parts,
        retention.definitions(keep_days),
        dg.Definitions(
            # No op passes a value on, and Dagster's default manager takes a folder. The memory one
            # takes any configuration; ours takes none: what a stranger sends is refused.
            resources={"io_manager": dg.mem_io_manager.configured(lambda _: {}, config_schema={})},
            # of jobs that Dagster makes itself: the UI's Materialize would start one process a step
            executor=dg.in_process_executor,
        ),
    )


def _application(name: str) -> Application:
    return cast(Application, import_module(f"mmbot_pipelines.defs.{name}.application"))
