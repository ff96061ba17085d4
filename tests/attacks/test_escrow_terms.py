"""The escrow's owner makes it pay or obey somebody else: one halt, and no order is parked."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest

from mmbot_pipelines.adapters.bridge.zksync import escrow as abi
from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.orders.escrow_errors import EscrowNotOurs
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.safety import State, state_of
from mmbot_pipelines.devnet.artifacts import send
from tests.attacks.liar import Liar
from tests.attacks.test_claims_elsewhere import fresh, ports
from tests.bridge.guard_steps import state, why
from tests.bridge.harness import BridgeHarness
from tests.chain.chain_harness import ChainHarness, played
from tests.chain.starknet.test_way import Way
from tests.devnet.bridge import Devnet, running
from tests.ports.starknet_ports import StarknetPorts

__all__ = ["fresh", "ports"]  # fixtures

UNPAID = [Status.PENDING, Status.PROCESSING]


def tick(harness: BridgeHarness) -> None:
    """Ask for runs of every origin and do them, a minute after the last time."""
    harness.later(60)
    for origin in harness.bridge.origins:
        harness.transfer([o.key for o in steps.take_orders(harness.bridge, UNPAID, origin)])
    harness.repay([o.key for o in steps.take_orders(harness.bridge, [Status.FULFILLED])])
    harness.mine()


def test_an_escrow_that_pays_another_wallet_is_one_halt_of_its_origin_alone() -> None:
    harness = BridgeHarness(more_origins=("starknet",))
    keys = harness.set_and_detect(12)
    harness.others["starknet"].set_order()
    (other,) = steps.detect(harness.bridge, "starknet", harness.run)
    harness.l2.pays_us = False
    for _ in range(5):
        tick(harness)
    orders = [harness.order(key) for key in keys]
    assert {(o.failed, o.failures) for o in orders} == {(False, 0)}
    assert state(harness, "zksync") is State.HALTED
    assert (state(harness), state(harness, "starknet")) == (State.NORMAL, State.NORMAL)
    assert why(harness, "zksync").startswith("EscrowNotOurs: ")
    assert harness.order(other).status is Status.PROVED
    assert [harness.paid(key) for key in keys] == [0] * 12
    harness.l2.pays_us = True
    guard.resume(harness.bridge, "zksync", by="Ann", reason="its owner has set us again")
    tick(harness)
    assert [harness.paid(key) for key in keys] == [1] * 12


@pytest.fixture(scope="module")
def chains() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


def another_wallet(params: Any, result: Any) -> Any:
    asks = params[0]["data"].startswith("0x" + abi.WALLET.selector.hex())
    return "0x" + "00" * 12 + "66" * 20 if asks else result


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_liar_of_three_about_the_wallet_halts_nothing(
    chains: Devnet, database_url: str, place: int
) -> None:
    url = chains.deployment.zksync.rpc_url
    with ExitStack() as stack:
        lies: list[Any] = [{}, {}, {}]
        lies[place] = {"eth_call": another_wallet}
        nodes = [stack.enter_context(Liar(url, **reported)) for reported in lies]
        chain_harness = stack.enter_context(
            played(
                chains,
                database_url,
                l1_urls=[chains.deployment.l1.rpc_url] * 2,
                l2_urls=[node.url for node in nodes],
                quorum=2,
            )
        )
        orders = chain_harness.ports.set_orders(2)
        chain_harness.detect()
        chain_harness.transfer()
        chain_harness.settle()
        assert chain_harness.failed == []
        assert _halted(chain_harness) == []
        assert chain_harness.payments() == {order.number: 1 for order in orders}


def test_a_true_change_of_zksyncs_escrow_halts_and_parks_nobody(
    chains: Devnet, database_url: str
) -> None:
    with played(chains, database_url) as chain_harness:
        chain_harness.ports.set_orders(3)
        chain_harness.detect()
        chain_harness.ports.pay_elsewhere()
        chain_harness.finish(rounds=2)
        assert chain_harness.payments() == {}
        assert not any(order.failed for order in chain_harness.orders())
        assert _halted(chain_harness) == ["zksync"]
        deployed = chains.deployment.zksync
        set_wallet = chain_harness.ports.devnet.escrow.functions.set_mm_zksync_wallet
        send(set_wallet(deployed.wallet), sender=deployed.owner)
        guard.resume(chain_harness.bridge, "zksync", by="Ann", reason="it pays us again")
        chain_harness.finish(rounds=1)
        assert set(chain_harness.payments().values()) == {1}


def test_a_true_change_of_starknets_escrow_halts_and_parks_nobody(ports: StarknetPorts) -> None:
    way = Way(ports, ports.origin)
    keys = way.found(3)
    ports.pay_elsewhere()
    for _ in range(2):
        steps.transfer(way.bridge, keys, way.run)
        way.now += timedelta(minutes=1)
    assert way.store.outbox.in_flight() == []
    assert {(o.failed, o.failures) for o in way.store.orders.get(keys)} == {(False, 0)}
    assert state_of(way.store.safety.scope_states(), "starknet").why.startswith("EscrowNotOurs: ")
    assert EscrowNotOurs.halts_origin_only


def _halted(chain_harness: ChainHarness) -> list[str]:
    scope_states = chain_harness.bridge.store.safety.scope_states()
    return [s.scope for s in scope_states if s.state is State.HALTED]
