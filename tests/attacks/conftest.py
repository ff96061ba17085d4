"""What several attacks share: the bridge on in-memory chains, and one running Dagster."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.adapters.db.engine import connect
from tests.attacks.dagster_server import DagsterServer, webserver
from tests.bridge.harness import BridgeHarness
from tests.chain.anvil_bridge import AnvilBridge
from tests.devnet.bridge import running
from tests.ports.port_harness import on_anvil
from tests.postgres import database

HOST = "mmbot.example.org"


@pytest.fixture
def harness() -> BridgeHarness:
    return BridgeHarness()


@pytest.fixture
def anvil_bridge(database_url: str) -> Iterator[AnvilBridge]:
    """Return the bridge on two anvils of its own: they take neither base fees nor reorgs back."""
    engine = connect(database_url)
    with running() as devnet, on_anvil(devnet) as ports:
        yield AnvilBridge(ports, engine)
    engine.dispose()


@pytest.fixture(scope="session")
def dagster_server(
    postgres_url: str, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DagsterServer]:
    """Return Dagster's webserver, started once for all tests."""
    home = tmp_path_factory.mktemp("desk")
    with (
        database(postgres_url, template=migrated_template) as url,
        webserver(
            home, url, {"MMBOT_UI_HOSTS": HOST}, "dagster-webserver", "-w", "workspace.yaml"
        ) as running,
    ):
        yield running
