"""Proofs that fail, lie or are refused: what is lost, and what is tried again."""

from dataclasses import replace

import pytest
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping

from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.bridge.starknet.proofs import (
    ProofFailed,
    TransferNotFound,
    entrypoint,
)
from mmbot_pipelines.adapters.bridge.starknet.prover import ProverRefused, ProverUnavailable
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Progress, Settlement
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.devnet.starknet.felt import felt
from mmbot_pipelines.devnet.starknet.users import account
from tests.adapters.bridge.starknet.fake_prover import API_KEY, FakeProver
from tests.chain.starknet.proving import MAKER, begun, by_proof, paid, prove, reported, task_of
from tests.devnet.starknet_rpc import run
from tests.ports.invokes import StoredInvokes
from tests.ports.starknet_ports import StarknetPorts


def test_a_failed_task_and_one_that_is_forgotten_are_lost(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = begun(ports, origin, paid(ports, 3))
    service.outcomes[task_of(orders[0])] = [
        {"queryStatus": "FAILED", "error": f"{API_KEY}: no memory"}
    ]
    forgotten = replace(orders[1], claim_ref="task task-9 of block 1")
    failed, unknown, good = origin.progress([orders[0], forgotten, orders[2]])
    assert unknown.lost is None  # once may be a gateway's word
    for _ in range(4):
        (unknown,) = origin.progress([forgotten])
    assert isinstance(failed.lost, ProofFailed)
    assert "no memory" in str(failed.lost)
    assert API_KEY not in str(failed.lost)
    assert isinstance(unknown.lost, ProofFailed)
    assert "task-9" in str(unknown.lost)
    assert good.proven_in is not None


def test_a_wrong_api_key_is_reported_and_nothing_is_lost(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = paid(ports, 2)
    shut = ports.starknet(ports.l2, by_proof(ports, service, api_key="hunter2"))
    refused = shut.claims(orders, ports.chain.fees())
    assert [type(r) for r in refused] == [ProverRefused] * 2
    assert "MMBOT_STARKNET_PROVER_API_KEY" in str(refused[0])
    with pytest.raises(ProverRefused):
        shut.progress(begun(ports, origin, orders))


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"null"])
def test_garbage_of_the_prover_is_an_outage(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin, body: bytes
) -> None:
    orders = paid(ports, 2)
    proving = begun(ports, origin, orders)
    service.status, service.body = 200, body
    refused = origin.claims(orders, ports.chain.fees())
    assert [type(r) for r in refused] == [ProverUnavailable] * 2
    with pytest.raises(ProverUnavailable):
        origin.progress(proving)


def test_a_transfer_that_l1_does_not_show_cannot_be_proven(
    ports: StarknetPorts, origin: StarknetOrigin
) -> None:
    (order,) = paid(ports)
    unknown = replace(order, transfer_tx=TxHash("0x" + "ab" * 32))
    (failure,) = origin.claims([unknown], ports.chain.fees())
    assert isinstance(failure, TransferNotFound)


def test_a_proof_of_something_else_is_refused_and_spoils_no_neighbour(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = begun(ports, origin, paid(ports, 3))
    # not the block that was proven
    wrong = replace(orders[1], claim_ref=f"task {task_of(orders[1])} of block 1")
    seen = origin.progress([orders[0], wrong, orders[2]])
    assert "Slot is not proven" in str(seen[1].waits)
    assert seen[0].proven_in == seen[2].proven_in is not None
    ports.mine_l2(1)
    assert None not in origin.settled([orders[0], orders[2]])
    assert origin.progress([wrong])[0].lost is None
    ports.mine_l2(50)
    assert isinstance(origin.progress([wrong])[0].lost, ProofFailed)


def test_a_call_that_reverted_is_shown_again(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    (order,) = begun(ports, origin, paid(ports))
    (shown,) = reported([order], [Progress(proven_in=sent_unproven(ports, order))])
    prove(ports, service.queries[task_of(order)])
    ports.mine_l2(1)
    (seen,) = origin.progress([shown])
    assert seen.lost is None
    assert seen.proven_in not in (None, shown.claim_tx)
    ports.mine_l2(1)
    (paid_in,) = origin.settled([shown])
    assert isinstance(paid_in, Settlement)
    assert paid_in.tx == seen.proven_in


def sent_unproven(ports: StarknetPorts, order: Order) -> TxHash:
    """Send what nobody has proven, past every estimate."""
    user = account(ports.node.url, MAKER)
    call = Call(
        int(ports.deployed.escrow, 16), entrypoint("withdraw"), [order.number, 0, 1, 0, 1, 0]
    )
    bounds = ResourceBoundsMapping(
        l1_gas=ResourceBounds(0, 10**15),
        l1_data_gas=ResourceBounds(10_000, 10**10),
        l2_gas=ResourceBounds(10**7, 10**11),
    )
    sent = run(user.execute_v3(call, resource_bounds=bounds))
    return TxHash(f"0x{sent.transaction_hash:064x}")


def test_a_prover_that_reports_done_too_early_costs_no_transaction(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    service.prove = lambda _: None
    nonce = ports.node("getNonce", "pre_confirmed", felt(MAKER.address))
    (order,) = begun(ports, origin, paid(ports))
    (seen,) = origin.progress([order])
    assert "Slot is not proven" in str(seen.waits)
    assert ports.node("getNonce", "pre_confirmed", felt(MAKER.address)) == nonce
    prove(ports, service.queries[task_of(order)])
    (seen,) = origin.progress([order])
    assert seen.proven_in is not None


def test_an_escrow_that_refuses_now_keeps_the_order_waiting(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = begun(ports, origin, paid(ports))
    ports.pause()
    for _ in range(3):
        (seen,) = origin.progress(orders)
        assert "is paused" in str(seen.waits)
        ports.mine_l2(20)
    ports.node.store("paused", value=0)
    (seen,) = origin.progress(orders)
    assert seen.proven_in is not None


def test_a_wrong_key_of_our_account_is_one_line_without_it(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = begun(ports, origin, paid(ports))
    invokes = StoredInvokes()
    wrong = by_proof(ports, service, private_key="0xabc123", invokes=invokes)
    shut = ports.starknet(ports.l2, wrong)
    with pytest.raises(RpcRefused, match="fix MMBOT_STARKNET_PRIVATE_KEY") as refused:
        shut.progress(orders)
    assert "abc123" not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert invokes.rows == []  # nothing is stored that the sequencer can never take


def test_an_escrow_with_another_entrypoint_needs_its_name(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = begun(ports, origin, paid(ports))
    other = by_proof(ports, service, entrypoint=entrypoint("take_it"))
    (seen,) = ports.starknet(ports.l2, other).progress(orders)
    assert "fix MMBOT_STARKNET_PROOF_ENTRYPOINT" in str(seen.waits)
