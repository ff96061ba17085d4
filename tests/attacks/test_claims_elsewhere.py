"""The registry's owner makes it send claims to another escrow, or to another function."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.escrow_errors import ClaimsGoElsewhere, MessageMissing
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.chains import Progress
from mmbot_pipelines.core.alerts import Severity
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.core.safety import State, state_of
from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from mmbot_pipelines.devnet.starknet.felt import selector_of
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import at
from tests.chain.starknet.test_way import Way
from tests.devnet.bridge import Devnet, running
from tests.ports.starknet_ports import StarknetPorts, on_starknet

CLAIM = selector_of("claim_payment")


@pytest.fixture(scope="module")
def fresh() -> Iterator[tuple[Devnet, ChecksumAddress]]:
    with running() as devnet:
        yield devnet, deploy_messaging(devnet.deployment.l1)


@pytest.fixture
def ports(fresh: tuple[Devnet, ChecksumAddress]) -> Iterator[StarknetPorts]:
    with on_starknet(*fresh) as ports:
        yield ports


def point(ports: StarknetPorts, escrow: int, selector: int) -> None:
    """Let the registry's owner set where claims go."""
    setter = ports.devnet.registry.functions.setStarknet
    call = setter(ports.deployed.messaging, escrow, selector)
    send(call, sender=ports.devnet.deployment.l1.owner)


def state(way: Way) -> State:
    return state_of(way.store.safety.scope_states(), "starknet").state


@pytest.mark.parametrize(
    ("escrow", "selector", "name"),
    [
        (0xBAD, CLAIM, "StarknetEscrowAddress"),
        (ESCROW_ADDRESS, 0xBAD, "StarknetEscrowClaimPaymentSelector"),
    ],
)
def test_nobody_is_paid_while_the_registry_sends_claims_elsewhere(
    ports: StarknetPorts, escrow: int, selector: int, name: str
) -> None:
    way = Way(ports, ports.origin)
    keys = way.found(3)
    point(ports, escrow, selector)
    for _ in range(2):
        with suppress(OrdersFailed):
            steps.transfer(way.bridge, keys, way.run)
        way.now += timedelta(seconds=10)
    assert way.store.outbox.in_flight() == []
    assert state(way) is State.HALTED
    assert [way.order(key).failed for key in keys] == [False] * 3
    assert name in state_of(way.store.safety.scope_states(), "starknet").why
    assert way.order(keys[0]).reason == ClaimsGoElsewhere.reason


def test_nothing_is_claimed_while_the_registry_sends_claims_elsewhere(ports: StarknetPorts) -> None:
    way = Way(ports, ports.origin)
    (key,) = way.paid()
    point(ports, 0xBAD, CLAIM)
    for _ in range(2):
        way.claim([key])
        way.now += timedelta(seconds=10)
    order = way.order(key)
    assert (order.status, order.failed) == (Status.FULFILLED, False)
    assert state(way) is State.HALTED
    point(ports, ESCROW_ADDRESS, CLAIM)
    way.claim([key])
    assert way.order(key).status is Status.PROVED


def test_a_mined_claim_without_our_message_halts_the_origin_at_once(ports: StarknetPorts) -> None:
    # The owner changes it between our look and the block that has the claim.
    unseen = ports.starknet(ports.l2, ports.by_message, elsewhere=lambda: None)
    way = Way(ports, unseen)
    (key,) = way.paid()
    point(ports, 0xBAD, CLAIM)
    way.claim([key])
    order = way.order(key)
    assert (order.status, order.is_parked) == (Status.FULFILLED, True)
    assert "MessageMissing" in str(order.reason)
    assert state(way) is State.HALTED
    purposes = [t.purpose for t in way.store.outbox.of(key)]
    steps.advance(way.bridge, steps.retry(way.bridge, way.run), way.run)
    assert [t.purpose for t in way.store.outbox.of(key)] == purposes


def test_it_is_critical_and_stops_new_orders_of_that_origin_alone() -> None:
    harness = BridgeHarness(more_origins=("starknet",))
    key = at(harness, Status.PROVED).key
    harness.l2.known[key] = Progress(lost=MessageMissing("no message in its receipt"))
    harness.settle()
    alerts = {a.title: a.severity for a in harness.alerts(undelivered_after_seconds=1).alerts}
    assert alerts == {
        "zksync is halted": Severity.CRITICAL,
        f"{key} is paid, but cannot be claimed": Severity.CRITICAL,
    }
    (new,) = harness.set_and_detect()
    harness.transfer([new])
    assert harness.order(new).status is Status.PENDING
    assert state_of(harness.store.safety.scope_states(), "starknet").state is State.NORMAL
