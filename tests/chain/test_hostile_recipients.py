"""Recipients that revert, burn gas, call back, change their mind, or are no recipients."""

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.artifacts import deploy, send
from mmbot_pipelines.devnet.chain import ask
from tests.chain.scene import Scene
from tests.devnet.bridge import ZKSYNC

AMOUNT = 10**16
MOODY = Address("0x00000000000000000000000000000000000000AA")

# Takes money while its slot 0 is zero, and else: PUSH0 SLOAD PUSH1 6 JUMPI STOP JUMPDEST ...
REVERTS = "0x5f54600657005b5f5ffd"
BURNS = "0x5f54600657005bfe"


def precompile(number: int) -> Address:
    return Address(f"0x{number:040x}")


def balance(scene: Scene, address: str) -> int:
    return scene.stage.devnet.l1.eth.get_balance(address)  # type: ignore[arg-type]


def set_order(scene: Scene, recipient: str) -> int:
    return scene.stage.set_orders(1, amount=AMOUNT, recipient=Address(recipient))[0].number


def test_each_goes_its_way_and_the_neighbours_are_paid(scene: Scene) -> None:
    deployed = scene.stage.devnet.deployment
    owner = deployed.l1.owner
    registry = deployed.l1.registry
    reentrant = deploy(scene.stage.devnet.l1, "ReentrantRecipient", registry, sender=owner)
    before = {n: balance(scene, precompile(n)) for n in (1, 9)}
    ways = {
        set_order(scene, account(6).address): "COMPLETED",
        set_order(scene, deployed.l1.rejecting_recipient): "parked",
        set_order(scene, deployed.l1.gas_burning_recipient): "parked",
        set_order(scene, registry): "DROPPED",
        set_order(scene, deployed.market_maker): "DROPPED",
        set_order(scene, deployed.zksync.diamond): "parked",  # takes no plain money
        set_order(scene, precompile(1)): "COMPLETED",  # ecrecover takes anything
        set_order(scene, precompile(9)): "parked",  # blake2f wants 213 bytes
        (calls_back := set_order(scene, reentrant.address)): "COMPLETED",
        set_order(scene, account(7).address): "COMPLETED",
    }
    send(reentrant.functions.arm(calls_back, ZKSYNC), sender=owner)
    scene.finish()
    assert scene.statuses() == ways
    paid = [number for number, way in ways.items() if way == "COMPLETED"]
    assert scene.payments() == dict.fromkeys(paid, 1)
    assert balance(scene, reentrant.address) == AMOUNT
    assert reentrant.functions.attempts().call() == 1
    assert reentrant.functions.successes().call() == 0
    assert balance(scene, precompile(1)) - before[1] == AMOUNT
    assert balance(scene, precompile(9)) == before[9]


def test_foreseen_refusals_cost_no_gas(scene: Scene) -> None:
    deployed = scene.stage.devnet.deployment
    before = balance(scene, deployed.market_maker)
    for recipient in (deployed.l1.rejecting_recipient, deployed.l1.gas_burning_recipient):
        set_order(scene, recipient)
    scene.finish()
    assert set(scene.statuses().values()) == {"parked"}
    assert all("Transfer failed." in (o.reason or "") for o in scene.orders())
    assert balance(scene, deployed.market_maker) == before


@pytest.mark.parametrize("code", [REVERTS, BURNS])
def test_recipient_that_changes_its_mind_is_paid_once_or_never(scene: Scene, code: str) -> None:
    l1 = scene.stage.devnet.l1
    ask(l1, "anvil_setCode", MOODY, code)

    def mood(bad: bool) -> None:
        ask(l1, "anvil_setStorageAt", MOODY, "0x0", f"0x{int(bad):064x}")

    number, neighbour = set_order(scene, MOODY), set_order(scene, account(6).address)
    scene.detect()
    scene.transfer()  # the simulation liked it
    mood(True)
    scene.settle()
    assert scene.statuses() == {number: "parked", neighbour: "FULFILLED"}
    assert "Transfer failed." in (scene.order(number).reason or "")
    assert scene.order(number).parked
    mood(False)
    steps.reprocess(scene.bridge, [f"zksync:{number}"], scene.run)
    scene.finish()
    assert scene.statuses() == {number: "COMPLETED", neighbour: "COMPLETED"}
    assert scene.payments() == {number: 1, neighbour: 1}
    assert balance(scene, MOODY) == AMOUNT


def test_recipient_that_deceives_the_simulation_is_parked_at_once(scene: Scene) -> None:
    l1 = scene.stage.devnet.l1
    ask(l1, "anvil_setCode", MOODY, REVERTS)
    number = set_order(scene, MOODY)
    scene.detect()
    ask(l1, "anvil_setStorageAt", MOODY, "0x0", f"0x{0:064x}")
    scene.transfer()
    ask(l1, "anvil_setStorageAt", MOODY, "0x0", f"0x{1:064x}")
    scene.finish()
    assert scene.statuses() == {number: "parked"}
    assert scene.payments() == {}
    assert len(scene.bridge.orders.errors(f"zksync:{number}")) == 1
