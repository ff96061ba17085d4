"""The embedded broker: real, private, and it forgets nothing when it is killed."""

import stat
from pathlib import Path

import pytest
import redis

from mmbot_pipelines.adapters.broker import embedded
from mmbot_pipelines.core.errors import InvalidSettings
from tests.broker import Broker


def client(broker: Broker) -> redis.Redis:
    return redis.Redis.from_url(broker.url.get_secret_value().replace("redis+socket", "unix"))


def test_only_its_owner_reaches_it(broker: Broker) -> None:
    path = broker.folder / "valkey.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(broker.folder.stat().st_mode) == 0o700
    assert client(broker).config_get("port") == {"port": "0"}


def test_a_killed_one_has_what_it_was_handed(broker: Broker) -> None:
    client(broker).lpush("dagster", "a run")
    broker.kill()
    assert not embedded.is_running(broker.folder)
    broker.start()
    assert client(broker).lrange("dagster", 0, -1) == [b"a run"]


def test_it_works_in_a_folder_with_a_long_path(tmp_path: Path) -> None:
    broker = Broker(tmp_path / ("long" * 25))
    broker.start()
    try:
        assert client(broker).ping()
        assert str(broker.folder) not in broker.url.get_secret_value()
    finally:
        broker.kill()


def test_a_folder_that_others_can_open_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir(mode=0o755)
    with pytest.raises(InvalidSettings, match="chmod 700"):
        embedded.command(tmp_path / "broker")
