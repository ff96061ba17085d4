"""Repayment by storage proof: prover, L1 and Starknet all local, the escrow's check included."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from eth_typing import ChecksumAddress
from pydantic import SecretStr
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping

from mmbot_pipelines.adapters.origins.starknet import Starknet
from mmbot_pipelines.adapters.origins.starknet_proofs import (
    ByProof,
    ProofFailed,
    TransferNotFound,
    entrypoint,
)
from mmbot_pipelines.adapters.origins.starknet_prover import (
    Prover,
    ProverRefused,
    ProverUnavailable,
)
from mmbot_pipelines.adapters.origins.starknet_wallet import StarknetWallet
from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.ports import Progress, Task
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.starknet_account import development_keys
from mmbot_pipelines.devnet.starknet_deploy import deploy_messaging
from mmbot_pipelines.devnet.starknet_felt import felt
from mmbot_pipelines.devnet.starknet_users import account
from tests.adapters.origins.fake_prover import API_KEY, FakeProver, fake_prover
from tests.devnet.bridge import Devnet, running
from tests.devnet.starknet_rpc import run
from tests.ports.stages import pay
from tests.ports.starknet_stage import StarknetStage, on_starknet

MAKER = development_keys(1)  # whom the local escrow pays


@pytest.fixture(scope="module")
def fresh() -> Iterator[tuple[Devnet, ChecksumAddress]]:
    with running() as devnet:
        yield devnet, deploy_messaging(devnet.deployment.l1)


@pytest.fixture
def stage(fresh: tuple[Devnet, ChecksumAddress]) -> Iterator[StarknetStage]:
    with on_starknet(*fresh) as stage:
        yield stage


@pytest.fixture
def service(stage: StarknetStage) -> Iterator[FakeProver]:
    """Lend a prover that reads L1 and makes what it read a fact on Starknet."""
    with fake_prover() as prover:
        prover.prove = lambda query: prove(stage, query)
        yield prover


def prove(stage: StarknetStage, query: Any) -> None:
    for blocks in query["data"].values():
        for block, asked in blocks.items():
            number = int(block.removeprefix("block:"))
            for registry, wanted in asked["accounts"].items():
                for slot in wanted["slots"]:
                    value = ask(stage.devnet.l1, "eth_getStorageAt", registry, slot, hex(number))
                    stage.node.devnet(
                        "proveSlot", account=registry, block=number, slot=slot, value=value
                    )


def by_proof(stage: StarknetStage, service: FakeProver, **changes: Any) -> ByProof:
    key = SecretStr(changes.pop("private_key", hex(MAKER.private_key)))
    chain_id = int(stage.deployed.chain_id, 16)
    prover = Prover(
        service.url,
        SecretStr(changes.pop("api_key", API_KEY)),
        destination="SN_DEVNET",
        read_seconds=2,
    )
    given = {
        "escrow": Address(stage.deployed.escrow),
        "registry": stage.registry.address,
        "transfers_slot": 0,
        "entrypoint": entrypoint("withdraw"),
        "cost": Wei(5),
        "look_seconds": 0,
    } | changes
    wallet = StarknetWallet(Address(stage.deployed.wallet), key, chain_id=chain_id)
    return ByProof(stage.l2, stage.l1, prover, wallet, **given)


@pytest.fixture
def origin(stage: StarknetStage, service: FakeProver) -> Starknet:
    return stage.starknet(stage.l2, by_proof(stage, service))


def paid(stage: StarknetStage, count: int = 1) -> list[Order]:
    orders = stage.set_orders(count)
    hashes = pay(stage, orders)
    return [
        replace(order, status=Status.FULFILLED, transfer_tx=tx)
        for order, tx in zip(orders, hashes, strict=True)
    ]


def begun(stage: StarknetStage, origin: Starknet, orders: list[Order]) -> list[Order]:
    """Claim orders and leave them as the steps would."""
    tasks = origin.claims(orders, stage.chain.fees())
    assert all(isinstance(task, Task) for task in tasks)
    return [
        replace(order, status=Status.PROVING, claim_ref=task.ref)  # type: ignore[union-attr]
        for order, task in zip(orders, tasks, strict=True)
    ]


def task_of(order: Order) -> str:
    return str(order.claim_ref).split()[1]


def told(orders: list[Order], seen: list[Progress]) -> list[Order]:
    return [
        replace(order, status=Status.PROVED, claim_tx=p.proven_in)
        for order, p in zip(orders, seen, strict=True)
    ]


def test_a_proof_makes_the_escrow_pay(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    orders = begun(stage, origin, paid(stage, 3))
    seen = origin.progress(orders)
    assert len({p.proven_in for p in seen}) == 1  # one transaction for all
    assert seen[0].proven_in is not None
    stage.mine_l2(1)
    assert origin.settled(orders) == [seen[0].proven_in] * 3
    assert origin.progress(told(orders, seen)) == [Progress()] * 3
    assert origin.progress(orders) == [Progress()] * 3  # paid: nothing is shown again
    assert len(service.tasks) == 3


def test_nothing_is_sent_on_l1_and_the_cost_is_as_set(
    stage: StarknetStage, origin: Starknet
) -> None:
    orders = stage.set_orders(2)
    assert origin.claim_gas == 0
    assert origin.message_fee(orders, stage.chain.fees()) == [5, 5]


def test_a_slow_task_is_waited_for(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    (order,) = begun(stage, origin, paid(stage))
    service.outcomes["task-0"] = ["PENDING", "IN_PROGRESS", "IN_PROGRESS", "DONE"]
    for _ in range(3):
        assert origin.progress([order]) == [Progress()]
    (seen,) = origin.progress([order])
    assert seen.proven_in is not None


def test_a_task_without_end_is_neither_lost_nor_proven(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    (order,) = begun(stage, origin, paid(stage))
    service.outcomes["task-0"] = ["PENDING"]
    assert [origin.progress([order]) for _ in range(5)] == [[Progress()]] * 5


def test_a_failed_task_and_one_that_is_forgotten_are_lost(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    orders = begun(stage, origin, paid(stage, 3))
    service.outcomes[task_of(orders[0])] = [
        {"queryStatus": "FAILED", "error": f"{API_KEY}: no memory"}
    ]
    forgotten = replace(orders[1], claim_ref="task task-9 of block 1")
    failed, unknown, good = origin.progress([orders[0], forgotten, orders[2]])
    assert isinstance(failed.lost, ProofFailed)
    assert "no memory" in str(failed.lost)
    assert API_KEY not in str(failed.lost)
    assert isinstance(unknown.lost, ProofFailed)
    assert "task-9" in str(unknown.lost)
    assert good.proven_in is not None


def test_the_next_attempt_is_a_new_task(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    (order,) = paid(stage)
    begun(stage, origin, [order])
    begun(stage, origin, [order])  # as after a crash before it was stored
    begun(stage, origin, [replace(order, attempt=2)])
    assert list(service.tasks) == ["starknet:0/1", "starknet:0/2"]


def test_a_wrong_api_key_is_said_and_nothing_is_lost(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    orders = paid(stage, 2)
    shut = stage.starknet(stage.l2, by_proof(stage, service, api_key="hunter2"))
    refused = shut.claims(orders, stage.chain.fees())
    assert [type(r) for r in refused] == [ProverRefused] * 2
    assert "MMBOT_STARKNET_PROVER_API_KEY" in str(refused[0])
    with pytest.raises(ProverRefused):
        shut.progress(begun(stage, origin, orders))


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"null"])
def test_garbage_of_the_prover_is_an_outage(
    stage: StarknetStage, service: FakeProver, origin: Starknet, body: bytes
) -> None:
    orders = paid(stage, 2)
    proving = begun(stage, origin, orders)
    service.status, service.body = 200, body
    refused = origin.claims(orders, stage.chain.fees())
    assert [type(r) for r in refused] == [ProverUnavailable] * 2
    with pytest.raises(ProverUnavailable):
        origin.progress(proving)


def test_a_transfer_that_l1_does_not_show_cannot_be_proven(
    stage: StarknetStage, origin: Starknet
) -> None:
    (order,) = paid(stage)
    unknown = replace(order, transfer_tx=TxHash("0x" + "ab" * 32))
    (failure,) = origin.claims([unknown], stage.chain.fees())
    assert isinstance(failure, TransferNotFound)


def test_a_proof_of_something_else_is_refused_and_spoils_no_neighbour(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    orders = begun(stage, origin, paid(stage, 3))
    # not the block that was proven
    wrong = replace(orders[1], claim_ref=f"task {task_of(orders[1])} of block 1")
    seen = origin.progress([orders[0], wrong, orders[2]])
    assert isinstance(seen[1].lost, ProofFailed)
    assert "Slot is not proven" in str(seen[1].lost)
    assert seen[0].proven_in is not None
    stage.mine_l2(1)
    for _ in range(2):
        seen = origin.progress([orders[0], orders[2]])
        stage.mine_l2(1)
    assert None not in origin.settled([orders[0], orders[2]])


def test_a_call_that_the_node_does_not_know_may_still_be_on_its_way(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    orders = begun(stage, origin, paid(stage))
    (order,) = told(orders, origin.progress(orders))
    stage.node.devnet("reorg", depth=0)
    assert origin.progress([order]) == [Progress()]


def test_a_call_that_reverted_is_lost_with_its_reason(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    (order,) = begun(stage, origin, paid(stage))
    (shown,) = told([order], [Progress(proven_in=sent_unproven(stage, order))])
    (seen,) = origin.progress([shown])
    assert isinstance(seen.lost, ProofFailed)
    assert "Slot is not proven" in str(seen.lost)
    assert str(shown.claim_tx) in str(seen.lost)


def sent_unproven(stage: StarknetStage, order: Order) -> TxHash:
    """Send what nobody has proven, past every estimate."""
    user = account(stage.node.url, MAKER, int(stage.deployed.chain_id, 16))
    call = Call(
        int(stage.deployed.escrow, 16), entrypoint("withdraw"), [order.number, 0, 1, 0, 1, 0]
    )
    bounds = ResourceBoundsMapping(
        l1_gas=ResourceBounds(0, 10**15),
        l1_data_gas=ResourceBounds(10_000, 10**10),
        l2_gas=ResourceBounds(10**7, 10**11),
    )
    sent = run(user.execute_v3(call, resource_bounds=bounds))
    return TxHash(f"0x{sent.transaction_hash:064x}")


def test_a_prover_that_says_done_too_early_costs_no_transaction(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    service.prove = lambda _: None
    nonce = stage.node("getNonce", "pre_confirmed", felt(MAKER.address))
    (seen,) = origin.progress(begun(stage, origin, paid(stage)))
    assert "Slot is not proven" in str(seen.lost)
    assert stage.node("getNonce", "pre_confirmed", felt(MAKER.address)) == nonce


def test_an_escrow_that_refuses_now_sets_the_order_back(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    orders = begun(stage, origin, paid(stage))
    stage.pause()
    (seen,) = origin.progress(orders)
    assert isinstance(seen.lost, ProofFailed)
    assert "Pausable: paused" in str(seen.lost)


def test_what_was_shown_and_not_stored_is_not_shown_twice(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    (order,) = begun(stage, origin, paid(stage))
    (seen,) = origin.progress([order])
    nonce = stage.node("getNonce", "pre_confirmed", felt(MAKER.address))
    again = stage.starknet(stage.client(stage.node.url), by_proof(stage, service))
    assert again.progress([order]) == [Progress()]
    assert stage.node("getNonce", "pre_confirmed", felt(MAKER.address)) == nonce
    stage.mine_l2(1)
    assert again.settled([order]) == [seen.proven_in]


def test_a_wrong_key_of_our_account_is_one_line_without_it(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    orders = begun(stage, origin, paid(stage))
    shut = stage.starknet(stage.l2, by_proof(stage, service, private_key="0xabc123"))
    with pytest.raises(RpcRefused, match="Account validation failed") as refused:
        shut.progress(orders)
    assert "abc123" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_escrow_with_another_entrypoint_needs_its_name(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    orders = begun(stage, origin, paid(stage))
    other = by_proof(stage, service, entrypoint=entrypoint("take_it"))
    (seen,) = stage.starknet(stage.l2, other).progress(orders)
    assert isinstance(seen.lost, ProofFailed)


def test_messages_of_the_other_way_are_left_alone(
    stage: StarknetStage, service: FakeProver, origin: Starknet
) -> None:
    (order,) = stage.set_orders(1)
    other = replace(order, status=Status.PROVED, claim_ref="message 0x" + "ab" * 32)
    assert origin.progress([other]) == [Progress()]
    assert service.requests == []
    task = replace(order, status=Status.PROVING, claim_ref="task task-1 of block 1")
    assert stage.origin.progress([task]) == [Progress()]
