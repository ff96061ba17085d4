"""The operator of a chaos run: watches the database, resumes after halts, launches jobs."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.devnet.stack import Stack

_STATES = """SELECT status || CASE WHEN NOT failed THEN '' WHEN next_attempt_at IS NULL
    THEN ' parked' ELSE ' failed' END AS state, count(*) FROM mmbot.orders GROUP BY 1"""
_STEPS = "SELECT count(*) FROM mmbot.order_events WHERE before <> after"
# Orders' runs that have not ended, or failed and have no error stored with their orders yet.
_UNRECORDED = """SELECT count(*) FROM dagster.runs r
    WHERE (r.pipeline_name IN ('fill_orders', 'repay_orders')
        OR EXISTS (SELECT FROM dagster.run_tags t WHERE t.run_id = r.run_id AND t.key = 'order')
        OR EXISTS (SELECT FROM mmbot.order_runs o WHERE o.run_id = r.run_id))
    AND (status IN ('NOT_STARTED', 'STARTING', 'STARTED') OR status = 'FAILURE'
        AND NOT EXISTS (SELECT FROM mmbot.errors e WHERE e.run_id = r.run_id))"""
_HALTED = "SELECT scope FROM mmbot.safety WHERE state = 'HALTED'"
_RUNNING = """SELECT count(*) FROM dagster.runs
    WHERE status IN ('NOT_STARTED', 'STARTING', 'STARTED') AND pipeline_name = :job"""
_LAUNCH = """mutation ($job: String!) { launchRun(executionParams: {mode: "default",
    selector: {repositoryName: "__repository__", repositoryLocationName: "mmbot", jobName: $job}
    }) { __typename } }"""
_FINAL_STATES = {"COMPLETED", "DROPPED"}


class Operator:
    """What a person sees and does; none of it fails because something is down."""

    def __init__(self, stack: Stack) -> None:
        self.resumed = 0
        self._steps = 0
        self._stack = stack
        self._engine = create_engine(store_url(stack.database_url), poolclass=NullPool)

    def states(self) -> Counter[str]:
        """Count the orders by their state; none while the database is away."""
        return Counter({row[0]: row[1] for row in self._read(_STATES)})

    def steps(self) -> int:
        """Count the steps that all orders have taken, or the last count known."""
        self._steps = max(self._steps, *(count for (count,) in self._read(_STEPS)), 0)
        return self._steps

    def summary(self) -> str:
        """Return the orders' states in one line."""
        states = sorted(self.states().items())
        return ", ".join(f"{count} {state}" for state, count in states) or "nothing to see"

    def is_settled(self, expected: int) -> bool:
        """Return whether that many orders are stored, none moves, and all errors are recorded."""
        states = self.states()
        moving = [s for s in states if s not in _FINAL_STATES and not s.endswith(" parked")]
        complete = states.total() >= expected and not moving
        return complete and self._read(_UNRECORDED) == [(0,)]

    def resume(self) -> None:
        """Resume what is halted, as a person does after an investigation."""
        mmbot = str(Path(sys.executable).parent / "mmbot")
        for (scope,) in self._read(_HALTED):
            done = subprocess.run(
                [mmbot, "resume", "--scope", scope, "--by", "chaos", "--reason", "looked at it"],
                env=self._stack.environ,
                capture_output=True,
                check=False,
            )
            self.resumed += done.returncode == 0

    def launch(self, job: str) -> None:
        """Launch a run of a job, as its schedule does, unless one is in progress."""
        if self._read(_RUNNING, job=job) != [(0,)]:
            return
        try:
            body = {"query": _LAUNCH, "variables": {"job": job}}
            requests.post(f"{self._stack.ui}/graphql", json=body, timeout=10)
        except requests.RequestException:
            return

    def _read(self, sql: str, **values: str) -> list[Any]:
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(text(sql), values).all())
        except DBAPIError:
            return []
