"""One Starknet node of three lies: it stops nothing and moves nothing; of two, all waits."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.decoding import InvalidResponse
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.errors import RetryPolicy, Undelivered
from mmbot_pipelines.core.outbox import TxState
from tests.adapters.bridge.starknet.fake_prover import FakeProver, fake_prover
from tests.attacks.liar import Liar, Lie
from tests.attacks.test_lost_claims import (
    NOTHING,
    all_failed,
    all_pending,
    finalize,
    fresh,
    on_its_way,
    ports,
)
from tests.attacks.test_lost_claims import origin as by_message
from tests.chain.starknet.claims import proved
from tests.chain.starknet.proving import begun, by_proof, paid, prove
from tests.ports.invokes import StoredInvokes
from tests.ports.starknet_ports import StarknetPorts

__all__ = ["fresh", "ports"]  # fixtures

PLACES = [0, 1]  # of those that are asked first


def answering(view: int, *answer: str) -> Lie:
    """Return a lie about one view of the escrow."""

    def lie(params: Any, result: Any) -> Any:
        asked = int(params["request"]["entry_point_selector"], 16) == view
        return list(answer) if asked else result

    return lie


def no_events(params: Any, result: Any) -> Any:
    return {"events": []}


@pytest.fixture
def nodes() -> Iterator[ExitStack]:
    with ExitStack() as nodes:
        yield nodes


@pytest.fixture
def service(ports: StarknetPorts) -> Iterator[FakeProver]:
    with fake_prover() as prover:
        prover.prove = lambda query: prove(ports, query)
        yield prover


def urls(ports: StarknetPorts, nodes: ExitStack, place: int, count: int, **lies: Lie) -> list[str]:
    """Return this many nodes' addresses, with a liar at a place."""
    liar = nodes.enter_context(Liar(ports.node.url, **lies))
    return [liar.url if n == place else f"{ports.node.url}/{n}" for n in range(count)]


def with_liar(
    ports: StarknetPorts, nodes: ExitStack, place: int, count: int, **lies: Lie
) -> StarknetOrigin:
    l1 = ports.devnet.deployment.l1.rpc_url
    second = nodes.enter_context(Liar(l1)).url
    return by_message(ports, [l1, second], urls(ports, nodes, place, count, **lies), 2)


