"""Recipients that look at the gas price, and wallets that are short at it, on real chains."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.core.errors import OutOfFunds, RevertForeseen
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.chain import ask
from tests.chain.scene import Scene, played
from tests.devnet.bridge import Devnet, rolled_back, running

PRICE_READER = Address("0x00000000000000000000000000000000000000AA")

# GASPRICE, PUSH1 5, JUMPI, STOP, JUMPDEST, PUSH0, PUSH0, REVERT: takes money at no price only.
TAKES_AT_NO_PRICE = "0x3a600557005b5f5ffd"


@pytest.fixture(scope="module")
def chains() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def scene(chains: Devnet, database_url: str) -> Iterator[Scene]:
    with rolled_back(chains) as devnet, played(devnet, database_url) as scene:
        ask(devnet.l1, "anvil_setCode", PRICE_READER, TAKES_AT_NO_PRICE)
        yield scene


def test_a_recipient_that_reads_the_gas_price_costs_nothing(scene: Scene) -> None:
    scene.stage.set_orders(1, recipient=PRICE_READER)
    before = scene.stage.chain.balance()
    scene.detect()
    scene.transfer()
    scene.settle()
    (order,) = scene.orders()
    assert order.parked
    assert "RevertForeseen" in (order.reason or "")
    assert scene.stage.chain.balance() == before


def test_a_wallet_that_is_short_of_gas_is_no_revert(scene: Scene) -> None:
    """A node gives a call the gas that the wallet can pay for: too little looks like a revert."""
    (order,) = scene.stage.set_orders(1)
    chain, call = scene.stage.chain, scene.stage.registry.transfer(order)
    fees = chain.fees()
    for gas in (1, 30_000, 60_000, 90_000):
        funds = call.value + gas * fees.ceiling
        ask(scene.stage.devnet.l1, "anvil_setBalance", chain.wallet, hex(funds))
        (failure,) = chain.simulate([call], fees)
        assert isinstance(failure, OutOfFunds), gas


def test_a_short_wallet_does_not_hide_what_reverts(scene: Scene) -> None:
    (order,) = scene.stage.set_orders(
        1, recipient=Address(scene.stage.devnet.deployment.l1.rejecting_recipient)
    )
    chain, call = scene.stage.chain, scene.stage.registry.transfer(order)
    fees = chain.fees()
    funds = call.value + 200_000 * fees.ceiling
    ask(scene.stage.devnet.l1, "anvil_setBalance", chain.wallet, hex(funds))
    (failure,) = chain.simulate([call], fees)
    assert isinstance(failure, RevertForeseen)
