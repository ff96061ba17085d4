"""mmbot on a real Postgres."""

import pytest

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from tests.cli.command import Mmbot, caller


@pytest.fixture
def store(database_url: str) -> PgBridgeStore:
    return PgBridgeStore(connect(database_url))


@pytest.fixture
def mmbot(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Mmbot:
    return caller({"MMBOT_DATABASE_URL": database_url}, capsys, monkeypatch)
