"""How Postgres answers the questions that are asked of it: each is explained where it is asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, event

LARGE = ("orders", "order_events", "transactions", "errors")


@dataclass
class Plans:
    """What was asked, and what it read of the large tables."""

    asked: set[str] = field(default_factory=set)
    whole: list[str] = field(default_factory=list)  # questions that read a whole table
    rows: dict[str, int] = field(default_factory=dict)  # by question, the most that it read once

    def most(self) -> tuple[int, str]:
        """Return the most rows that one question read, and which one."""
        return max(((rows, asked) for asked, rows in self.rows.items()), default=(0, ""))


@contextmanager
def explained(engine: Engine) -> Iterator[Plans]:
    """Note the plan of each question within this block, as it is executed at that moment."""
    plans = Plans()

    @event.listens_for(engine, "before_cursor_execute")
    def explain(_: Any, cursor: Any, statement: str, given: Any, __: Any, many: bool) -> None:
        if many or not statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")):
            return
        plans.asked.add(statement)
        writes = not cursor.connection.autocommit  # a single read has no transaction
        if writes:
            cursor.execute("SAVEPOINT explained")
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", given)
        (reported,) = cursor.fetchone()
        if writes:
            cursor.execute("ROLLBACK TO SAVEPOINT explained")
        for plan in reported if isinstance(reported, list) else json.loads(reported):
            _note(plans, plan["Plan"], statement)

    yield plans
    event.remove(engine, "before_cursor_execute", explain)


def _note(plans: Plans, plan: dict[str, Any], statement: str) -> None:
    read = 0
    for node in _nodes(plan):
        if node.get("Relation Name") not in LARGE or node["Node Type"] == "ModifyTable":
            continue
        if node["Node Type"] == "Seq Scan":
            plans.whole.append(f"{node['Relation Name']}: {statement}")
        kept = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        read += int((kept + node.get("Rows Removed by Index Recheck", 0)) * node["Actual Loops"])
    plans.rows[statement] = max(plans.rows.get(statement, 0), read)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)
