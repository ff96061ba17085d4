"""The format of what Dagster's processes log: text for people, or JSON (MMBOT_LOG_FORMAT)."""

from functools import cache

from mmbot_pipelines.defs.shared.dagster_internals import log_runs_and_ticks_to
from mmbot_pipelines.settings import ORIGINS, load_log_format
from mmbot_pipelines.settings.values import JSON


@cache
def configure_logs() -> None:
    """Let this process, with the runs and ticks in it, log as MMBOT_LOG_FORMAT says; once.

    Raises:
        InvalidSettings: MMBOT_LOG_FORMAT is neither.
    """
    if load_log_format() == JSON:
        from mmbot_pipelines.adapters.logs import log_as_json  # noqa: PLC0415

        log_runs_and_ticks_to(log_as_json((*ORIGINS,)))
