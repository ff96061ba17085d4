"""An upgrade: the bot stops, the tables are migrated, orders go on from the rows of a release."""

from pathlib import Path

import pytest
from sqlalchemy import NullPool, create_engine

from mmbot_pipelines.adapters.db import migrate
from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import TxState
from tests.bridge.harness import BridgeHarness
from tests.bridge.other_database import begin_again, go_on, made
from tests.bridge.test_faults import REJECTING

ROWS = Path(__file__).parent / "release_0022.sql"
AT_THE_STOP = {
    "zksync:0": Status.COMPLETED,
    "zksync:1": Status.PROVED,
    "zksync:2": Status.PROVING,
    "zksync:3": Status.FULFILLED,
    "zksync:4": Status.TRANSFERRING,
    **{f"zksync:{number}": Status.PENDING for number in (5, 6, 7)},
    "zksync:8": Status.DROPPED,
    "zksync:9": Status.PROCESSING,
}


@pytest.fixture
def upgraded(harness: BridgeHarness, empty_database_url: str) -> BridgeHarness:
    """Return a bridge with the migrated rows, on the chains as that release left them."""
    migrate.upgrade(empty_database_url, "0022")
    engine = create_engine(store_url(empty_database_url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(ROWS.read_text().replace("%", "%%"))
    begin_again(harness, empty_database_url)
    _leave_as_it_was(harness)
    return harness


def _leave_as_it_was(harness: BridgeHarness) -> None:
    """Bring the chains to where they stood, by the bytes in the rows."""
    rows = harness.transactions()
    harness.registry.rejecting.add(REJECTING)
    harness.l2.set_orders(8)
    for number in (1, 2, 3):
        mined = [row.raw for row in rows if row.block and row.block.number == number]
        assert harness.chain.broadcast(mined) == [None] * len(mined)
        harness.chain.mine()
        if number == 2:
            harness.l2.deliver()
    assert {row.block for row in rows} <= {None, *(b.block for b in harness.chain.blocks)}
    harness.chain.broadcast([row.raw for row in rows if row.state is TxState.STORED])
    harness.l2.set_order(amount=2 * 10**17)
    harness.l2.set_order(recipient=Address(REJECTING))


def test_orders_of_the_release_before_go_on_and_none_is_lost(upgraded: BridgeHarness) -> None:
    assert upgraded.statuses() == AT_THE_STOP
    assert upgraded.store.orders.exposure() == 4 * 10**16  # of 1 to 4
    (error,) = upgraded.errors()
    assert error.fault.kind == "SimulationReverted"
    new = upgraded.set_and_detect()
    go_on(upgraded, turns=3)
    expected = dict.fromkeys([*AT_THE_STOP, *new], Status.COMPLETED)
    kept = {key: AT_THE_STOP[key] for key in ("zksync:8", "zksync:9")}
    assert upgraded.statuses() == expected | kept
    paid = dict.fromkeys(set(expected) - set(kept), 1)
    assert made(upgraded, "transfer") == paid
    assert made(upgraded, "claim") == paid
    assert upgraded.errors() == [error]
    assert upgraded.store.orders.exposure() == 0


def test_what_the_release_before_parked_is_retried_by_a_person(upgraded: BridgeHarness) -> None:
    assert upgraded.order("zksync:9").is_parked
    upgraded.registry.rejecting.clear()
    steps.reprocess(upgraded.bridge, ["zksync:9"], upgraded.run)
    go_on(upgraded, turns=2)
    assert upgraded.order("zksync:9").status is Status.COMPLETED
