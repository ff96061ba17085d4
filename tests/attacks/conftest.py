"""What several attacks share: the bridge on in-memory twins, and one running Dagster."""

from collections.abc import Iterator

import pytest

from tests.attacks.desk import Desk, webserver
from tests.bridge.world import World
from tests.postgres import database

HOST = "mmbot.example.org"


@pytest.fixture
def world() -> World:
    return World()


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
