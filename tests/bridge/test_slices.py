"""Orders of one run go out in slices; what befalls one of a slice is nothing to its neighbours."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mmbot_pipelines.adapters.db.outbox import PgLane, PgOutbox
from mmbot_pipelines.adapters.evm.kms import KmsRefused, KmsUnavailable
from mmbot_pipelines.bridge import transitions
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import BATCH_SIZE, Work
from mmbot_pipelines.bridge.fill import UNPAID
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.reorg import relocate
from mmbot_pipelines.bridge.taking import take_orders
from mmbot_pipelines.bridge.transitions import record
from mmbot_pipelines.core.errors import Failure, InsufficientFunds, RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call, Fees, Outcome, Signed
from tests.bridge.harness import BridgeHarness
from tests.ports.chain_memory import ChainMemory
from tests.ports.store_writes import change, held

REJECTING = Address("0x00000000000000000000000000000000000000Fe")
MANY = BATCH_SIZE + 5


def nonces(harness: BridgeHarness) -> list[int]:
    return [row.nonce for row in harness.transactions()]


def subjects(harness: BridgeHarness) -> list[str]:
    return [row.subject for row in harness.transactions()]


def at_signature(
    monkeypatch: pytest.MonkeyPatch, harness: BridgeHarness, number: int, do: Callable[[], object]
) -> None:
    """Do something when so many transactions were signed."""
    left, sign = [number], harness.chain.sign

    def signing(call: Call, *, nonce: int, gas: Gas, fees: Fees) -> Signed:
        left[0] -= 1
        if left[0] == -1:
            do()
        return sign(call, nonce=nonce, gas=gas, fees=fees)

    monkeypatch.setattr(harness.chain, "sign", signing)


def failing(failure: Failure) -> Callable[[], None]:
    def fail() -> None:
        raise failure

    return fail


def counted(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[tuple[Any, ...]]:
    """Count the calls of a method."""
    calls: list[tuple[Any, ...]] = []
    method = getattr(owner, name)

    def counting(self: object, *args: Any, **more: Any) -> object:
        calls.append(args)
        return method(self, *args, **more)

    monkeypatch.setattr(owner, name, counting)
    return calls


def test_a_slice_holds_the_lane_once_and_is_broadcast_at_once(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds = counted(monkeypatch, PgOutbox, "lock_lane")
    stores = counted(monkeypatch, PgLane, "add")
    broadcasts = counted(monkeypatch, ChainMemory, "broadcast")
    keys = harness.set_and_detect(MANY)
    for step, status in (
        (harness.transfer, Status.TRANSFERRING),
        (harness.repay, Status.PROVING),
    ):
        step(keys)
        assert set(harness.statuses().values()) == {status}
        assert [len(calls) for calls in (holds, stores, broadcasts)] == [2, 2, 2]
        for calls in (holds, stores, broadcasts):
            calls.clear()
        harness.mine()
    assert nonces(harness) == list(range(2 * MANY))
    for key in keys:
        lines = [line for line in harness.logged if line.startswith(f"{key}: ")]
        assert [line.split()[1] for line in lines] == [
            "found",
            "accepted,",
            "transfer",
            "transfer",
            "repay",
            "repay",
        ]
        statuses = [entry.after for entry in harness.store.orders.history(key)]
        assert statuses == [*list(Status)[:6]]


def test_what_was_lost_to_another_run_leaves_no_gap(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(MANY)
    simulate = harness.chain.simulate

    def meanwhile(calls: Sequence[Call], *more: Any) -> list[Gas | Failure]:
        harness.chain.simulate = simulate
        for key in keys[:2]:
            order = harness.order(key)
            dropped = order.after(Fact.REFUSED, at=harness.now)
            change(harness.store, order, dropped, run_id="other", at=harness.now)
        return simulate(calls, *more)

    harness.chain.simulate = meanwhile
    harness.transfer(keys)
    assert subjects(harness) == keys[2:]
    assert nonces(harness) == list(range(MANY - 2))
    for key in keys[:2]:
        assert f"{key}: order changed concurrently by another run; skipped" in harness.logged


@pytest.mark.parametrize("question", ["simulate", "nonce"])
def test_an_order_that_only_got_another_block_is_taken_again_at_once(
    harness: BridgeHarness, question: str
) -> None:
    (key,) = harness.set_and_detect()
    assert [o.key for o in take_orders(harness.bridge, UNPAID, "zksync")] == [key]
    asked = getattr(harness.chain, question)

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        setattr(harness.chain, question, asked)
        order = harness.order(key)
        moved = replace(order, block=replace(order.block, hash="0x" + "ab" * 32))
        change(harness.store, order, moved, run_id="sensor", at=harness.now)
        return asked(*args, **kwargs)

    setattr(harness.chain, question, meanwhile)
    harness.transfer([key])
    assert subjects(harness) == []
    assert [o.key for o in take_orders(harness.bridge, UNPAID, "zksync")] == [key]
    harness.transfer([key])
    assert subjects(harness) == [key]


def test_an_order_that_a_sensor_relocated_first_is_taken_again_at_once(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (key,) = harness.set_and_detect()
    order = harness.order(key)
    early = replace(order, block=replace(order.block, hash="0x" + "ab" * 32))
    change(harness.store, order, early, run_id="sensor", at=harness.now)
    assert [o.key for o in take_orders(harness.bridge, UNPAID, "zksync")] == [key]

    def second(bridge: Bridge, run: Run, before: Order, after: Order, **more: Any) -> Order | None:
        change(harness.store, before, after, run_id="sensor", at=harness.now)
        return transitions.change(bridge, run, before, after, **more)

    monkeypatch.setattr(relocate, "change", second)
    harness.transfer([key])
    assert subjects(harness) == []
    assert [o.key for o in take_orders(harness.bridge, UNPAID, "zksync")] == [key]


def test_an_order_whose_single_step_lost_a_race_is_taken_again_at_once(
    harness: BridgeHarness,
) -> None:
    (key,) = harness.set_and_detect()
    (order,) = take_orders(harness.bridge, UNPAID, "zksync")
    moved = replace(order, block=replace(order.block, hash="0x" + "ab" * 32))
    change(harness.store, order, moved, run_id="sensor", at=harness.now)
    work = Work(harness.bridge, harness.run, "transfer")
    assert work.advance(order, Fact.REFUSED, reason="its fee is too low") is None
    work.finish()
    assert [o.key for o in take_orders(harness.bridge, UNPAID, "zksync")] == [key]


def test_an_attempt_that_has_its_transaction_keeps_no_neighbour(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(MANY)
    harness.transfer(keys[3:4])
    harness.mine()
    paid = harness.order(keys[3])
    # as no step of the bot does it: without a new attempt
    again = replace(paid, status=Status.PROCESSING, transfer_tx=None)
    change(harness.store, paid, again, run_id="bug", at=harness.now)
    used, harness.registry.used = harness.registry.used, lambda orders: [False] * len(orders)
    simulate = harness.chain.simulate
    harness.chain.simulate = lambda calls, *_: [Gas(100_000)] * len(calls)
    harness.transfer(keys)
    harness.registry.used, harness.chain.simulate = used, simulate
    assert sorted(subjects(harness)) == sorted(keys)
    assert sorted(nonces(harness)) == list(range(MANY))
    assert any(f"{keys[3]}: transfer 1 or nonce" in line for line in harness.logged)
    harness.mine()
    assert [harness.paid(key) for key in keys] == [1] * MANY


def test_a_refused_simulation_keeps_no_neighbour(harness: BridgeHarness) -> None:
    harness.registry.rejecting.add(REJECTING)
    good = harness.set_and_detect(10)
    bad = harness.set_and_detect(3, recipient=REJECTING)
    good += harness.set_and_detect(10)
    harness.failing(lambda: harness.transfer([*good, *bad]))
    assert subjects(harness) == good
    assert all(harness.order(key).is_parked for key in bad)


def test_a_cap_holds_to_the_wei_across_slices(harness: BridgeHarness) -> None:
    harness.rules(caps=replace(harness.bridge.rules.caps, exposure=Wei((MANY - 2) * 10**16)))
    keys = harness.set_and_detect(MANY + 3)
    harness.transfer(keys)
    assert subjects(harness) == keys[: MANY - 2]
    assert harness.store.orders.exposure() == (MANY - 2) * 10**16
    waiting = [harness.order(key).reason for key in keys[MANY - 2 :]]
    assert waiting == ["waiting: MMBOT_MAX_EXPOSURE_WEI reached"] * 5


def test_a_wallet_that_has_enough_for_some_pays_these(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(5)
    harness.chain.endowment = 4 * 10**16 - 1  # three transfers, and what they and claims cost
    harness.transfer(keys)
    assert subjects(harness) == keys[:3]
    reasons = {harness.order(key).reason for key in keys[3:]}
    assert reasons == {InsufficientFunds.reason}


def test_what_the_signer_refuses_keeps_no_neighbour(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = harness.set_and_detect(5)
    at_signature(monkeypatch, harness, 2, failing(KmsRefused("no")))
    message = harness.failing(lambda: harness.transfer(keys))
    assert message.startswith(f"transfer: 1 order failed\n{keys[2]}: KmsRefused: no")
    assert subjects(harness) == [*keys[:2], *keys[3:]]
    assert nonces(harness) == [0, 1, 2, 3]


def test_what_is_signed_goes_out_when_the_signer_goes_away(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = harness.set_and_detect(5)
    holds = counted(monkeypatch, PgOutbox, "lock_lane")

    def go_away() -> None:
        monkeypatch.setattr(harness.chain, "sign", lambda *_, **__: failing(KmsUnavailable("x"))())
        raise KmsUnavailable("gone")

    at_signature(monkeypatch, harness, 2, go_away)
    harness.failing(lambda: harness.transfer(keys))
    assert len(holds) == 2  # who signs for another order waits no longer than that
    assert subjects(harness) == keys[:2]
    for key in keys[2:]:
        order = harness.order(key)
        assert (order.status, order.failed) == (Status.PROCESSING, False)


def test_a_database_that_goes_away_in_the_lane_sends_nothing(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = harness.set_and_detect(5)

    def gone(*_: object) -> None:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(PgLane, "add", gone)
        harness.failing(lambda: harness.transfer(keys))
    assert (subjects(harness), harness.chain.broadcasts) == ([], [])
    harness.transfer(keys)
    assert subjects(harness) == keys
    with held(harness.store, harness.chain.chain_id, harness.chain.wallet) as (_, lane):
        assert lane.next_nonce(0) == 5


def test_receipts_of_a_slice_are_stored_in_one_go(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = harness.set_and_detect(MANY)
    harness.transfer(keys)
    stored = counted(monkeypatch, PgOutbox, "decide")
    harness.mine()
    assert [len(decided) for (decided,) in stored] == [BATCH_SIZE, MANY - BATCH_SIZE]
    assert set(harness.statuses().values()) == {Status.FULFILLED}
    mined = [line for line in harness.logged if line.endswith("now FULFILLED")]
    assert [line.split(":")[1] for line in mined] == [key.split(":")[1] for key in keys]


def test_a_claim_is_stored_behind_the_transfer_that_is_mined_with_it(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.rules(claim_with_transfer=True)
    first = harness.set_and_detect()
    for step in (harness.transfer, harness.repay):  # no claim was mined before
        step(first)
        harness.mine()
    keys = harness.set_and_detect(MANY)
    harness.transfer(keys)
    stored = counted(monkeypatch, PgOutbox, "decide")
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.PROVED}
    assert sum(len(decided) for (decided,) in stored) == 2 * MANY
    assert len(stored) == 4
    for key in keys:
        statuses = [entry.after for entry in harness.store.orders.history(key)]
        assert statuses[-3:] == [Status.TRANSFERRING, Status.FULFILLED, Status.PROVED]


def test_a_receipt_that_another_run_was_first_with_keeps_no_neighbour(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = harness.set_and_detect(5)
    harness.transfer(keys)
    harness.chain.mine()
    decide, other, stored = PgOutbox.decide, keys[2], list[int]()

    def count(outbox: PgOutbox, decided: Sequence[Outcome]) -> None:
        stored.append(len(decided))
        decide(outbox, decided)

    def late(outbox: PgOutbox, decided: Sequence[Outcome]) -> None:
        monkeypatch.setattr(PgOutbox, "decide", count)
        row = next(o for o in decided if o.transaction.subject == other)
        order = harness.order(other)
        paid = order.after(Fact.MINED, at=harness.now, tx=order.transfer_tx)
        with harness.store.begin() as uow:
            uow.outbox.decide([row])
            record(uow, order, paid, run_id="other", at=harness.now, tx=order.transfer_tx)
        stored.clear()
        count(outbox, decided)

    monkeypatch.setattr(PgOutbox, "decide", late)
    harness.look()
    assert set(harness.statuses().values()) == {Status.FULFILLED}
    assert stored == [5, 4]
    assert f"{other}: receipt processed concurrently by another run; skipped" in harness.logged
    assert [entry.run_id for entry in harness.store.orders.history(other)][-1] == "other"


def test_a_node_that_goes_away_keeps_no_receipt_that_it_gave(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(3)
    harness.transfer(keys)
    late = harness.set_and_detect(amount=10**15)
    harness.chain.refuse(lambda call: call.value == 10**15, "no", foreseen=False)
    harness.transfer(late)
    harness.chain.mine()

    def gone(_: object) -> str:
        raise RpcUnavailable("gone")

    harness.chain.revert_reason = gone
    with pytest.raises(RpcUnavailable):
        harness.look()
    assert {harness.order(key).status for key in keys} == {Status.FULFILLED}
    assert harness.order(late[0]).status is Status.TRANSFERRING
