"""A node that is wrong about our Starknet account's nonce holds its lane for minutes, not for ever.

On a local Starknet, an anvil and a strict prover, at quorum 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping

from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.bridge.starknet.proofs import ByProof
from mmbot_pipelines.adapters.starknet.invokes import Invoke
from mmbot_pipelines.adapters.starknet.lane import StarknetLane
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.outbox import TxState
from mmbot_pipelines.devnet.starknet.felt import selector_of
from mmbot_pipelines.devnet.starknet.gas import PRICES, estimate, in_fri
from mmbot_pipelines.devnet.starknet.token import STRK
from mmbot_pipelines.devnet.starknet.users import account
from tests.adapters.bridge.starknet.fake_prover import FakeProver
from tests.attacks.liar import Liar, Lie
from tests.chain.starknet.conftest import fresh, ports, service
from tests.chain.starknet.proving import MAKER, begun, by_proof, paid, reported
from tests.chaos.faulty_rpc import Fault
from tests.devnet.starknet_rpc import run
from tests.ports.invokes import StoredInvokes
from tests.ports.starknet_ports import StarknetPorts

__all__ = ["fresh", "ports", "service"]  # fixtures

ENOUGH = estimate({"l1_gas": 0, "l1_data_gas": 10_000, "l2_gas": 10**8}, in_fri(PRICES), "FRI")
BOUNDS = ResourceBoundsMapping(
    l1_gas=ResourceBounds(0, 10**15),
    l1_data_gas=ResourceBounds(10_000, 10**10),
    l2_gas=ResourceBounds(10**7, 10**11),
)


class WrongNode(Liar):
    """A node that also estimates what only its own nonce lets pass."""

    def _distorted(self, question: Any, answer: Any, fault: Fault) -> Any:
        if question["method"] == "starknet_estimateFee" and self.lies:
            return {"jsonrpc": "2.0", "id": question["id"], "result": [ENOUGH]}
        return super()._distorted(question, answer, fault)


def off_by(count: int) -> Lie:
    return lambda params, result: hex(int(result, 16) + count)


@dataclass
class DagsterServer:
    """Our account behind one node that can lie."""

    ports: StarknetPorts
    service: FakeProver
    node: WrongNode
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.invokes = StoredInvokes()
        self.by_proof: ByProof = by_proof(
            self.ports,
            self.service,
            l2=self.ports.client(self.node.url),
            invokes=self.invokes,
            now=lambda: self.now,
        )
        self.origin: StarknetOrigin = self.ports.starknet(self.ports.l2, self.by_proof)

    def proving(self, count: int = 1) -> list[Order]:
        return begun(self.ports, self.origin, paid(self.ports, count))

    def shown(self, orders: list[Order]) -> list[Order]:
        seen = self.origin.progress(orders)
        assert [p.lost for p in seen] == [None] * len(orders)
        return reported(orders, seen)

    def settled(self, orders: list[Order]) -> bool:
        self.ports.mine_l2(1)
        return None not in self.origin.settled(orders)

    def used_elsewhere(self, count: int) -> None:
        """Let another program send transactions of our account."""
        ours = account(self.ports.node.url, MAKER)
        approve = Call(STRK, selector_of("approve"), [1, 1, 0])
        for _ in range(count):
            run(ours.execute_v3(approve, resource_bounds=BOUNDS))
        self.ports.mine_l2(1)

    def executed_late(self, row: Invoke) -> None:
        """Let the sequencer find bytes in its mempool whose nonce has come."""

        def handed_over(node: StarknetNode) -> None:
            assert self.lane.wallet.broadcast(node, row.raw) is None

        self.ports.l2.ask(handed_over)
        self.ports.mine_l2(1)

    @property
    def lane(self) -> StarknetLane:
        return self.by_proof._submitter.lane

    @property
    def states(self) -> list[tuple[int, TxState]]:
        return [(row.nonce, row.state) for row in self.invokes.rows]


@pytest.fixture
def dagster_server(ports: StarknetPorts, service: FakeProver) -> Iterator[DagsterServer]:
    with WrongNode(ports.node.url) as node:
        yield DagsterServer(ports, service, node)


def held_by_a_nonce_too_high(dagster_server: DagsterServer, count: int = 3) -> list[Order]:
    orders = dagster_server.proving()
    dagster_server.node.lies["starknet_getNonce"] = off_by(count)
    orders = dagster_server.shown(orders)
    assert dagster_server.states == [(count, TxState.STORED)]
    dagster_server.node.lies.clear()
    return orders


def test_a_nonce_too_high_is_given_up_and_the_same_proof_is_shown_with_the_right_one(
    dagster_server: DagsterServer,
) -> None:
    orders = held_by_a_nonce_too_high(dagster_server)
    for _ in range(3):  # the node may only be ahead of the others
        orders = dagster_server.shown(orders)
        assert dagster_server.states == [(3, TxState.STORED)]
    dagster_server.now += timedelta(minutes=3)
    orders = dagster_server.shown(orders)
    assert dagster_server.states == [(3, TxState.LOST), (0, TxState.STORED)]
    assert dagster_server.invokes.rows[0].ahead_of == 0
    assert orders[0].claim_tx == dagster_server.invokes.rows[1].hash
    assert dagster_server.settled(orders)
    assert len(dagster_server.service.tasks) == 1  # no other proof was bought


def test_one_that_a_node_calls_received_for_ever_is_given_up_too(
    dagster_server: DagsterServer,
) -> None:
    orders = held_by_a_nonce_too_high(dagster_server)
    received = {"finality_status": "RECEIVED", "execution_status": "SUCCEEDED"}
    row = dagster_server.invokes.rows[0]

    class Holding(WrongNode):
        def _distorted(self, question: Any, answer: Any, fault: Fault) -> Any:
            asked = question["method"] == "starknet_getTransactionStatus"
            if asked and int(question["params"]["transaction_hash"], 16) == int(row.hash, 16):
                return {"jsonrpc": "2.0", "id": question["id"], "result": received}
            return super()._distorted(question, answer, fault)

    dagster_server.node.__class__ = Holding
    dagster_server.now += timedelta(minutes=3)
    dagster_server.origin.record_costs()  # as every backfill does
    orders = dagster_server.shown(orders)
    assert dagster_server.states == [(3, TxState.LOST), (0, TxState.STORED)]
    assert dagster_server.settled(orders)


def test_one_given_up_that_is_executed_later_costs_its_fee_and_pays_nothing(
    dagster_server: DagsterServer,
) -> None:
    orders = held_by_a_nonce_too_high(dagster_server)
    dagster_server.now += timedelta(minutes=3)
    orders = dagster_server.shown(orders)
    assert dagster_server.settled(orders)
    dagster_server.used_elsewhere(2)
    high = dagster_server.invokes.rows[0]
    dagster_server.executed_late(high)
    (following,) = dagster_server.proving()
    dagster_server.shown([following])
    assert dagster_server.settled(dagster_server.shown([following]))
    dagster_server.origin.record_costs()
    assert dagster_server.states == [(3, TxState.REVERTED), (0, TxState.MINED), (4, TxState.MINED)]
    assert all(row.fee for row in dagster_server.invokes.rows)
    assert dagster_server.settled(orders)


def test_one_given_up_that_takes_the_next_ones_nonce_delays_it_by_a_block(
    dagster_server: DagsterServer,
) -> None:
    orders = held_by_a_nonce_too_high(dagster_server)
    dagster_server.now += timedelta(minutes=3)
    assert dagster_server.settled(dagster_server.shown(orders))
    dagster_server.used_elsewhere(2)
    following = dagster_server.proving()
    high = dagster_server.invokes.rows[0]
    send = dagster_server.lane.wallet.broadcast

    def after_the_other(node: StarknetNode, raw: bytes) -> Any:
        send(node, high.raw)
        return send(node, raw)

    dagster_server.lane.wallet.broadcast = after_the_other
    following = dagster_server.shown(following)
    assert (dagster_server.invokes.rows[2].nonce, dagster_server.invokes.rows[2].bump) == (3, 1)
    dagster_server.ports.mine_l2(1)
    following = dagster_server.shown(following)
    assert dagster_server.settled(following)
    dagster_server.origin.record_costs()
    assert dagster_server.states == [
        (3, TxState.REVERTED),
        (0, TxState.MINED),
        (3, TxState.REPLACED),
        (4, TxState.MINED),
    ]


def test_a_nonce_too_low_is_lost_at_once_and_the_same_proof_is_shown_again(
    dagster_server: DagsterServer,
) -> None:
    dagster_server.used_elsewhere(2)
    orders = dagster_server.proving()
    dagster_server.node.lies["starknet_getNonce"] = off_by(-1)
    orders = dagster_server.shown(orders)
    assert dagster_server.states == [(1, TxState.STORED)]
    dagster_server.node.lies.clear()
    orders = dagster_server.shown(orders)
    assert dagster_server.states == [(1, TxState.LOST), (2, TxState.STORED)]
    assert dagster_server.invokes.rows[0].ahead_of is None
    assert dagster_server.settled(orders)
    assert len(dagster_server.service.tasks) == 1


def test_what_our_transactions_cost_is_what_left_the_account(dagster_server: DagsterServer) -> None:
    before = strk(dagster_server)
    assert dagster_server.settled(dagster_server.shown(dagster_server.proving(3)))
    dagster_server.origin.record_costs()
    (row,) = dagster_server.invokes.rows
    assert row.fee == before - strk(dagster_server) > 0


def strk(dagster_server: DagsterServer) -> int:
    call = {
        "contract_address": hex(STRK),
        "entry_point_selector": hex(selector_of("balanceOf")),
        "calldata": [hex(MAKER.address)],
    }
    low, high = dagster_server.ports.node("call", call, "latest")
    return int(low, 16) + (int(high, 16) << 128)
