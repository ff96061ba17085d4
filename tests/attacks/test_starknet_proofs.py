"""Attacks on repayment by storage proofs: what was paid for is shown until the escrow pays.

On a local Starknet, an anvil and a strict prover.
"""

from dataclasses import replace
from typing import Any

import pytest
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping

from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.bridge.starknet.proofs import entrypoint
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.starknet.invoke_store import PgInvokes
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.adapters.starknet.wallet import StarknetWallet
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.outbox import TxState
from mmbot_pipelines.devnet.starknet.contracts import development_keys
from mmbot_pipelines.devnet.starknet.felt import felt, halves
from mmbot_pipelines.devnet.starknet.token import STRK
from mmbot_pipelines.devnet.starknet.users import account
from tests.adapters.bridge.starknet.fake_prover import FakeProver
from tests.chain.starknet.conftest import fresh, ports, service
from tests.chain.starknet.proving import MAKER, begun, by_proof, paid, prove, reported, task_of
from tests.chain.starknet.test_way import Way
from tests.devnet.starknet_rpc import run
from tests.ports.invokes import StoredInvokes
from tests.ports.starknet_ports import StarknetPorts

__all__ = ["fresh", "ports", "service"]  # fixtures

STRANGER = development_keys(3)


class PowerCut(BaseException):
    """The process ends here."""


@pytest.fixture
def invokes() -> StoredInvokes:
    return StoredInvokes()


@pytest.fixture
def origin(ports: StarknetPorts, service: FakeProver, invokes: StoredInvokes) -> StarknetOrigin:
    return made(ports, service, invokes=invokes)


def made(ports: StarknetPorts, service: FakeProver, **changes: Any) -> StarknetOrigin:
    return ports.starknet(ports.l2, by_proof(ports, service, **changes))


def shown_by_stranger(ports: StarknetPorts, service: FakeProver, order: Order) -> None:
    """Let somebody else show our proof: the escrow pays us all the same."""
    (blocks,) = service.queries[task_of(order)]["data"].values()
    (asked,) = blocks.values()
    (slots,) = (account["slots"] for account in asked["accounts"].values())
    block = int(str(order.claim_ref).split()[-1])
    calldata = [*halves(order.number), *halves(block), *halves(int(slots[0], 16))]
    user = account(ports.node.url, STRANGER)
    call = Call(int(ports.deployed.escrow, 16), entrypoint("withdraw"), calldata)
    bounds = ResourceBoundsMapping(
        l1_gas=ResourceBounds(0, 10**15),
        l1_data_gas=ResourceBounds(10_000, 10**10),
        l2_gas=ResourceBounds(10**7, 10**11),
    )
    run(user.execute_v3(call, resource_bounds=bounds))


def nonce(ports: StarknetPorts) -> int:
    return int(ports.node("getNonce", "pre_confirmed", felt(MAKER.address)), 16)


def settled(ports: StarknetPorts, origin: StarknetOrigin, orders: list[Order]) -> list[bool]:
    ports.mine_l2(1)
    return [paid is not None for paid in origin.settled(orders)]


def test_a_stranger_who_shows_one_proof_first_spoils_no_other(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin
) -> None:
    orders = begun(ports, origin, paid(ports, 20))
    for order in orders:
        prove(ports, service.queries[task_of(order)])
    shown_by_stranger(ports, service, orders[7])
    seen = origin.progress(orders)
    assert [p.lost for p in seen] == [None] * 20
    assert {p.proven_in for p in seen[:7]} == {p.proven_in for p in seen[8:]} != {None}
    assert settled(ports, origin, orders) == [True] * 20
    assert len(service.tasks) == 20


