"""A storage proof makes the escrow pay, once and in its own time."""

from dataclasses import replace

from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Progress, Settlement
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.devnet.starknet.felt import felt
from tests.adapters.bridge.starknet.fake_prover import FakeProver
from tests.chain.starknet.proving import MAKER, begun, by_proof, paid, reported
from tests.ports.starknet_ports import StarknetPorts


def txs(origin: StarknetOrigin, orders: list[Order]) -> list[TxHash | None]:
    seen = origin.settled(orders)
    return [one.tx if isinstance(one, Settlement) else None for one in seen]


def test_a_proof_makes_the_escrow_pay(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = begun(ports, origin, paid(ports, 3))
    seen = origin.progress(orders)
    assert len({p.proven_in for p in seen}) == 1  # one transaction for all
    assert seen[0].proven_in is not None
    ports.mine_l2(1)
    assert txs(origin, orders) == [seen[0].proven_in] * 3
    assert origin.progress(reported(orders, seen)) == [Progress()] * 3
    assert origin.progress(orders) == [Progress()] * 3  # paid: nothing is shown again
    assert len(service.tasks) == 3


def test_nothing_is_sent_on_l1_and_the_cost_is_as_set(
    ports: StarknetPorts, origin: StarknetOrigin
) -> None:
    orders = ports.set_orders(2)
    assert origin.claim_gas == 0
    assert origin.message_fee(orders, ports.chain.fees()) == [5, 5]


def test_a_slow_task_is_waited_for(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    (order,) = begun(ports, origin, paid(ports))
    service.outcomes["task-0"] = ["PENDING", "IN_PROGRESS", "IN_PROGRESS", "DONE"]
    for _ in range(3):
        assert origin.progress([order]) == [Progress()]
    (seen,) = origin.progress([order])
    assert seen.proven_in is not None


def test_a_task_without_end_is_neither_lost_nor_proven(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    (order,) = begun(ports, origin, paid(ports))
    service.outcomes["task-0"] = ["PENDING"]
    assert [origin.progress([order]) for _ in range(5)] == [[Progress()]] * 5


def test_the_next_attempt_is_a_new_task(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    (order,) = paid(ports)
    begun(ports, origin, [order])
    begun(ports, origin, [order])  # as after a death before it was stored
    begun(ports, origin, [replace(order, attempt=2)])
    assert len(service.tasks) == 2


def test_a_call_that_the_node_does_not_know_may_still_be_on_its_way(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = begun(ports, origin, paid(ports))
    (order,) = reported(orders, origin.progress(orders))
    ports.node.reorg(0)
    assert origin.progress([order]) == [Progress(proven_in=order.claim_tx)]  # the same bytes


def test_what_was_shown_and_not_stored_is_not_shown_twice(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    (order,) = begun(ports, origin, paid(ports))
    (seen,) = origin.progress([order])
    nonce = ports.node("getNonce", "pre_confirmed", felt(MAKER.address))
    again = ports.starknet(ports.client(ports.node.url), by_proof(ports, service))
    assert again.progress([order]) == [Progress()]
    assert ports.node("getNonce", "pre_confirmed", felt(MAKER.address)) == nonce
    ports.mine_l2(1)
    assert txs(again, [order]) == [seen.proven_in]


def test_messages_of_the_other_way_are_left_alone(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    (order,) = ports.set_orders(1)
    other = replace(order, status=Status.PROVED, claim_ref="message 0x" + "ab" * 32)
    assert origin.progress([other]) == [Progress()]
    assert service.requests == []
    task = replace(order, status=Status.PROVING, claim_ref="task task-1 of block 1")
    assert ports.origin.progress([task]) == [Progress()]
