"""Recipients that revert, burn gas, call back, change their mind, or are no recipients."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.artifacts import deploy, send
from mmbot_pipelines.devnet.chain import ask
from tests.chain.chain_harness import ChainHarness
from tests.devnet.bridge import ZKSYNC

AMOUNT = 10**16
MOODY = Address("0x00000000000000000000000000000000000000AA")

# Takes money while its slot 0 is zero, and else: PUSH0 SLOAD PUSH1 6 JUMPI STOP JUMPDEST ...
REVERTS = "0x5f54600657005b5f5ffd"
BURNS = "0x5f54600657005bfe"


def precompile(number: int) -> Address:
    return Address(f"0x{number:040x}")


def balance(chain_harness: ChainHarness, address: str) -> int:
    return chain_harness.ports.devnet.l1.eth.get_balance(address)


def set_order(chain_harness: ChainHarness, recipient: str) -> int:
    return chain_harness.ports.set_orders(1, amount=AMOUNT, recipient=Address(recipient))[0].number


def test_each_goes_its_way_and_the_neighbours_are_paid(chain_harness: ChainHarness) -> None:
    deployed = chain_harness.ports.devnet.deployment
    owner = deployed.l1.owner
    registry = deployed.l1.registry
    reentrant = deploy(chain_harness.ports.devnet.l1, "ReentrantRecipient", registry, sender=owner)
    before = {n: balance(chain_harness, precompile(n)) for n in (1, 9)}
    ways = {
        set_order(chain_harness, account(6).address): "COMPLETED",
        set_order(chain_harness, deployed.l1.rejecting_recipient): "parked",
        set_order(chain_harness, deployed.l1.gas_burning_recipient): "parked",
        set_order(chain_harness, registry): "DROPPED",
        set_order(chain_harness, deployed.market_maker): "DROPPED",
        set_order(chain_harness, deployed.zksync.diamond): "parked",  # takes no plain money
        set_order(chain_harness, precompile(1)): "COMPLETED",  # ecrecover takes anything
        set_order(chain_harness, precompile(9)): "parked",  # blake2f wants 213 bytes
        (calls_back := set_order(chain_harness, reentrant.address)): "COMPLETED",
        set_order(chain_harness, account(7).address): "COMPLETED",
    }
    send(reentrant.functions.arm(calls_back, ZKSYNC), sender=owner)
    chain_harness.finish()
    assert chain_harness.statuses() == ways
    paid = [number for number, way in ways.items() if way == "COMPLETED"]
    assert chain_harness.payments() == dict.fromkeys(paid, 1)
    assert balance(chain_harness, reentrant.address) == AMOUNT
    assert reentrant.functions.attempts().call() == 1
    assert reentrant.functions.successes().call() == 0
    assert balance(chain_harness, precompile(1)) - before[1] == AMOUNT
    assert balance(chain_harness, precompile(9)) == before[9]


def test_foreseen_refusals_cost_no_gas(chain_harness: ChainHarness) -> None:
    deployed = chain_harness.ports.devnet.deployment
    before = balance(chain_harness, deployed.market_maker)
    for recipient in (deployed.l1.rejecting_recipient, deployed.l1.gas_burning_recipient):
        set_order(chain_harness, recipient)
    chain_harness.finish()
    assert set(chain_harness.statuses().values()) == {"parked"}
    assert all("Transfer failed." in (o.reason or "") for o in chain_harness.orders())
    assert balance(chain_harness, deployed.market_maker) == before


@pytest.mark.parametrize("code", [REVERTS, BURNS])
def test_recipient_that_changes_its_mind_is_paid_once_or_never(
    chain_harness: ChainHarness, code: str
) -> None:
    l1 = chain_harness.ports.devnet.l1
    ask(l1, "anvil_setCode", MOODY, code)

    def mood(bad: bool) -> None:
        ask(l1, "anvil_setStorageAt", MOODY, "0x0", f"0x{int(bad):064x}")

    number, neighbour = (
        set_order(chain_harness, MOODY),
        set_order(chain_harness, account(6).address),
    )
    chain_harness.detect()
    chain_harness.transfer()  # the simulation liked it
    mood(True)
    chain_harness.settle()
    assert chain_harness.statuses() == {number: "parked", neighbour: "FULFILLED"}
    assert "Transfer failed." in (chain_harness.order(number).reason or "")
    assert chain_harness.order(number).is_parked
    mood(False)
    steps.reprocess(chain_harness.bridge, [f"zksync:{number}"], chain_harness.run)
    chain_harness.finish()
    assert chain_harness.statuses() == {number: "COMPLETED", neighbour: "COMPLETED"}
    assert chain_harness.payments() == {number: 1, neighbour: 1}
    assert balance(chain_harness, MOODY) == AMOUNT


def test_recipient_that_deceives_the_simulation_is_parked_at_once(
    chain_harness: ChainHarness,
) -> None:
    l1 = chain_harness.ports.devnet.l1
    ask(l1, "anvil_setCode", MOODY, REVERTS)
    number = set_order(chain_harness, MOODY)
    chain_harness.detect()
    ask(l1, "anvil_setStorageAt", MOODY, "0x0", f"0x{0:064x}")
    chain_harness.transfer()
    ask(l1, "anvil_setStorageAt", MOODY, "0x0", f"0x{1:064x}")
    chain_harness.finish()
    assert chain_harness.statuses() == {number: "parked"}
    assert chain_harness.payments() == {}
    assert len(chain_harness.bridge.store.errors.of(f"zksync:{number}")) == 1