def test_a_stranger_who_is_first_by_a_moment_reverts_a_batch_once_and_buys_nothing(
    ports: StarknetPorts,
    service: FakeProver,
    origin: StarknetOrigin,
    invokes: StoredInvokes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders = begun(ports, origin, paid(ports, 4))
    send = StarknetWallet.broadcast
    spoiled: list[Order] = orders[:1]

    def later(self: StarknetWallet, node: StarknetNode, raw: bytes) -> RpcError | None:
        while spoiled:
            shown_by_stranger(ports, service, spoiled.pop())
        return send(self, node, raw)

    monkeypatch.setattr(StarknetWallet, "broadcast", later)
    shown = reported(orders, origin.progress(orders))
    for _ in range(5):
        ports.mine_l2(1)
        open_ = [o for o, s in zip(shown, origin.settled(shown), strict=True) if s is None]
        seen = origin.progress(open_)
        assert [p.lost for p in seen] == [None] * len(open_)
        shown = [
            replace(o, claim_tx=p.proven_in or o.claim_tx) for o, p in zip(open_, seen, strict=True)
        ]
    assert shown == []
    assert [row.state for row in invokes.rows] == [
        TxState.REVERTED,
        *[TxState.MINED] * 2,
        TxState.STORED,
    ]
    assert [len(row.subjects) for row in invokes.rows] == [4, 1, 1, 1]
    assert len(service.tasks) == 4


def test_a_process_that_dies_before_it_sends_sends_the_same_bytes_later(
    ports: StarknetPorts,
    service: FakeProver,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = connect(database_url)
    origin = made(ports, service, invokes=PgInvokes(engine))
    orders = begun(ports, origin, paid(ports, 2))
    with monkeypatch.context() as patched:
        patched.setattr(StarknetWallet, "broadcast", dies)
        with pytest.raises(PowerCut):
            origin.progress(orders)
    (row,) = PgInvokes(engine).undecided(int(ports.deployed.chain_id, 16), MAKER_WALLET)
    assert nonce(ports) == row.nonce  # nothing was sent
    ports.node.sequencer.prices["l1_gas"] = 1  # an estimate is another one by now
    again = made(ports, service, invokes=PgInvokes(engine))
    seen = again.progress(orders)
    assert [p.proven_in for p in seen] == [row.hash] * 2
    assert settled(ports, again, orders) == [True] * 2
    assert nonce(ports) == row.nonce + 1
    engine.dispose()


def dies(self: StarknetWallet, node: StarknetNode, raw: bytes) -> RpcError | None:
    raise PowerCut


MAKER_WALLET: Any = f"0x{MAKER.address:064x}"


def test_blocks_reorged_out_on_starknet_get_the_same_bytes_in_order(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin, invokes: StoredInvokes
) -> None:
    orders = begun(ports, origin, paid(ports, 2))
    ports.mine_l2(1)
    shown = []
    for order in orders:
        shown += reported([order], origin.progress([order]))
        ports.mine_l2(1)
    assert [row.state for row in invokes.rows] == [TxState.MINED, TxState.STORED]
    for order in orders:  # facts of dropped blocks are gone too
        service.proven.discard(task_of(order))
    ports.node.reorg(2)
    for order in orders:
        prove(ports, service.queries[task_of(order)])
    for _ in range(2):
        seen = origin.progress(shown)
        assert [p.lost for p in seen] == [None] * 2
        ports.mine_l2(1)
    assert settled(ports, origin, shown) == [True] * 2
    assert len(invokes.rows) == 2
    assert len(service.tasks) == 2


def test_no_second_nonce_goes_out_before_the_first_is_decided(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin, invokes: StoredInvokes
) -> None:
    first, second = begun(ports, origin, paid(ports, 2))
    assert origin.progress([first])[0].proven_in
    for _ in range(3):
        assert "undecided" in str(origin.progress([second])[0].waits)
    assert len(invokes.rows) == 1
    ports.mine_l2(1)
    assert origin.progress([second])[0].proven_in
    assert [row.nonce for row in invokes.rows] == [0, 1]


def test_a_nonce_a_moment_old_loses_no_proof(
    ports: StarknetPorts,
    service: FakeProver,
    origin: StarknetOrigin,
    invokes: StoredInvokes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = begun(ports, origin, paid(ports, 2))
    origin.progress([first])
    ports.mine_l2(1)

    def stale(self: StarknetWallet, node: StarknetNode, at: str) -> int:
        return 0

    with monkeypatch.context() as patched:
        patched.setattr(StarknetWallet, "nonce", stale)
        for _ in range(3):
            assert origin.progress([second])[0].lost is None
    assert origin.progress([second])[0].proven_in
    assert len(service.tasks) == 2
    assert [row.nonce for row in invokes.rows] == [0, 1]


def test_a_price_that_rises_before_it_is_sent_replaces_it_at_its_nonce(
    ports: StarknetPorts,
    service: FakeProver,
    origin: StarknetOrigin,
    invokes: StoredInvokes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders = begun(ports, origin, paid(ports))
    with monkeypatch.context() as patched:
        patched.setattr(StarknetWallet, "broadcast", dies)
        with pytest.raises(PowerCut):
            origin.progress(orders)
    ports.node.sequencer.prices["l2_gas"] = 10**7
    (seen,) = origin.progress(orders)
    assert [(row.nonce, row.bump) for row in invokes.rows] == [(0, 0), (0, 1)]
    assert seen.proven_in == invokes.rows[1].hash
    assert settled(ports, origin, orders) == [True]
    (second,) = begun(ports, origin, paid(ports))
    origin.progress([second])
    assert [row.state for row in invokes.rows] == [
        TxState.REPLACED,
        TxState.MINED,
        TxState.STORED,
    ]


def test_an_account_without_strk_waits_and_sends_the_same_bytes_after_the_refill(
    ports: StarknetPorts, service: FakeProver, origin: StarknetOrigin, invokes: StoredInvokes
) -> None:
    orders = begun(ports, origin, paid(ports))
    ports.node.sequencer.prices["l2_gas"] = 10**22
    for _ in range(3):
        (seen,) = origin.progress(orders)
        assert "fund our Starknet account" in str(seen.waits)
    assert len(invokes.rows) == 1
    ports.node.store("balances", MAKER.address, value=10**40, of=STRK)
    (seen,) = origin.progress(orders)
    assert seen.proven_in == invokes.rows[0].hash


def test_a_pause_and_a_stranger_neither_halt_nor_buy_a_proof(
    ports: StarknetPorts,
    service: FakeProver,
    origin: StarknetOrigin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = Way(ports, origin)
    way.bridge = replace(way.bridge, rules=replace(way.bridge.rules, l1_finality_blocks=0))
    keys = way.paid(12)
    steps.repay(way.bridge, keys, way.run)
    ports.pause()
    way.settle()
    assert {way.order(key).status for key in keys} == {Status.PROVING}
    assert all("is paused" in str(way.order(key).reason) for key in keys)
    ports.node.store("paused", value=0)
    send, spoiled = StarknetWallet.broadcast, [way.order(keys[0])]

    def later(self: StarknetWallet, node: StarknetNode, raw: bytes) -> RpcError | None:
        while spoiled:
            shown_by_stranger(ports, service, spoiled.pop())
        return send(self, node, raw)

    monkeypatch.setattr(StarknetWallet, "broadcast", later)
    for _ in range(14):
        way.settle()
        ports.mine_l2(1)
    way.settle()
    assert {way.order(key).status for key in keys} == {Status.COMPLETED}
    assert [way.store.errors.of(key) for key in keys] == [[]] * 12
    assert steps.guard(way.bridge, way.run) == []
    assert len(service.tasks) == 12
