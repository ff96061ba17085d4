"""`mmbot halt` while a run signs slowly: Postgres, two threads."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.failures import BATCH_SIZE
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.core.money import Gas
from mmbot_pipelines.core.outbox import Call, Fees, Signed
from mmbot_pipelines.core.safety import GLOBAL
from tests.bridge.harness import BridgeHarness

ORDERS = 100


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def stored(harness: BridgeHarness, engine: Engine) -> BridgeHarness:
    harness.bridge = replace(
        harness.bridge,
        store=PgBridgeStore(engine),
        accounts=PgAccounts(engine),
        clock=lambda: datetime.now(UTC),
    )
    return harness


class SlowSigner:
    """Signs, but stops in the middle of one signature until it is let on."""

    def __init__(self, harness: BridgeHarness, stops_at: int) -> None:
        self.reached, self.let_on = threading.Event(), threading.Event()
        self.signed = 0
        self._stops_at = stops_at
        self._sign, harness.chain.sign = harness.chain.sign, self.sign

    def sign(self, call: Call, *, nonce: int, gas: Gas, fees: Fees) -> Signed:
        self.signed += 1
        if self.signed == self._stops_at:
            self.reached.set()
            assert self.let_on.wait(120)
        return self._sign(call, nonce=nonce, gas=gas, fees=fees)


def test_a_halt_waits_for_no_signature_and_nothing_is_sent_after_it(stored: BridgeHarness) -> None:
    keys = stored.set_and_detect(ORDERS)
    signer = SlowSigner(stored, stops_at=BATCH_SIZE + 5)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(stored.transfer, keys)
        assert signer.reached.wait(120)
        guard.halt(stored.bridge, GLOBAL, by="Ann", reason="a look")  # in mid-signature
        sent = len(stored.chain.broadcasts)
        signer.let_on.set()
        run.result(120)
    assert sent == BATCH_SIZE
    assert len(stored.chain.broadcasts) == BATCH_SIZE
    transferring = stored.bridge.store.orders.find(OrderFilter(status=Status.TRANSFERRING))
    assert len(transferring) == len(stored.bridge.store.outbox.in_flight()) == BATCH_SIZE
    waiting = stored.bridge.store.orders.find(OrderFilter(status=Status.PROCESSING))
    assert {order.reason for order in waiting} == {"waiting: global is HALTED"}
    assert any("thrown away, none was sent" in line for line in stored.logged)
    assert signer.signed < 2 * BATCH_SIZE + 1  # nothing of the parts after it


def test_a_slow_signer_gives_the_lane_to_others_in_between(stored: BridgeHarness) -> None:
    keys = stored.set_and_detect(4)
    clock, chain = stored.bridge.clock, stored.chain
    passed = [0.0]
    base = clock()
    stored.bridge = replace(
        stored.bridge, clock=lambda: base.fromtimestamp(base.timestamp() + passed[0], UTC)
    )
    sign = chain.sign

    def slow(call: Call, *, nonce: int, gas: Gas, fees: Fees) -> Signed:
        passed[0] += 0.8
        return sign(call, nonce=nonce, gas=gas, fees=fees)

    held: list[int] = []
    broadcast = chain.broadcast

    def sent(raws: list[bytes]) -> list[object]:
        held.append(len(raws))
        return broadcast(raws)

    chain.sign, chain.broadcast = slow, sent
    stored.transfer(keys)
    assert held == [2, 2]  # signatures of 0.8 s, within a hold of the lane


def test_a_resume_or_throttle_in_mid_signature_is_decided_again(stored: BridgeHarness) -> None:
    keys = stored.set_and_detect(3)
    signer = SlowSigner(stored, stops_at=2)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(stored.transfer, keys)
        assert signer.reached.wait(120)
        steps.guard(stored.bridge, stored.run)
        guard.halt(stored.bridge, GLOBAL, by="Ann", reason="a look")
        guard.resume(stored.bridge, GLOBAL, by="Ann", reason="all is well")
        signer.let_on.set()
        run.result(120)
    assert {o.status for o in stored.bridge.store.orders.get(keys)} == {Status.TRANSFERRING}
    assert [row.nonce for row in stored.bridge.store.outbox.in_flight()] == [0, 1, 2]
