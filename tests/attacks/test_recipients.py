"""Recipients that a stranger chooses so that our transfers revert: anvil, Postgres."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.ports import ErrorEntry
from mmbot_pipelines.bridge.reverts import by_recipient
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Block, Outcome, Receipt, TxState
from mmbot_pipelines.core.readings import Thresholds
from mmbot_pipelines.core.safety import GLOBAL, State, of
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.chain import ask
from tests.bridge.orders import an_order
from tests.bridge.transfers import rows, transferring
from tests.bridge.world import World
from tests.chain.scene import Scene, played
from tests.devnet.bridge import Devnet, running

# Takes money while its slot 0 is zero, and else reverts, or burns all gas it is given.
REVERTS = "0x5f54600657005b5f5ffd"
BURNS = "0x5f54600657005bfe"

ORDERS = 12  # more than MMBOT_HALT_AFTER_FAILURES


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def scene(devnet: Devnet, database_url: str) -> Iterator[Scene]:
    with played(devnet, database_url) as scene:
        yield scene


def moody(number: int) -> Address:
    return Address(f"0x{1100 + number:040d}")


def mood(scene: Scene, *, bad: bool) -> None:
    for number in range(ORDERS):
        slot = f"0x{int(bad):064x}"
        ask(scene.stage.devnet.l1, "anvil_setStorageAt", moody(number), "0x0", slot)


def state(scene: Scene) -> State:
    return of(scene.bridge.safety.standings(), GLOBAL).state


@pytest.mark.parametrize("code", [REVERTS, BURNS])
def test_recipients_that_change_their_mind_in_one_block_halt_nobody(
    scene: Scene, code: str
) -> None:
    for number in range(ORDERS):
        ask(scene.stage.devnet.l1, "anvil_setCode", moody(number), code)
        scene.stage.set_orders(1, recipient=moody(number))
    honest = scene.stage.set_orders(1, recipient=Address(account(6).address))[0].number
    mood(scene, bad=False)
    scene.detect()
    scene.transfer()  # every simulation liked it
    mood(scene, bad=True)
    scene.settle()
    assert scene.statuses() == {n: "FULFILLED" if n == honest else "parked" for n in range(13)}
    kinds = {e.fault.kind for n in range(ORDERS) for e in errors(scene, n)}
    assert kinds == {"RecipientRefused"}
    steps.guard(scene.bridge, scene.run)
    assert state(scene) is State.NORMAL


def errors(scene: Scene, number: int) -> list[ErrorEntry]:
    return scene.bridge.orders.errors(f"zksync:{number}")


def test_a_recipient_that_relents_at_the_last_attempt_gets_one(scene: Scene) -> None:
    l1 = scene.stage.devnet.l1
    ask(l1, "anvil_setCode", moody(0), BURNS)
    (logged,) = scene.stage.set_orders(1, recipient=moody(0))
    mood(scene, bad=False)
    scene.detect()
    scene.transfer()
    mood(scene, bad=True)
    scene.settle()
    mood(scene, bad=False)
    scene.finish()  # every retry that comes by itself
    assert scene.statuses() == {logged.number: "parked"}
    assert len(errors(scene, logged.number)) == 1
    steps.reprocess(scene.bridge, [logged.key], scene.run)  # a person says so
    scene.settle()
    assert scene.payments() == {logged.number: 1}


def test_gas_that_strangers_cost_throttles_and_ends_by_itself(scene: Scene) -> None:
    scene.rules(thresholds=Thresholds(max_gas_lost=Wei(10**13)))
    ask(scene.stage.devnet.l1, "anvil_setCode", moody(0), REVERTS)
    scene.stage.set_orders(1, recipient=moody(0))
    mood(scene, bad=False)
    scene.detect()
    scene.transfer()
    mood(scene, bad=True)
    scene.settle()
    assert state(scene) is State.THROTTLED
    assert "of gas within an hour" in of(scene.bridge.safety.standings(), GLOBAL).why
    scene.passed += scene.passed.resolution * 3600 * 10**6 * 2
    steps.guard(scene.bridge, scene.run)
    assert state(scene) is State.NORMAL


@pytest.mark.parametrize(
    ("reason", "gas_used", "code", "theirs"),
    [
        ("Transfer failed.", 90_000, True, True),
        ("unknown: it succeeds when it is replayed", 90_000, False, True),  # code came and went
        ("out of gas; it used all of its 100000 gas", 100_000, True, True),
        ("out of gas; it used all of its 100000 gas", 100_000, False, False),
        ("reverted without a reason", 90_000, True, True),  # a proxy that ran out of gas
        ("reverted without a reason", 90_000, False, False),
        ("Transfer already processed.", 90_000, True, False),
        ("Only Owner or MM can call this function", 90_000, True, False),
        ("custom error 0x118cdaa7", 90_000, True, False),
    ],
)
def test_whose_doing_a_revert_is(
    world: World, reason: str, gas_used: int, code: bool, theirs: bool
) -> None:
    (key,) = transferring(world)
    row = replace(rows(world, key)[0], gas=Gas(100_000))
    if code:
        world.chain.codes.add(an_order().recipient)
    receipt = Receipt(
        hash=row.hash,
        succeeded=False,
        block=Block(1, "0x01"),
        gas_used=Gas(gas_used),
        gas_price=Wei(1),
    )
    order = replace(world.order(key), recipient=an_order().recipient)
    outcome = Outcome(transaction=row, state=TxState.REVERTED, receipt=receipt, reason=reason)
    assert by_recipient(world.chain, order, outcome) is theirs
