"""What several attacks share: the bridge on in-memory twins, and one running Dagster."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.adapters.db.engine import connect
from tests.attacks.desk import Desk, webserver
from tests.bridge.world import World
from tests.chain.lane import Lane
from tests.devnet.bridge import running
from tests.ports.stages import on_anvil
from tests.postgres import database

HOST = "mmbot.example.org"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def lane(database_url: str) -> Iterator[Lane]:
    """Return the bridge on two anvils of its own: they take neither base fees nor reorgs back."""
    engine = connect(database_url)
    with running() as devnet, on_anvil(devnet) as stage:
        yield Lane(stage, engine)
    engine.dispose()


@pytest.fixture(scope="session")
def desk(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Desk]:
    """Return Dagster's webserver, started once for all tests."""
    home = tmp_path_factory.mktemp("desk")
    with (
        database(postgres_url, template=migrated_template) as url,
        webserver(
            home, url, {"MMBOT_UI_HOSTS": HOST}, "dagster-webserver", "-w", "workspace.yaml"
        ) as running,
    ):
        yield running
