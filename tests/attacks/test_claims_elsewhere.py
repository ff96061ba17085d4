"""The registry's owner makes it send claims to another escrow, or to another function."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.chain_ports import Progress
from mmbot_pipelines.bridge.conditions import Thresholds, picture
from mmbot_pipelines.bridge.escrow_faults import ClaimsGoElsewhere, MessageMissing
from mmbot_pipelines.bridge.facts import look
from mmbot_pipelines.bridge.failures import OrdersFailed
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.alerts import Severity
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.safety import State, of
from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from mmbot_pipelines.devnet.starknet.felt import selector_of
from tests.bridge.reorged import at
from tests.bridge.world import World
from tests.chain.starknet.test_way import Way
from tests.devnet.bridge import Devnet, running
from tests.ports.daemons_memory import DaemonsMemory
from tests.ports.records_memory import RecordsMemory
from tests.ports.starknet_stage import StarknetStage, on_starknet

CLAIM = selector_of("claim_payment")


@pytest.fixture(scope="module")
def fresh() -> Iterator[tuple[Devnet, ChecksumAddress]]:
    with running() as devnet:
        yield devnet, deploy_messaging(devnet.deployment.l1)


@pytest.fixture
def stage(fresh: tuple[Devnet, ChecksumAddress]) -> Iterator[StarknetStage]:
    with on_starknet(*fresh) as stage:
        yield stage


def point(stage: StarknetStage, escrow: int, selector: int) -> None:
    """Let the registry's owner set where claims go."""
    setter = stage.devnet.registry.functions.setStarknet
    call = setter(stage.deployed.messaging, escrow, selector)
    send(call, sender=stage.devnet.deployment.l1.owner)


def state(way: Way) -> State:
    return of(way.store.safety.standings(), "starknet").state


@pytest.mark.parametrize(
    ("escrow", "selector", "name"),
    [
        (0xBAD, CLAIM, "StarknetEscrowAddress"),
        (ESCROW_ADDRESS, 0xBAD, "StarknetEscrowClaimPaymentSelector"),
    ],
)
def test_nobody_is_paid_while_the_registry_sends_claims_elsewhere(
    stage: StarknetStage, escrow: int, selector: int, name: str
) -> None:
    way = Way(stage, stage.origin)
    keys = way.found(3)
    point(stage, escrow, selector)
    for _ in range(2):
        with suppress(OrdersFailed):
            steps.transfer(way.bridge, keys, way.run)
        way.now += timedelta(seconds=10)
    assert way.store.outbox == []
    assert state(way) is State.HALTED
    assert [way.order(key).failed for key in keys] == [False] * 3
    assert name in of(way.store.safety.standings(), "starknet").why
    assert way.order(keys[0]).reason == ClaimsGoElsewhere.reason


def test_nothing_is_claimed_while_the_registry_sends_claims_elsewhere(stage: StarknetStage) -> None:
    way = Way(stage, stage.origin)
    (key,) = way.paid()
    point(stage, 0xBAD, CLAIM)
    for _ in range(2):
        way.claim([key])
        way.now += timedelta(seconds=10)
    order = way.order(key)
    assert (order.status, order.failed) == (Status.FULFILLED, False)
    assert state(way) is State.HALTED
    point(stage, ESCROW_ADDRESS, CLAIM)
    way.claim([key])
    assert way.order(key).status is Status.PROVED


def test_a_mined_claim_without_our_message_halts_the_origin_at_once(stage: StarknetStage) -> None:
    # The owner changes it between our look and the block that has the claim.
    unseen = stage.starknet(stage.l2, stage.by_message, elsewhere=lambda: None)
    way = Way(stage, unseen)
    (key,) = way.paid()
    point(stage, 0xBAD, CLAIM)
    way.claim([key])
    order = way.order(key)
    assert (order.status, order.parked) == (Status.FULFILLED, True)
    assert "MessageMissing" in str(order.reason)
    assert state(way) is State.HALTED
    purposes = [t.purpose for t in way.store.transactions(key)]
    steps.advance(way.bridge, steps.retry(way.bridge, way.run), way.run)
    assert [t.purpose for t in way.store.transactions(key)] == purposes


def test_it_is_critical_and_stops_new_orders_of_that_origin_alone() -> None:
    world = World(more_origins=("starknet",))
    key = at(world, Status.PROVED).key
    world.l2.known[key] = Progress(lost=MessageMissing("no message in its receipt"))
    world.settle()
    facts = look(world.bridge, RecordsMemory(world.store), DaemonsMemory())
    limits = Thresholds(max_exposure=None, min_balance=Wei(0), undelivered_after_seconds=1)
    alerts = {a.title: a.severity for a in picture(facts, limits).alerts}
    assert alerts == {
        "zksync is halted": Severity.CRITICAL,
        f"{key} is paid, but cannot be claimed": Severity.CRITICAL,
    }
    (new,) = world.set_and_detect()
    world.transfer([new])
    assert world.order(new).status is Status.PENDING
    assert of(world.safety.standings(), "starknet").state is State.NORMAL
