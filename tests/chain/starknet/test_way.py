"""The bridge's steps on the local chains, from a Starknet order to our money back."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.app import Bridge, Rules
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.policy import Limits
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.core.money import Wei
from tests.adapters.bridge.starknet.fake_prover import FakeProver
from tests.chain.starknet.claims import consumed
from tests.chain.starknet.proving import by_proof
from tests.ports.starknet_ports import StarknetPorts
from tests.postgres import clean_engine

FEE = 10**16


@dataclass
class Way:
    """The bridge with real adapters, a real database, and a clock that tests move."""

    ports: StarknetPorts
    origin: StarknetOrigin
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    engine: Engine | None = None

    def __post_init__(self) -> None:
        self.engine = self.engine or clean_engine()
        self.store = PgBridgeStore(self.engine)
        self.logged: list[str] = []
        self.run = Run("run-1", self.logged.append)
        self.bridge = Bridge(
            store=self.store,
            accounts=PgAccounts(self.engine),
            origins={"starknet": self.origin},
            registry=self.ports.registry,
            chain=self.ports.chain,
            rules=Rules(
                limits=Limits(min_transfer=Wei(1), max_transfer=Wei(10**17), min_margin_bps=0),
                max_attempts=3,
                backoff_seconds=60,
                dry_run=False,
            ),
            clock=lambda: self.now,
            draw=lambda: 0.5,
        )

    def found(self, count: int = 1) -> list[str]:
        """Let users set orders, and the bot find them before their block is sealed."""
        self.ports.show(count, fee=FEE)
        return steps.detect(self.bridge, "starknet", self.run)

    def paid(self, count: int = 1) -> list[str]:
        keys = self.found(count)
        steps.transfer(self.bridge, keys, self.run)
        self.mined()
        assert {self.order(key).status for key in keys} == {Status.FULFILLED}
        return keys

    def claimed(self, count: int = 1) -> list[str]:
        keys = self.paid(count)
        self.claim(keys)
        return keys

    def claim(self, keys: list[str]) -> None:
        steps.repay(self.bridge, keys, self.run)
        self.mined()
        self.settle()

    def mined(self) -> None:
        self.ports.mine()
        steps.process_receipts(self.bridge, self.run)

    def settle(self) -> list[str]:
        return steps.settle(self.bridge, "starknet", self.run)

    def order(self, key: str) -> Order:
        return self.store.orders.get([key])[0]

    def consumed(self, key: str) -> None:
        """Await that L1 knows of the delivery."""
        consumed(self.ports, self.order(key).claim_ref)


@pytest.fixture
def ports(linked: StarknetPorts) -> StarknetPorts:
    return linked


@pytest.fixture
def way(ports: StarknetPorts) -> Way:
    return Way(ports, ports.origin)


@pytest.fixture
def proofs(ports: StarknetPorts, service: FakeProver) -> Way:
    return Way(ports, ports.starknet(ports.l2, by_proof(ports, service)))


def test_orders_come_back_by_messages(way: Way) -> None:
    keys = way.claimed(3)
    for key in keys:
        order = way.order(key)
        assert order.status is Status.PROVED
        assert str(order.claim_ref).startswith("message 0x")
        way.consumed(key)
    assert way.settle() == []  # paid in a block that may still be dropped
    way.ports.mine_l2(1)
    assert sorted(way.settle()) == keys
    assert {way.order(key).status for key in keys} == {Status.COMPLETED}


def test_a_message_that_failed_is_claimed_again_and_paid_once(way: Way) -> None:
    way.ports.node.inbox.mode = "fail"
    (key,) = way.claimed()
    first = way.order(key).claim_ref
    way.consumed(key)
    way.ports.mine_l2(1)
    way.settle()
    order = way.order(key)
    assert (order.status, order.failed, order.attempt) == (Status.FULFILLED, True, 2)
    assert "Undelivered" in str(order.reason)
    way.ports.node.inbox.mode = "deliver"
    way.now += timedelta(minutes=5)
    assert steps.retry(way.bridge, way.run) == [key]
    way.claim([key])
    assert way.order(key).claim_ref not in (None, first)
    way.consumed(key)
    way.ports.mine_l2(1)
    assert way.settle() == [key]
    purposes = [t.purpose for t in way.store.outbox.of(key)]
    assert purposes == ["transfer", "repay", "repay"]


def test_a_withheld_message_is_claimed_again_by_hand_and_paid_once(way: Way) -> None:
    way.ports.node.inbox.mode = "withhold"
    (key,) = way.claimed()
    steps.reprocess(way.bridge, [key], way.run)
    assert way.order(key).status is Status.PROVED  # too early
    way.now += timedelta(hours=2)
    steps.reprocess(way.bridge, [key], way.run)
    way.mined()
    way.settle()
    assert way.order(key).status is Status.PROVED
    way.ports.node.inbox.mode = "deliver"  # and now both arrive
    way.consumed(key)
    way.ports.mine_l2(1)
    assert way.settle() == [key]
    assert way.order(key).status is Status.COMPLETED


def test_an_order_whose_unsealed_block_was_dropped_costs_nothing(way: Way) -> None:
    keys = way.found(2)
    way.ports.node.reorg(0)
    for _ in range(2):
        with suppress(OrdersFailed):
            steps.transfer(way.bridge, keys, way.run)
        way.ports.mine()
    assert way.store.outbox.in_flight() == []
    # Other orders have their ids now: these are paid, as the escrow has them.
    way.ports.show(2, amount=2 * 10**16, fee=FEE)
    way.ports.mine_l2(1)
    way.now += timedelta(hours=1)
    steps.detect(way.bridge, "starknet", way.run)
    steps.advance(way.bridge, keys, way.run)
    way.mined()
    assert [(way.order(key).status, way.order(key).amount) for key in keys] == [
        (Status.FULFILLED, 2 * 10**16)
    ] * 2


def test_an_order_is_paid_though_its_block_was_sealed_meanwhile(way: Way) -> None:
    keys = way.found(2)
    way.ports.mine_l2(1)
    steps.transfer(way.bridge, keys, way.run)
    sealed = way.ports.origin.blocks([way.order(keys[0]).block.number])[0]
    assert [way.order(key).block for key in keys] == [sealed] * 2
    assert {way.order(key).status for key in keys} == {Status.TRANSFERRING}


def test_orders_come_back_by_proofs(proofs: Way, service: FakeProver) -> None:
    service.default = ["PENDING", "DONE"]
    keys = proofs.paid(3)
    steps.repay(proofs.bridge, keys, proofs.run)
    assert {proofs.order(key).status for key in keys} == {Status.PROVING}
    assert proofs.settle() == []
    assert {proofs.order(key).status for key in keys} == {Status.PROVING}
    proofs.settle()
    assert {proofs.order(key).status for key in keys} == {Status.PROVED}
    assert len({proofs.order(key).claim_tx for key in keys}) == 1
    proofs.ports.mine_l2(1)
    assert sorted(proofs.settle()) == keys
    assert {t.purpose for key in keys for t in proofs.store.outbox.of(key)} == {"transfer"}


def test_a_failing_task_is_given_again_after_its_backoff(proofs: Way, service: FakeProver) -> None:
    (key,) = proofs.paid()
    service.outcomes["task-0"] = [{"queryStatus": "FAILED", "error": "no memory"}]
    steps.repay(proofs.bridge, [key], proofs.run)
    proofs.settle()
    order = proofs.order(key)
    assert (order.status, order.failed) == (Status.FULFILLED, True)
    assert "no memory" in str(order.reason)
    assert [e.fault.kind for e in proofs.store.errors.of(key)] == ["ProofFailed"]
    assert steps.retry(proofs.bridge, proofs.run) == []
    proofs.now += timedelta(minutes=2)
    steps.advance(proofs.bridge, steps.retry(proofs.bridge, proofs.run), proofs.run)
    proofs.settle()
    proofs.ports.mine_l2(1)
    assert proofs.settle() == [key]
    assert len(service.tasks) == 2


def test_a_wrong_api_key_is_an_error_of_the_order_and_no_loss(
    ports: StarknetPorts, service: FakeProver
) -> None:
    way = Way(ports, ports.starknet(ports.l2, by_proof(ports, service, api_key="hunter2")))
    (key,) = way.paid()
    with pytest.raises(OrdersFailed, match="fix MMBOT_STARKNET_PROVER_API_KEY"):
        steps.repay(way.bridge, [key], way.run)
    order = way.order(key)
    assert (order.status, order.failed, order.is_parked) == (Status.FULFILLED, True, False)
    stored = [str(e) for e in way.store.errors.of(key)] + way.logged
    assert "hunter2" not in "".join(stored)


def test_orders_under_way_when_the_way_changes_are_taken_over(
    way: Way, ports: StarknetPorts, service: FakeProver
) -> None:
    ports.node.inbox.mode = "withhold"
    (key,) = way.claimed()
    other = Way(ports, ports.starknet(ports.l2, by_proof(ports, service)), way.now, way.engine)
    other.settle()
    assert other.order(key).status is Status.PROVED  # the message may still arrive
    other.now += timedelta(hours=2)
    steps.reprocess(other.bridge, [key], other.run)
    assert str(other.order(key).claim_ref).startswith("task ")
    other.settle()
    ports.mine_l2(1)
    assert other.settle() == [key]
