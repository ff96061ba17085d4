"""Recipients that a stranger chooses so that our transfers revert: anvil, Postgres."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.reverts import is_recipients_doing
from mmbot_pipelines.core.error_log import ErrorEntry
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Block, Outcome, Receipt, TxState
from mmbot_pipelines.core.readings import SafetyThresholds
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.chain import ask
from tests.bridge.harness import BridgeHarness
from tests.bridge.orders import an_order
from tests.bridge.transfers import rows, transferring
from tests.chain.chain_harness import ChainHarness, played
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
def harness() -> BridgeHarness:
    return BridgeHarness()


@pytest.fixture
def chain_harness(devnet: Devnet, database_url: str) -> Iterator[ChainHarness]:
    with played(devnet, database_url) as chain_harness:
        yield chain_harness


def moody(number: int) -> Address:
    return Address(f"0x{1100 + number:040d}")


def mood(chain_harness: ChainHarness, *, bad: bool) -> None:
    for number in range(ORDERS):
        slot = f"0x{int(bad):064x}"
        ask(chain_harness.ports.devnet.l1, "anvil_setStorageAt", moody(number), "0x0", slot)


def state(chain_harness: ChainHarness) -> State:
    return state_of(chain_harness.bridge.store.safety.scope_states(), GLOBAL).state


@pytest.mark.parametrize("code", [REVERTS, BURNS])
def test_recipients_that_change_their_mind_in_one_block_halt_nobody(
    chain_harness: ChainHarness, code: str
) -> None:
    for number in range(ORDERS):
        ask(chain_harness.ports.devnet.l1, "anvil_setCode", moody(number), code)
        chain_harness.ports.set_orders(1, recipient=moody(number))
    honest = chain_harness.ports.set_orders(1, recipient=Address(account(6).address))[0].number
    mood(chain_harness, bad=False)
    chain_harness.detect()
    chain_harness.transfer()  # every simulation liked it
    mood(chain_harness, bad=True)
    chain_harness.settle()
    assert chain_harness.statuses() == {
        n: "FULFILLED" if n == honest else "parked" for n in range(13)
    }
    kinds = {e.fault.kind for n in range(ORDERS) for e in errors(chain_harness, n)}
    assert kinds == {"RecipientRefused"}
    steps.guard(chain_harness.bridge, chain_harness.run)
    assert state(chain_harness) is State.NORMAL


def errors(chain_harness: ChainHarness, number: int) -> list[ErrorEntry]:
    return chain_harness.bridge.store.errors.of(f"zksync:{number}")


def test_a_recipient_that_relents_at_the_last_attempt_gets_one(chain_harness: ChainHarness) -> None:
    l1 = chain_harness.ports.devnet.l1
    ask(l1, "anvil_setCode", moody(0), BURNS)
    (logged,) = chain_harness.ports.set_orders(1, recipient=moody(0))
    mood(chain_harness, bad=False)
    chain_harness.detect()
    chain_harness.transfer()
    mood(chain_harness, bad=True)
    chain_harness.settle()
    mood(chain_harness, bad=False)
    chain_harness.finish()  # every retry that comes by itself
    assert chain_harness.statuses() == {logged.number: "parked"}
    assert len(errors(chain_harness, logged.number)) == 1
    steps.reprocess(chain_harness.bridge, [logged.key], chain_harness.run)  # by a person
    chain_harness.settle()
    assert chain_harness.payments() == {logged.number: 1}


def test_gas_that_strangers_cost_throttles_and_ends_by_itself(chain_harness: ChainHarness) -> None:
    chain_harness.rules(thresholds=SafetyThresholds(max_gas_lost=Wei(10**13)))
    ask(chain_harness.ports.devnet.l1, "anvil_setCode", moody(0), REVERTS)
    chain_harness.ports.set_orders(1, recipient=moody(0))
    mood(chain_harness, bad=False)
    chain_harness.detect()
    chain_harness.transfer()
    mood(chain_harness, bad=True)
    chain_harness.settle()
    assert state(chain_harness) is State.THROTTLED
    assert (
        "of gas within an hour"
        in state_of(chain_harness.bridge.store.safety.scope_states(), GLOBAL).why
    )
    chain_harness.passed += chain_harness.passed.resolution * 3600 * 10**6 * 2
    steps.guard(chain_harness.bridge, chain_harness.run)
    assert state(chain_harness) is State.NORMAL


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
    harness: BridgeHarness, reason: str, gas_used: int, code: bool, theirs: bool
) -> None:
    (key,) = transferring(harness)
    row = replace(rows(harness, key)[0], gas=Gas(100_000))
    if code:
        harness.chain.codes.add(an_order().recipient)
    receipt = Receipt(
        hash=row.hash,
        succeeded=False,
        block=Block(1, "0x01"),
        gas_used=Gas(gas_used),
        gas_price=Wei(1),
    )
    order = replace(harness.order(key), recipient=an_order().recipient)
    outcome = Outcome(transaction=row, state=TxState.REVERTED, receipt=receipt, reason=reason)
    assert is_recipients_doing(harness.chain, order, outcome) is theirs
