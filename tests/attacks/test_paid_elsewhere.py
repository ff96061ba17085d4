"""The escrow's owner makes it pay another wallet while our claim is on its way."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.escrow_errors import PaidElsewhere
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.alerts import Severity
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.bridge.harness import BridgeHarness
from tests.bridge.reorged import at
from tests.devnet.bridge import Devnet, running
from tests.ports.port_harness import claim, pay
from tests.ports.starknet_ports import on_starknet


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


def test_an_escrow_that_paid_another_wallet_is_critical_and_searched_for_no_more(
    harness: BridgeHarness,
) -> None:
    key = at(harness, Status.PROVED).key
    harness.l2.pays_us = False
    harness.l2.deliver()
    harness.settle()
    order = harness.order(key)
    assert (order.is_parked, order.status) == (True, Status.PROVED)
    (alert,) = harness.alerts(undelivered_after_seconds=1).alerts
    assert (alert.severity, alert.title) == (
        Severity.CRITICAL,
        f"the escrow paid {key} to another wallet",
    )
    searched: list[str] = []
    settled = harness.l2.settled
    harness.l2.settled = lambda orders: searched.extend(o.key for o in orders) or settled(orders)
    harness.settle()
    assert searched == []
    harness.later(10_000)
    steps.advance(harness.bridge, steps.retry(harness.bridge, harness.run), harness.run)
    harness.mine()
    assert [t.purpose for t in harness.store.outbox.of(key)] == ["transfer", "repay"]
    assert harness.order(key).is_parked


def test_a_person_who_retries_claims_nothing_again_while_the_money_is_elsewhere(
    harness: BridgeHarness,
) -> None:
    key = at(harness, Status.PROVED).key
    harness.l2.pays_us = False
    harness.l2.deliver()
    harness.settle()
    harness.later(10_000)
    assert "PaidElsewhere" in harness.failing(
        lambda: steps.reprocess(harness.bridge, [key], harness.run)
    )
    harness.mine()
    assert [t.purpose for t in harness.store.outbox.of(key)] == ["transfer", "repay"]
    assert harness.order(key).is_parked


def test_starknets_escrow_that_paid_another_wallet_names_both(devnet: Devnet) -> None:
    messaging = deploy_messaging(devnet.deployment.l1)
    with on_starknet(devnet, messaging) as ports:
        (order,) = ports.set_orders(1)
        pay(ports, [order])
        claim(ports, [order])
        ports.pay_elsewhere()
        ports.deliver()
        (seen,) = ports.origin.settled([order])
        assert isinstance(seen, PaidElsewhere)
        assert ports.deployed.wallet.removeprefix("0x").lstrip("0") in str(seen)
        assert "to 0x" in str(seen)
