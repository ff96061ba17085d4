"""One database, two ways to address it; nothing of the URL is lost on the way."""

import string

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.engine import make_url

from mmbot_pipelines.adapters.db.urls import dagster_url, store_url

WORDS = st.text(alphabet=string.printable + "äß€", min_size=1, max_size=12)


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_each_gets_its_driver(scheme: str) -> None:
    url = f"{scheme}://mmbot:pw@db.example:6432/bot?sslmode=require"
    rest = "://mmbot:pw@db.example:6432/bot?"
    assert store_url(url) == f"postgresql+psycopg{rest}sslmode=require"
    dagster = "options=-csearch_path%3Ddagster&sslmode=require"
    assert dagster_url(url) == f"postgresql+psycopg2{rest}{dagster}"


@given(user=WORDS, password=WORDS, name=WORDS, app=WORDS)
def test_special_characters_stay_intact(user: str, password: str, name: str, app: str) -> None:
    given = URL.create(
        "postgresql",
        username=user,
        password=password,
        host="db.example",
        database="bot",
        query={"application_name": app, "sslrootcert": name},
    ).render_as_string(hide_password=False)
    for url in (make_url(store_url(given)), make_url(dagster_url(given))):
        assert (url.username, url.password, url.host) == (user, password, "db.example")
        assert (url.query["application_name"], url.query["sslrootcert"]) == (app, name)


@given(password=WORDS, app=WORDS)
def test_libpq_reads_the_same(password: str, app: str) -> None:
    """Some programs hand the URL to libpq itself, which decodes otherwise than SQLAlchemy."""
    given = URL.create("postgresql", "mmbot", password, "h", 1, "bot", {"application_name": app})
    url = store_url(given.render_as_string(hide_password=False))
    read = conninfo_to_dict(url.replace("+psycopg", "", 1))
    assert (read["password"], read["application_name"]) == (password, app)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://mmbot@/bot?host=/run/my sockets",
        "postgresql://mmbot@/bot?host=%2Frun%2Fmy+sockets",
        "postgresql://mmbot@%2Frun%2Fmy%20sockets/bot",
        "postgresql://mmbot@%2frun%2fmy%20sockets/bot",
    ],
)
def test_a_unix_socket_stays_one(url: str) -> None:
    for made in (make_url(store_url(url)), make_url(dagster_url(url))):
        assert (made.host, made.query["host"], made.database) == (None, "/run/my sockets", "bot")


def test_given_options_stay_too() -> None:
    url = "postgresql://mmbot@db/bot?options=-c%20statement_timeout%3D5s&target_session_attrs=any"
    made = make_url(dagster_url(url))
    assert made.query["options"] == "-c statement_timeout=5s -csearch_path=dagster"
    assert made.query["target_session_attrs"] == "any"
    assert make_url(store_url(url)).query["options"] == "-c statement_timeout=5s"


def test_each_reaches_its_schema(database_url: str) -> None:
    found = []
    for url in (store_url(database_url), dagster_url(database_url)):
        with create_engine(url, poolclass=NullPool).connect() as connection:
            found.append(connection.scalar(text("SELECT current_schema()")))
    assert found == ["public", "dagster"]
    assert psycopg.connect(database_url).close() is None
