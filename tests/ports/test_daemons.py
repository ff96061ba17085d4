"""Heartbeats, stored in Postgres, and the overlap of daemons."""

from datetime import timedelta

import pytest

from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.core.daemons import Daemon, Daemons, concurrent_daemons
from tests.bridge.orders import NOON
from tests.postgres import clean_engine


@pytest.fixture
def daemons() -> Daemons:
    return PgDaemons(clean_engine())


def beat(daemons: Daemons, name: str, *seconds: float) -> None:
    for second in seconds:
        daemons.record_heartbeat(name, at=NOON + timedelta(seconds=second))


def names(daemons: Daemons, since: float = 0) -> list[str]:
    return [
        d.name for d in concurrent_daemons(daemons.alive_since(NOON + timedelta(seconds=since)))
    ]


def test_first_and_last_sign_are_kept(daemons: Daemons) -> None:
    beat(daemons, "a", 30, 60, 45)
    at = [NOON + timedelta(seconds=s) for s in (30, 60)]
    assert daemons.alive_since(NOON) == [Daemon(name="a", first_at=at[0], last_at=at[1])]
    assert daemons.alive_since(at[1] + timedelta(seconds=1)) == []


def test_one_alone_is_not_two(daemons: Daemons) -> None:
    beat(daemons, "a", 0, 30, 60)
    assert names(daemons) == []


def test_a_restart_and_a_standby_follow_each_other(daemons: Daemons) -> None:
    beat(daemons, "a", 0, 30)
    beat(daemons, "b", 31, 61)
    beat(daemons, "c", 90)
    assert names(daemons) == []


def test_two_with_alternating_heartbeats_are_concurrent(daemons: Daemons) -> None:
    beat(daemons, "a", 0, 30)
    beat(daemons, "b", 40)
    assert names(daemons) == []  # b may have followed
    beat(daemons, "a", 60)
    assert names(daemons) == ["a", "b"]
    assert names(daemons, since=50) == []  # b is silent


def test_a_second_of_doubt_between_two_clocks_is_none(daemons: Daemons) -> None:
    beat(daemons, "a", 0, 30)
    beat(daemons, "b", 28, 58)
    assert names(daemons) == []
