"""Recipients that look at the gas price, and wallets that are short at it, on real chains."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.core.errors import InsufficientFunds, SimulationReverted
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.chain import ask
from tests.chain.chain_harness import ChainHarness, played
from tests.devnet.bridge import Devnet, rolled_back, running

PRICE_READER = Address("0x00000000000000000000000000000000000000AA")

# GASPRICE, PUSH1 5, JUMPI, STOP, JUMPDEST, PUSH0, PUSH0, REVERT: takes money at no price only.
TAKES_AT_NO_PRICE = "0x3a600557005b5f5ffd"


@pytest.fixture(scope="module")
def chains() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def chain_harness(chains: Devnet, database_url: str) -> Iterator[ChainHarness]:
    with rolled_back(chains) as devnet, played(devnet, database_url) as chain_harness:
        ask(devnet.l1, "anvil_setCode", PRICE_READER, TAKES_AT_NO_PRICE)
        yield chain_harness


def test_a_recipient_that_reads_the_gas_price_costs_nothing(chain_harness: ChainHarness) -> None:
    chain_harness.ports.set_orders(1, recipient=PRICE_READER)
    before = chain_harness.ports.chain.balance()
    chain_harness.detect()
    chain_harness.transfer()
    chain_harness.settle()
    (order,) = chain_harness.orders()
    assert order.is_parked
    assert "SimulationReverted" in (order.reason or "")
    assert chain_harness.ports.chain.balance() == before


def test_a_wallet_that_is_short_of_gas_is_no_revert(chain_harness: ChainHarness) -> None:
    """A node gives a call the gas that the wallet can pay for: too little looks like a revert."""
    (order,) = chain_harness.ports.set_orders(1)
    chain, call = chain_harness.ports.chain, chain_harness.ports.registry.transfer(order)
    fees = chain.fees()
    for gas in (1, 30_000, 60_000, 90_000):
        funds = call.value + gas * fees.ceiling
        ask(chain_harness.ports.devnet.l1, "anvil_setBalance", chain.wallet, hex(funds))
        (failure,) = chain.simulate([call], fees)
        assert isinstance(failure, InsufficientFunds), gas


def test_a_short_wallet_does_not_hide_what_reverts(chain_harness: ChainHarness) -> None:
    (order,) = chain_harness.ports.set_orders(
        1, recipient=Address(chain_harness.ports.devnet.deployment.l1.rejecting_recipient)
    )
    chain, call = chain_harness.ports.chain, chain_harness.ports.registry.transfer(order)
    fees = chain.fees()
    funds = call.value + 200_000 * fees.ceiling
    ask(chain_harness.ports.devnet.l1, "anvil_setBalance", chain.wallet, hex(funds))
    (failure,) = chain.simulate([call], fees)
    assert isinstance(failure, SimulationReverted)
