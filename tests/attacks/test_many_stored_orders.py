"""No query of a tick, a lane or a scrape reads all stored orders."""

import pytest

from mmbot_pipelines.adapters.db.engine import connect
from tests.attacks.plans import explained
from tests.bench.stored import BACKLOGS, store, store_backlog
from tests.bench.ticks import BenchBridge

# Rows of 20,000 that one query may read. Limits per day read a day's transfers, 700 here,
# each in `transactions` and in `orders`.
MAX_ROWS = 2_500


def test_no_question_reads_a_whole_table(database_url: str) -> None:
    engine = connect(database_url)
    store(engine, 30_000)
    dagster_server = BenchBridge(engine)
    with explained(engine) as plans:
        for do in dagster_server.parts().values():
            do()
    engine.dispose()
    assert len(plans.asked) > 30
    assert plans.whole == []


@pytest.mark.parametrize("kind", BACKLOGS)
def test_no_query_reads_all_waiting_orders(database_url: str, kind: str) -> None:
    engine = connect(database_url)
    store(engine, 2_000)
    store_backlog(engine, kind, 20_000)
    dagster_server = BenchBridge(engine)
    with explained(engine) as plans:
        for part, do in dagster_server.parts().items():
            if part != "daily summary":  # which reads a day's rows, once a day
                do()
    engine.dispose()
    rows, question = plans.most()
    assert rows <= MAX_ROWS, f"{rows} rows are read by: {question}"
    assert [reported for reported in plans.whole if reported.startswith("orders")] == []
