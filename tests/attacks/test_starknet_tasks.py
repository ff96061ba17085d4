"""Attacks on the ordering of storage proofs: a gateway, reorgs of L1, an escrow that changed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.bridge.starknet.proofs import TransferNotFinal
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.escrow_errors import EscrowPaused
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.chains import Task
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.devnet.chain import ask
from tests.adapters.bridge.starknet.fake_prover import FakeProver
from tests.attacks.test_starknet_proofs import made
from tests.chain.starknet.conftest import fresh, origin, ports, service
from tests.chain.starknet.proving import begun, by_proof, paid
from tests.chain.starknet.test_way import Way
from tests.ports.starknet_ports import StarknetPorts

__all__ = ["fresh", "origin", "ports", "service"]  # fixtures


@pytest.mark.parametrize("body", [b"<html>404</html>", b"{}", b'{"message": "no Route matched"}'])
def test_a_404_of_a_gateway_throws_no_proof_away(
    ports: StarknetPorts, service: FakeProver, body: bytes
) -> None:
    now = [0.0]
    origin = made(ports, service, unknown_seconds=600, clock=lambda: now[0])
    orders = begun(ports, origin, paid(ports, 2))
    service.status, service.body = 404, body
    for _ in range(20):
        now[0] += 10
        try:
            seen = origin.progress(orders)
        except Failure:
            continue
        assert [p.lost for p in seen] == [None] * 2
    service.status = None
    assert None not in [p.proven_in for p in origin.progress(orders)]
    assert len(service.tasks) == 2


def test_a_reorg_of_l1_orders_the_proof_of_the_new_block_of_a_strict_prover(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    (order,) = paid(ports)
    (first,) = origin.claims([order], ports.chain.fees())  # died before it was stored
    assert [first] == origin.claims([order], ports.chain.fees())
    raw = ask(ports.devnet.l1, "eth_getRawTransactionByHash", order.transfer_tx)
    ports.reorg_l1(1)
    ports.mine()
    ask(ports.devnet.l1, "eth_sendRawTransaction", raw)
    ports.mine()
    (second,) = origin.claims([order], ports.chain.fees())
    assert isinstance(first, Task)
    assert isinstance(second, Task)
    assert second.ref != first.ref
    proving = replace(order, status=Status.PROVING, claim_ref=second.ref)
    assert origin.progress([proving])[0].proven_in


def test_no_proof_is_ordered_before_the_transfer_is_final(
    ports: StarknetPorts, service: FakeProver
) -> None:
    origin = made(ports, service, finality_blocks=3)
    orders = paid(ports)
    for _ in range(3):
        (waits,) = origin.claims(orders, ports.chain.fees())
        assert isinstance(waits, TransferNotFinal)
        ports.mine()
    assert service.tasks == {}
    assert isinstance(origin.claims(orders, ports.chain.fees())[0], Task)


def test_no_proof_is_ordered_of_an_escrow_that_does_not_pay_us(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = paid(ports)
    ports.pause()
    (waits,) = origin.claims(orders, ports.chain.fees())
    assert isinstance(waits, EscrowPaused)
    ports.node.store("paused", value=0)
    ports.pay_elsewhere()
    assert not isinstance(origin.claims(orders, ports.chain.fees())[0], Task)
    assert service.tasks == {}


def test_a_block_that_cannot_be_proven_halts_nobody_however_many_orders_are_in_it(
    ports: StarknetPorts, service: FakeProver
) -> None:
    """Strangers choose how many orders one failure hits."""
    way = Way(ports, ports.starknet(ports.l2, by_proof(ports, service)))
    keys = way.paid(12)
    service.default = [{"queryStatus": "FAILED", "error": "no such block"}]
    steps.repay(way.bridge, keys, way.run)
    way.settle()
    steps.guard(way.bridge, way.run)
    assert {e.fault.kind for key in keys for e in way.store.errors.of(key)} == {"ProofFailed"}
    assert way.store.safety.scope_states() == []
    service.default = ["DONE"]
    way.now += timedelta(minutes=2)
    steps.advance(way.bridge, steps.retry(way.bridge, way.run), way.run)
    way.settle()
    ports.mine_l2(1)
    assert sorted(way.settle()) == sorted(keys)
