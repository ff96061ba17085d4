"""Logs as JSON: one event a line, with the order, transaction, run and wallet it is about.

Only a process that logs JSON imports this: structlog takes a fifth of a second to import.
"""

import logging
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache, partial

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

_OURS = "mmbot_pipelines"
_PRINTING = ("dagster", "dagster-webserver")  # loggers that print by themselves
# What a line names, by its field; "wallet 0x…" because most addresses in lines are recipients'.
_NAMED = {
    "tx": re.compile(r"\b0x[0-9a-f]{64}\b"),
    "wallet": re.compile(r"(?<=\bwallet )0x[0-9a-fA-F]{40}\b"),
}


@cache
def log_as_json(origins: tuple[str, ...]) -> logging.Logger:
    """Let this process log JSON on stderr; return a logger for what comes from runs and ticks.

    origins: what keys of orders begin with.
    """
    formatter = json_formatter(origins)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    ours = logging.getLogger(_OURS)
    ours.addHandler(handler)
    ours.propagate = False
    for name in _PRINTING:
        for printing in logging.getLogger(name).handlers:
            printing.setFormatter(formatter)
    console = logging.Logger("dagster", logging.INFO)
    console.addHandler(handler)
    return console


def json_formatter(origins: Sequence[str]) -> ProcessorFormatter:
    """Return what writes a record of Python's logging as one line of JSON."""
    order = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, origins))}):[0-9]+\b")
    return ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            partial(_with_fields, {"order": order} | _NAMED),
        ],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )


def _with_fields(
    named: Mapping[str, re.Pattern[str]], _: WrappedLogger, __: str, event: EventDict
) -> EventDict:
    """Add what the line is about; several of a kind are separated by commas."""
    meta = getattr(event["_record"], "dagster_meta", None) or {}
    if meta.get("dagster_event") is None:  # of its own events Dagster puts the cause in the text
        event["event"] = meta.get("orig_message") or event["event"]
    tick = meta.get("name")
    known = {
        "run": meta.get("run_id") or (f"sensor {tick}" if tick else None),  # as histories name it
        "job": meta.get("job_name"),
        "step": meta.get("step_key"),
    }
    text = str(event["event"])
    for field, pattern in named.items():
        known[field] = ",".join(dict.fromkeys(pattern.findall(text)))
    event.update({field: value for field, value in known.items() if value})
    return event
