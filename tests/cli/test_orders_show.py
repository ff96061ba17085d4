"""mmbot orders show: the whole story of one order."""

import json
from dataclasses import replace
from datetime import timedelta

from mmbot_pipelines.adapters.db.bridge.figures import PgFigures
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.starknet.invoke_store import PgInvokes
from mmbot_pipelines.adapters.starknet.invokes import Invoke
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.cli.bridge.order_history import _transaction
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei, format_ether
from mmbot_pipelines.core.outbox import Block, Fees, Outcome, Receipt, TxState
from tests.bridge.orders import NOON, an_order
from tests.cli.command import Mmbot
from tests.cli.stored_orders import HASH, HOSTILE, WALLET, add, fail, send, step
from tests.ports.store_writes import a_batch, change, decide, held, note


def test_what_a_claim_goes_by_is_shown(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, an_order(7, origin="starknet"))
    (order,) = store.orders.get(["starknet:7"])
    claimed = replace(order, claim_ref="message 0x" + "ab" * 32)
    change(store, order, claimed, run_id="run-1", at=NOON)
    assert f"  claim      message 0x{'ab' * 32}" in mmbot("orders", "show", "starknet:7").out
    (row,) = json.loads(mmbot("orders", "--json").out)
    assert row["claim_ref"] == "message 0x" + "ab" * 32


def test_the_whole_history_of_an_order(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, an_order(7))
    order = step(store, store.orders.get(["zksync:7"])[0], Fact.ACCEPTED, 1)
    order = replace(fail(store, order, "SimulationReverted: no\nthanks"))
    order = change(store, order, order.with_failures_cleared(), run_id="run-hand", at=NOON)
    order, sent = send(store, order)
    receipt = Receipt(
        hash=HASH,
        succeeded=True,
        block=Block(77, "0x" + "07" * 32),
        gas_used=Gas(106_000),
        gas_price=Wei(10**9 + 1),
    )
    decide(
        store,
        Outcome(transaction=sent, state=TxState.MINED, receipt=receipt),
        order,
        order.after(Fact.MINED, at=NOON + timedelta(seconds=9)),
        run_id="run-receipts",
        at=NOON + timedelta(seconds=9, microseconds=123_456),
    )
    output = mmbot("orders", "show", "zksync:7")
    assert output.code == 0
    for part in (
        "zksync:7  FULFILLED",
        "0.01 ETH (10000000000000000 wei)",
        "recipient  0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "2026-11-20 12:00:00.000  seen, PENDING  run tick-1",
        "2026-11-20 12:00:01.000  PENDING -> PROCESSING  run run-1",
        "PROCESSING -> TRANSFERRING  run run-send",
        "2026-11-20 12:00:09.123  TRANSFERRING -> FULFILLED  run run-receipts",
        f"transaction {HASH}",
        "transfer 1, nonce 41, MINED in block 77",
        f"hash {HASH}",
        "gas used 106000 at 1.000000001 gwei, cost 0.000106000000106 ETH (106000000106000 wei)",
        "Errors (1)",
        "transfer: SimulationReverted  run run-x",
    ):
        assert part in output.out
    assert "      thanks" in output.out.splitlines()


def test_all_errors_are_reported(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, an_order(7))
    for number in range(250):
        fault = Fault(subject="zksync:7", step="scan", kind="Malformed", message=f"fault {number}.")
        note(store, fault, at=NOON, run_id="run")
    output = mmbot("orders", "show", "zksync:7")
    assert "Errors (250)" in output.out
    assert all(f"fault {number}." in output.out for number in range(250))


def test_a_transaction_that_is_not_mined_shows_what_it_may_cost(
    store: PgBridgeStore, mmbot: Mmbot
) -> None:
    add(store, an_order(7))
    send(store, step(store, store.orders.get(["zksync:7"])[0], Fact.ACCEPTED, 1))
    output = mmbot("orders", "show", "zksync:7")
    assert "STORED" in output.out
    assert (
        "gas limit 130000 at up to 2 gwei, at most 0.00026 ETH (260000000000000 wei)" in output.out
    )


