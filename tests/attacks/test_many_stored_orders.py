"""However many orders are stored, no question of a tick, a lane or a scrape reads them all."""

import re

from sqlalchemy import Connection, event

from mmbot_pipelines.adapters.db.engine import connect
from tests.bench.stored import store
from tests.bench.ticks import Desk

LARGE = re.compile(r"Seq Scan on (orders|order_events|transactions|errors)\b")


def test_no_question_reads_a_whole_table(database_url: str) -> None:
    engine = connect(database_url)
    store(engine, 30_000)
    asked: dict[str, object] = {}

    @event.listens_for(engine, "before_cursor_execute")
    def note(_: object, __: object, statement: str, given: object, ___: object, ____: bool) -> None:
        asked.setdefault(statement, given[0] if isinstance(given, list) else given)

    desk = Desk(engine)
    for do in desk.parts().values():
        do()
    event.remove(engine, "before_cursor_execute", note)
    assert len(asked) > 30
    with engine.connect() as connection:
        plans = {statement: plan(connection, statement, asked[statement]) for statement in asked}
    engine.dispose()
    whole = [f"{told}\n{statement}" for statement, told in plans.items() if LARGE.search(told)]
    assert whole == []


def plan(connection: Connection, statement: str, given: object) -> str:
    if not statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")):
        return ""
    rows = connection.exec_driver_sql(f"EXPLAIN {statement}", given)  # type: ignore[arg-type]
    return "\n".join(row[0] for row in rows)