CHECKS = {
    "paused": answering(abi.PAUSED, "0x1"),
    "another wallet": answering(abi.WALLET, "0x666"),
    "another order": answering(abi.GET_ORDER, "0x1", "0x2", "0x0", "0x3", "0x0"),
    "claimed": answering(abi.GET_ORDER_PENDING, "0x0"),
    "no such answer": answering(abi.GET_ORDER, "0x1"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CHECKS)
def test_one_liar_of_three_keeps_no_order_from_being_paid(
    ports: StarknetPorts, nodes: ExitStack, place: int, name: str
) -> None:
    orders = ports.set_orders(2)
    origin = with_liar(ports, nodes, place, 3, starknet_call=CHECKS[name])
    for _ in range(3):
        assert origin.check(orders) == [None, None]


@pytest.mark.parametrize("name", CHECKS)
def test_one_liar_of_two_lets_an_order_wait_and_parks_none(
    ports: StarknetPorts, nodes: ExitStack, name: str
) -> None:
    orders = ports.set_orders(1)
    origin = with_liar(ports, nodes, 1, 2, starknet_call=CHECKS[name])
    (against,) = origin.check(orders)
    assert isinstance(against, RpcDisagrees)
    assert against.retry_policy is RetryPolicy.NOW


def another_tx(params: Any, result: Any) -> Any:
    return {"events": [event | {"transaction_hash": "0x666"} for event in result["events"]]}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("lie", [no_events, another_tx])
def test_one_liar_of_three_hides_no_payment(
    ports: StarknetPorts, nodes: ExitStack, place: int, lie: Lie
) -> None:
    order = on_its_way(ports, "deliver")
    (unpaid,) = ports.set_orders(1)
    (truth,) = ports.origin.settled([order])
    assert isinstance(truth, Settlement)
    origin = with_liar(ports, nodes, place, 3, starknet_getEvents=lie)
    assert origin.settled([order, unpaid]) == [truth, None]
    origin = with_liar(ports, nodes, 1, 2, starknet_getEvents=lie)
    (seen, nothing) = origin.settled([order, unpaid])
    assert isinstance(seen, RpcDisagrees)
    assert nothing is None  # each order by itself


def test_one_liar_of_three_invents_no_payment(ports: StarknetPorts, nodes: ExitStack) -> None:
    order = on_its_way(ports, "deliver")
    (unpaid,) = ports.set_orders(1)
    (truth,) = ports.origin.settled([order])

    def invented(params: Any, result: Any) -> Any:
        number = hex(unpaid.number)
        copies = [event | {"data": [number, *event["data"][1:]]} for event in result["events"]]
        return {"events": [*result["events"], *copies]}

    lies = {"starknet_getEvents": invented, "starknet_call": CHECKS["claimed"]}
    alone = by_message(
        ports, [ports.devnet.deployment.l1.rpc_url], urls(ports, nodes, 0, 1, **lies), 1
    )
    assert all(isinstance(seen, Settlement) for seen in alone.settled([order, unpaid]))
    for count in (2, 3):  # of three, the two others may be behind: nothing is proven
        (seen, other) = with_liar(ports, nodes, 0, count, **lies).settled([order, unpaid])
        assert (seen, type(other)) == (truth, RpcDisagrees)


@pytest.mark.parametrize("low", [True, False])
def test_one_liar_of_three_does_not_set_what_is_final(
    ports: StarknetPorts, nodes: ExitStack, low: bool
) -> None:
    ports.mine_l2(20)
    truth = ports.origin.final()
    assert truth.number > 0

    def lie(params: Any, result: Any) -> Any:
        return result | {"block_number": 0 if low else 10**9}

    for place in PLACES:
        origin = with_liar(ports, nodes, place, 3, starknet_getBlockWithTxHashes=lie)
        assert origin.final() == truth


def by_a_proof(
    ports: StarknetPorts, service: FakeProver, invokes: StoredInvokes, nodes: list[str]
) -> StarknetOrigin:
    rpc = StarknetRpc(nodes, chain_id=ports.l2.chain_id, quorum=2)
    return ports.starknet(ports.l2, by_proof(ports, service, l2=rpc, invokes=invokes))


RECEIPTS: dict[str, dict[str, Lie]] = {
    "reverted": {
        "starknet_getTransactionStatus": lambda params, result: {
            "finality_status": "ACCEPTED_ON_L2",
            "execution_status": "REVERTED",
            "failure_reason": "x",
        }
    },
    "never sealed": {
        "starknet_getTransactionStatus": lambda params, result: {
            "finality_status": "RECEIVED",
            "execution_status": "SUCCEEDED",
        }
    },
    "nonce too low": {"starknet_getNonce": lambda params, result: "0x0"},
    "nonce too high": {"starknet_getNonce": lambda params, result: "0x999"},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", RECEIPTS)
def test_one_liar_of_three_neither_decides_nor_stops_our_transactions(
    ports: StarknetPorts, nodes: ExitStack, service: FakeProver, place: int, name: str
) -> None:
    invokes = StoredInvokes()
    liars = urls(ports, nodes, place, 3, **RECEIPTS[name])
    origin = by_a_proof(ports, service, invokes, liars)
    for count in (1, 2):
        (order,) = begun(ports, origin, paid(ports))
        (seen,) = origin.progress([order])
        assert seen.proven_in is not None
        ports.mine_l2(1)
        (settled,) = ports.origin.settled([order])
        assert isinstance(settled, Settlement)
        assert len(invokes.rows) == count
    assert [row.state for row in invokes.rows] == [TxState.MINED, TxState.STORED]
    assert invokes.rows[1].nonce == invokes.rows[0].nonce + 1


def test_one_liar_of_two_about_our_nonce_gets_nothing_signed(
    ports: StarknetPorts, nodes: ExitStack, service: FakeProver
) -> None:
    invokes = StoredInvokes()
    liars = urls(ports, nodes, 1, 2, **RECEIPTS["nonce too high"])
    origin = by_a_proof(ports, service, invokes, liars)
    (order,) = begun(ports, origin, paid(ports))
    with pytest.raises(RpcDisagrees, match="differ on the next nonce of our account"):
        origin.progress([order])
    assert invokes.rows == []


def hidden(params: Any, result: Any) -> Any:
    return result and result | {"logs": []}


def absent(params: Any, result: Any) -> Any:
    return None


def garbage(params: Any, result: Any) -> Any:
    return "x"


@pytest.mark.parametrize("lie", [hidden, absent, garbage])
def test_one_liar_of_three_on_l1_hides_no_claims_message(
    ports: StarknetPorts, nodes: ExitStack, lie: Lie
) -> None:
    ports.node.inbox.mode = "withhold"
    (order,) = proved(ports, ports.set_orders(1))
    l1 = ports.devnet.deployment.l1.rpc_url
    liar = nodes.enter_context(Liar(l1, eth_getTransactionReceipt=lie)).url
    second = nodes.enter_context(Liar(l1)).url
    l2 = [ports.node.url, f"{ports.node.url}/2"]
    (truth,) = ports.origin.progress([order])
    assert truth.ref is not None
    assert by_message(ports, [liar, l1, second], l2, 2).progress([order]) == [truth]
    of_two = by_message(ports, [liar, l1], l2, 2)
    if lie is garbage:
        with pytest.raises(InvalidResponse):
            of_two.progress([order])
    else:
        assert of_two.progress([order]) == NOTHING


@pytest.mark.parametrize("mode", ["fail", "deliver"])
def test_one_liar_of_three_neither_loses_a_claim_nor_keeps_a_lost_one(
    ports: StarknetPorts, nodes: ExitStack, mode: str
) -> None:
    order = on_its_way(ports, mode)
    finalize(ports)
    lies: dict[str, Lie] = {"starknet_getMessagesStatus": lambda params, result: []}
    if mode == "deliver":
        lies = {"starknet_call": all_pending, "starknet_getMessagesStatus": all_failed}
    seen = with_liar(ports, nodes, 0, 3, **lies).progress([order])
    if mode == "deliver":
        assert seen == NOTHING
    else:
        assert isinstance(seen[0].lost, Undelivered)
    assert with_liar(ports, nodes, 0, 2, **lies).progress([order]) == NOTHING


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CHECKS)
def test_one_liar_of_three_is_marked_as_contradicted_and_asked_last(
    ports: StarknetPorts, nodes: ExitStack, place: int, name: str
) -> None:
    orders = ports.set_orders(1)
    found = urls(ports, nodes, place, 3, starknet_call=CHECKS[name])
    rpc = StarknetRpc(found, chain_id=int(ports.deployed.chain_id, 16), quorum=2)
    origin = ports.starknet(rpc, ports.by_message)
    faults: list[str | None] = [None]
    for _ in range(10):  # a liar that is slower than both others is not heard
        assert origin.check(orders) == [None]
        faults = [reading.fault for reading in rpc.health()]
        if any(faults):
            break
    assert faults[place] == "contradicts the others about what the escrow holds"
    assert [fault for n, fault in enumerate(faults) if n != place] == [None, None]
    for _ in range(4):
        origin.check(orders)
    scores = [reading.score for reading in rpc.health()]
    assert scores[place] < min(score for n, score in enumerate(scores) if n != place)


def test_where_one_of_two_lies_neither_is_marked(ports: StarknetPorts, nodes: ExitStack) -> None:
    orders = ports.set_orders(1)
    found = urls(ports, nodes, 1, 2, starknet_call=CHECKS["paused"])
    rpc = StarknetRpc(found, chain_id=int(ports.deployed.chain_id, 16), quorum=2)
    ports.starknet(rpc, ports.by_message).check(orders)
    assert [reading.fault for reading in rpc.health()] == [None, None]