def test_a_transaction_and_its_replacement_are_distinguished(
    store: PgBridgeStore, mmbot: Mmbot
) -> None:
    add(store, an_order(7))
    order, first = send(store, step(store, store.orders.get(["zksync:7"])[0], Fact.ACCEPTED, 1))
    second = replace(
        first,
        bump=1,
        hash=TxHash("0x" + "ff" * 32),
        fees=Fees(base=Wei(10**9), priority=Wei(1), ceiling=Wei(3 * 10**9)),
    )
    with held(store, 1, WALLET) as (_uow, lane):
        lane.add_replacement(second)
    undecided = mmbot("orders", "show", "zksync:7").out
    assert "transfer 1, nonce 41, STORED\n" in undecided
    assert "transfer 1, nonce 41, replacement 1, STORED\n" in undecided
    assert "at up to 2 gwei" in undecided
    assert "at up to 3 gwei" in undecided
    receipt = Receipt(
        hash=second.hash,
        succeeded=True,
        block=Block(77, "0x" + "07" * 32),
        gas_used=Gas(106_000),
        gas_price=Wei(10**9),
    )
    decide(
        store,
        Outcome(transaction=second, state=TxState.MINED, receipt=receipt, rivals=[first]),
        order,
        order.after(Fact.MINED, at=NOON, tx=second.hash),
        run_id="run-receipts",
        at=NOON,
    )
    decided = mmbot("orders", "show", "zksync:7").out
    assert "transfer 1, nonce 41, REPLACED\n" in decided
    assert "      cost nothing: another one of ours used its nonce\n" in decided
    assert "transfer 1, nonce 41, replacement 1, MINED in block 77\n" in decided
    assert "at most" not in decided


def test_text_from_a_chain_is_only_text(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, an_order(7))
    fail(store, store.orders.get(["zksync:7"])[0], HOSTILE)
    for arguments in (["orders"], ["orders", "show", "zksync:7"]):
        output = mmbot(*arguments)
        assert output.code == 0
        assert "[red]no[/red]" in output.out
        assert not {"\x1b", "\x07", "\u202e"} & set(output.out)


def test_an_order_that_does_not_exist(mmbot: Mmbot) -> None:
    output = mmbot("orders", "show", "zksync:7")
    assert (output.code, output.out) == (1, "")
    assert output.err.startswith("zksync:7: no such order (database: ")
    for key in ("nonsense", "zksync:" + "9" * 100):
        output = mmbot("orders", "show", key)
        assert (output.code, output.out) == (2, "")
        assert output.err.startswith("argument 1 is no order's key")


def test_what_showing_a_proof_cost_is_shown(
    store: PgBridgeStore, mmbot: Mmbot, database_url: str
) -> None:
    add(store, an_order(7, origin="starknet"))
    invokes = PgInvokes(connect(database_url))
    row = Invoke(
        chain_id=1,
        wallet=Address("0x0a"),
        nonce=4,
        hash=TxHash("0x" + "cd" * 32),
        raw=b"{}",
        subjects=("starknet:7", "starknet:8"),
        stored_at=NOON,
    )
    high = replace(row, nonce=9, hash=TxHash("0x" + "ef" * 32))
    invokes.store(high)
    invokes.decide(high, TxState.LOST, ahead_of=4)
    invokes.store(row)
    invokes.decide(row, TxState.MINED)
    output = mmbot("orders", "show", "starknet:7").out
    assert "cost not known yet" in output
    invokes.price(row, 25 * 10**14)
    output = mmbot("orders", "show", "starknet:7").out
    assert "L2 transactions (2)" in output
    assert "cost 0.0025 STRK (2500000000000000 fri), for 2 orders together" in output
    assert "given up, the account's next nonce was 4" in output
    (entry,) = PgReports(connect(database_url)).days(since=NOON)
    day = entry.figures
    assert day.starknet_fees == 25 * 10**14
    assert day.profit == 0
    figures = PgFigures(lambda: connect(database_url)).read()
    assert figures.starknet_fees_fri == 25 * 10**14


def test_each_order_of_a_batch_has_its_share_to_the_wei() -> None:
    batch = a_batch([an_order(number) for number in (1, 2, 3)], 5)
    mined = replace(
        batch, state=TxState.MINED, block=Block(9, "0x9"), gas_used=Gas(10), gas_price=Wei(1)
    )
    lines = [_transaction(mined, f"zksync:{number}")[-1] for number in (1, 2, 3)]
    assert lines == [
        f"shared by 3 orders: {format_ether(gas)} of the gas and {format_ether(value)} of the "
        "value are this order's"
        for gas, value in ((4, 0), (3, 1), (3, 2))
    ]
    alone = replace(mined, batch=())
    assert not any("shared" in line for line in _transaction(alone, "zksync:1"))


def test_a_program_reads_the_same_history(store: PgBridgeStore, mmbot: Mmbot) -> None:
    add(store, an_order(7))
    order = step(store, store.orders.get(["zksync:7"])[0], Fact.ACCEPTED, 1)
    fail(store, order, HOSTILE)
    send(store, store.orders.get(["zksync:7"])[0])
    output = mmbot("orders", "show", "zksync:7", "--json")
    shown = json.loads(output.out)
    assert (output.code, shown["key"], shown["status"]) == (0, "zksync:7", "TRANSFERRING")
    assert [entry["after"] for entry in shown["history"]][:2] == ["PENDING", "PROCESSING"]
    (row,) = shown["transactions"]
    assert (row["hash"], row["value_wei"], row["orders"]) == (HASH, str(10**16), ["zksync:7"])
    assert row["gas_cost_wei"] is None
    assert [entry["message"] for entry in shown["errors"]] == [HOSTILE]
    assert output.err.startswith("database: ")
