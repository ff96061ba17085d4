"""The escrow's owner makes it pay another wallet while our claim is on its way."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.conditions import Thresholds, picture
from mmbot_pipelines.bridge.escrow_faults import PaidElsewhere
from mmbot_pipelines.bridge.facts import look
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.alerts import Alert, Severity
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.bridge.reorged import at
from tests.bridge.world import World
from tests.devnet.bridge import Devnet, running
from tests.ports.daemons_memory import DaemonsMemory
from tests.ports.records_memory import RecordsMemory
from tests.ports.stages import claim, pay
from tests.ports.starknet_stage import on_starknet


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


def alerts(world: World) -> list[Alert]:
    facts = look(world.bridge, RecordsMemory(world.store), DaemonsMemory())
    limits = Thresholds(max_exposure=None, min_balance=Wei(0), undelivered_after_seconds=1)
    return list(picture(facts, limits).alerts)


def test_an_escrow_that_paid_another_wallet_is_critical_and_searched_for_no_more(
    world: World,
) -> None:
    key = at(world, Status.PROVED).key
    world.l2.pays_us = False
    world.l2.deliver()
    world.settle()
    order = world.order(key)
    assert (order.parked, order.status) == (True, Status.PROVED)
    (alert,) = alerts(world)
    assert (alert.severity, alert.title) == (
        Severity.CRITICAL,
        f"the escrow paid {key} to another wallet",
    )
    searched: list[str] = []
    settled = world.l2.settled
    world.l2.settled = lambda orders: (  # type: ignore[method-assign]
        searched.extend(o.key for o in orders) or settled(orders)
    )
    world.settle()
    assert searched == []
    world.later(10_000)
    steps.advance(world.bridge, steps.retry(world.bridge, world.run), world.run)
    world.mine()
    assert [t.purpose for t in world.store.transactions(key)] == ["transfer", "repay"]
    assert world.order(key).parked


def test_a_person_who_retries_claims_nothing_again_while_the_money_is_elsewhere(
    world: World,
) -> None:
    key = at(world, Status.PROVED).key
    world.l2.pays_us = False
    world.l2.deliver()
    world.settle()
    world.later(10_000)
    assert "PaidElsewhere" in world.failing(lambda: steps.reprocess(world.bridge, [key], world.run))
    world.mine()
    assert [t.purpose for t in world.store.transactions(key)] == ["transfer", "repay"]
    assert world.order(key).parked


def test_starknets_escrow_that_paid_another_wallet_names_both(devnet: Devnet) -> None:
    messaging = deploy_messaging(devnet.deployment.l1)
    with on_starknet(devnet, messaging) as stage:
        (order,) = stage.set_orders(1)
        pay(stage, [order])
        claim(stage, [order])
        stage.pay_elsewhere()
        stage.deliver()
        (seen,) = stage.origin.settled([order])
        assert isinstance(seen, PaidElsewhere)
        assert stage.deployed.wallet.removeprefix("0x").lstrip("0") in str(seen)
        assert "to 0x" in str(seen)
