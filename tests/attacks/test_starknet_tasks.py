"""Attacks on the ordering of storage proofs: a gateway, reorgs of L1, an escrow that changed."""

from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.origins.starknet import Starknet
from mmbot_pipelines.adapters.origins.starknet_proofs import TransferNotFinal
from mmbot_pipelines.bridge.chain_ports import Task
from mmbot_pipelines.bridge.escrow_faults import EscrowPaused
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.devnet.chain import ask
from tests.adapters.origins.fake_prover import FakeProver
from tests.attacks.test_starknet_proofs import made
from tests.chain.starknet.conftest import fresh, origin, service, stage
from tests.chain.starknet.proving import begun, paid
from tests.ports.starknet_stage import StarknetStage

__all__ = ["fresh", "origin", "service", "stage"]  # fixtures


@pytest.mark.parametrize("body", [b"<html>404</html>", b"{}", b'{"message": "no Route matched"}'])
def test_a_404_of_a_gateway_throws_no_proof_away(
    stage: StarknetStage, service: FakeProver, body: bytes
) -> None:
    now = [0.0]
    origin = made(stage, service, unknown_seconds=600, clock=lambda: now[0])
    orders = begun(stage, origin, paid(stage, 2))
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
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    (order,) = paid(stage)
    (first,) = origin.claims([order], stage.chain.fees())  # died before it was stored
    assert [first] == origin.claims([order], stage.chain.fees())
    raw = ask(stage.devnet.l1, "eth_getRawTransactionByHash", order.transfer_tx)
    stage.reorg_l1(1)
    stage.mine()
    ask(stage.devnet.l1, "eth_sendRawTransaction", raw)
    stage.mine()
    (second,) = origin.claims([order], stage.chain.fees())
    assert isinstance(first, Task)
    assert isinstance(second, Task)
    assert second.ref != first.ref
    proving = replace(order, status=Status.PROVING, claim_ref=second.ref)
    assert origin.progress([proving])[0].proven_in


def test_no_proof_is_ordered_before_the_transfer_is_final(
    stage: StarknetStage, service: FakeProver
) -> None:
    origin = made(stage, service, finality_blocks=3)
    orders = paid(stage)
    for _ in range(3):
        (waits,) = origin.claims(orders, stage.chain.fees())
        assert isinstance(waits, TransferNotFinal)
        stage.mine()
    assert service.tasks == {}
    assert isinstance(origin.claims(orders, stage.chain.fees())[0], Task)


def test_no_proof_is_ordered_of_an_escrow_that_does_not_pay_us(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    orders = paid(stage)
    stage.pause()
    (waits,) = origin.claims(orders, stage.chain.fees())
    assert isinstance(waits, EscrowPaused)
    stage.node.devnet("pause", paused=False)
    stage.pay_elsewhere()
    assert not isinstance(origin.claims(orders, stage.chain.fees())[0], Task)
    assert service.tasks == {}
