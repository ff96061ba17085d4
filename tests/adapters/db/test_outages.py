"""The store without its database: a one-line error, and nothing half-written."""

import select
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect, transaction
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.core.errors import StoreUnavailable
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import CHAIN, OURS, a_transaction, add, held, put, step

UNREACHABLE = "postgresql://mmbot:s3cr%20t@127.0.0.1:1/bot"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = connect(database_url)
    yield made
    made.dispose()


def end_all_others(url: str) -> None:
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        while connection.execute(others).fetchall():  # a backend ends when it gets to it
            continue


def test_every_method_reports_in_one_line_that_nobody_answers() -> None:
    store = PgBridgeStore(connect(UNREACHABLE))
    order = an_order()
    asked: list[Callable[[], object]] = [
        lambda: store.orders.find(OrderFilter()),
        lambda: add(store, order),
        lambda: step(store, order, Fact.ACCEPTED),
        lambda: held(store, CHAIN, OURS).__enter__(),
    ]
    for ask in asked:
        with pytest.raises(StoreUnavailable) as e:
            ask()
        assert str(e.value).startswith("database bot at 127.0.0.1: ")
        assert "refused" in str(e.value)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize("url", [UNREACHABLE, "postgresql://mmbot@127.0.0.1:1/bot?password=s3cr+t"])
def test_the_password_is_nowhere(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_with_password(*_: object, **__: object) -> None:
        raise psycopg.OperationalError('connection failed: password "s3cr t" refused\nand more')

    monkeypatch.setattr(psycopg, "connect", refuse_with_password)
    monkeypatch.setattr(psycopg.Connection, "connect", refuse_with_password)
    with pytest.raises(StoreUnavailable) as e:
        PgBridgeStore(connect(url)).orders.find(OrderFilter())
    assert str(e.value) == 'database bot at 127.0.0.1: connection failed: password "***" refused'
    assert e.value.__cause__ is None
    assert e.value.__suppress_context__


def test_a_missing_database_is_named(database_url: str) -> None:
    url = make_url(database_url).set(database="absent").render_as_string(hide_password=False)
    with pytest.raises(StoreUnavailable, match=r'database absent at .*"absent" does not exist'):
        PgBridgeStore(connect(url)).orders.find(OrderFilter())


def test_a_broken_connection_in_the_pool_is_replaced(engine: Engine, database_url: str) -> None:
    store = PgBridgeStore(engine)
    add(store, an_order())
    end_all_others(database_url)
    assert len(store.orders.find(OrderFilter())) == 1


def test_a_closed_connection_in_the_pool_is_replaced(engine: Engine) -> None:
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, psycopg.Connection)
    raw.close()
    with transaction(engine) as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_a_lane_that_breaks_leaves_nothing(engine: Engine, database_url: str) -> None:
    store = PgBridgeStore(engine)
    add(store, an_order())
    order = step(store, an_order(), Fact.ACCEPTED)

    def broken_lane() -> None:
        with held(store, CHAIN, OURS) as (uow, lane):
            put(uow, lane, order, a_transaction(order, lane.next_nonce(0)))
            end_all_others(database_url)

    with pytest.raises(StoreUnavailable, match="database mmbot_test"):
        broken_lane()
    assert store.outbox.in_flight() == []
    assert store.orders.get([order.key]) == [order]
    with held(store, CHAIN, OURS) as (_uow, lane):  # the lane is free again
        assert lane.next_nonce(0) == 0


def test_a_lane_held_too_long_is_given_back(engine: Engine) -> None:
    store = PgBridgeStore(engine)

    def stopped_process() -> None:
        with transaction(engine) as connection:
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '20ms'"))
            driver = connection.connection.dbapi_connection
            # the server ends the session; its goodbye makes the socket readable
            assert select.select([driver], [], [], 120)[0]
            connection.execute(text("SELECT 1"))

    with pytest.raises(StoreUnavailable, match="idle-in-transaction"):
        stopped_process()
    assert store.orders.find(OrderFilter()) == []


def test_a_statement_that_lasts_too_long_is_an_outage(engine: Engine) -> None:
    def slow() -> None:
        with transaction(engine) as connection:
            connection.execute(text("SET LOCAL statement_timeout = '20ms'"))
            connection.execute(text("SELECT pg_sleep(120)"))

    with pytest.raises(StoreUnavailable, match="statement timeout"):
        slow()


def test_too_many_at_once_is_an_outage(database_url: str) -> None:
    engine = connect(database_url)
    engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    held = [engine.connect() for _ in range(8)]
    with pytest.raises(StoreUnavailable, match="all our connections are in use"):
        PgBridgeStore(engine).orders.find(OrderFilter())
    for connection in held:
        connection.close()
    engine.dispose()


def test_bugs_are_not_outages(engine: Engine) -> None:
    def run(statement: str) -> None:
        with transaction(engine) as connection:
            connection.execute(text(statement))

    with pytest.raises(ProgrammingError, match="does not exist"):
        run("SELECT nonsense")
    with pytest.raises(IntegrityError, match="blocks_kind_check"):
        run("INSERT INTO mmbot.blocks VALUES ('zksync', 'other', 1, '0x')")


def test_the_session_is_in_utc_whatever_the_server_reports(
    engine: Engine, database_url: str
) -> None:
    add(PgBridgeStore(engine), an_order())
    given = "-c timezone=Asia/Tokyo"
    url = make_url(database_url).update_query_dict({"options": given})
    other = PgBridgeStore(connect(url.render_as_string(hide_password=False)))
    assert other.orders.find(OrderFilter(status=Status.PENDING)) == [an_order()]
    assert str(other.orders.find(OrderFilter())[0].changed_at) == str(NOON)
