"""What every `core.outbox.Chain` does."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mmbot_pipelines.core.errors import (
    Failure,
    InsufficientFunds,
    NonceTaken,
    RpcRefused,
    SimulationReverted,
)
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Account, Call, Fees, Signed, Transaction
from tests.ports.origin_memory import RECIPIENT
from tests.ports.port_harness import PortHarness, pay, send

UNKNOWN = TxHash("0x" + "ab" * 32)


def payment(value: int = 1, to: Address = RECIPIENT) -> Call:
    return Call(to=to, data=b"", value=Wei(value))


def signed(ports: PortHarness, call: Call, nonce: int, fees: Fees | None = None) -> Signed:
    fees = fees or ports.chain.fees()
    return ports.chain.sign(call, nonce=nonce, gas=Gas(300_000), fees=fees)


def row(ports: PortHarness, call: Call, tx: TxHash) -> Transaction:
    return Transaction(
        subject="zksync:0",
        purpose="transfer",
        attempt=1,
        chain_id=ports.chain.chain_id,
        wallet=ports.chain.wallet,
        nonce=0,
        hash=tx,
        raw=b"",
        call=call,
        gas=Gas(300_000),
        fees=ports.chain.fees(),
        stored_at=datetime.now(UTC),
    )


def test_head_is_the_block_just_mined(ports: PortHarness) -> None:
    before = ports.chain.head()
    ports.mine()
    after = ports.chain.head()
    assert after.number == before.number + 1
    assert after.hash != before.hash


def test_ceiling_covers_what_the_next_block_asks(ports: PortHarness) -> None:
    fees = ports.chain.fees()
    assert fees.ceiling >= fees.expected == fees.base + fees.priority
    assert fees.base > 0


def test_transaction_waits_in_the_pool_until_mined(ports: PortHarness) -> None:
    chain, first = ports.chain, ports.chain.nonce(pending=False)
    (tx,) = send(ports, [payment()])
    assert (chain.nonce(pending=False), chain.nonce(pending=True)) == (first, first + 1)
    assert chain.receipts([tx]) == [None]
    assert chain.known_by_node([tx, UNKNOWN]) == [True, False]
    ports.mine()
    assert chain.nonce(pending=False) == first + 1
    assert chain.known_by_node([tx]) == [True]


def test_wallet_loses_the_value_and_the_gas_to_the_wei(ports: PortHarness) -> None:
    before = ports.chain.balance()
    (tx,) = send(ports, [payment(12345)])
    ports.mine()
    (receipt,) = ports.chain.receipts([tx])
    assert receipt is not None
    assert receipt.succeeded
    assert (receipt.hash, receipt.block) == (tx, ports.chain.head())
    assert before - ports.chain.balance() == 12345 + receipt.gas_used * receipt.gas_price


def test_many_transactions_share_a_block(ports: PortHarness) -> None:
    hashes = send(ports, [payment(n) for n in range(60)])
    assert len(set(hashes)) == 60
    ports.mine()
    receipts = ports.chain.receipts([*hashes, UNKNOWN])
    assert receipts[60] is None
    assert {r.block for r in receipts[:60] if r} == {ports.chain.head()}
    assert [r.hash for r in receipts[:60] if r] == hashes


def test_no_questions_have_no_answers(ports: PortHarness) -> None:
    assert ports.chain.simulate([], ports.chain.fees()) == []
    assert ports.chain.broadcast([]) == []
    assert ports.chain.receipts([]) == []
    assert ports.chain.known_by_node([]) == []


def test_broadcasting_again_is_harmless(ports: PortHarness) -> None:
    once = signed(ports, payment(), ports.chain.nonce(pending=True))
    for _ in range(2):
        assert ports.chain.broadcast([once.raw]) == [None]
    ports.mine()
    before = ports.chain.balance()
    assert ports.chain.broadcast([once.raw]) == [None]
    ports.mine()
    assert ports.chain.balance() == before


def test_forgotten_transaction_can_be_sent_again(ports: PortHarness) -> None:
    once = signed(ports, payment(), ports.chain.nonce(pending=True))
    ports.chain.broadcast([once.raw])
    ports.drop(once.hash)
    assert ports.chain.known_by_node([once.hash]) == [False]
    assert ports.chain.broadcast([once.raw]) == [None]
    ports.mine()
    assert ports.chain.receipts([once.hash]) != [None]


def test_used_nonce_is_lost(ports: PortHarness) -> None:
    nonce = ports.chain.nonce(pending=True)
    send(ports, [payment(1)])
    ports.mine()
    late = signed(ports, payment(2), nonce)
    (failure,) = ports.chain.broadcast([late.raw])
    assert isinstance(failure, NonceTaken)


def test_replacement_at_the_same_fees_is_refused(ports: PortHarness) -> None:
    nonce, fees = ports.chain.nonce(pending=True), ports.chain.fees()
    first = signed(ports, payment(1), nonce, fees)
    assert ports.chain.broadcast([first.raw]) == [None]
    (failure,) = ports.chain.broadcast([signed(ports, payment(2), nonce, fees).raw])
    assert isinstance(failure, RpcRefused)
    dearer = replace(fees, priority=Wei(2 * fees.priority), ceiling=Wei(2 * fees.ceiling))
    replacement = signed(ports, payment(2), nonce, dearer)
    assert ports.chain.broadcast([replacement.raw]) == [None]
    ports.mine()
    assert ports.chain.receipts([first.hash]) == [None]
    assert ports.chain.receipts([replacement.hash]) != [None]


def test_one_refusal_stands_among_those_handed_over(ports: PortHarness) -> None:
    nonce = ports.chain.nonce(pending=True)
    costly = signed(ports, payment(2 * ports.chain.balance()), nonce + 1)
    raws = [signed(ports, payment(), nonce).raw, costly.raw]
    taken, refused = ports.chain.broadcast(raws)
    assert taken is None
    assert isinstance(refused, InsufficientFunds)


def test_estimate_is_enough_gas(ports: PortHarness) -> None:
    call = ports.registry.transfer(ports.set_orders(1)[0])
    (gas,) = ports.chain.simulate([call], ports.chain.fees())
    assert isinstance(gas, int)
    (tx,) = send(ports, [call], gas=gas)
    ports.mine()
    (receipt,) = ports.chain.receipts([tx])
    assert receipt is not None
    assert receipt.succeeded
    assert receipt.gas_used < gas <= receipt.gas_used * 13 // 10


def test_simulation_foresees_a_revert_beside_good_calls(ports: PortHarness) -> None:
    good = ports.set_orders(1)[0]
    bad = ports.set_orders(1, recipient=ports.rejecting)[0]
    calls = [ports.registry.transfer(order) for order in (bad, good)]
    reverts, fits = ports.chain.simulate(calls, ports.chain.fees())
    assert isinstance(reverts, SimulationReverted)
    assert "Transfer failed." in str(reverts)
    assert isinstance(fits, int)


def test_simulation_sees_an_empty_wallet(ports: PortHarness) -> None:
    (failure,) = ports.chain.simulate([payment(2 * ports.chain.balance())], ports.chain.fees())
    assert isinstance(failure, InsufficientFunds)


def test_reverted_transaction_costs_gas_and_gives_the_reason(ports: PortHarness) -> None:
    order = ports.set_orders(1, recipient=ports.rejecting)[0]
    call = ports.registry.transfer(order)
    before = ports.chain.balance()
    (tx,) = send(ports, [call])
    ports.mine()
    (receipt,) = ports.chain.receipts([tx])
    assert receipt is not None
    assert not receipt.succeeded
    assert before - ports.chain.balance() == receipt.gas_used * receipt.gas_price
    assert "Transfer failed." in ports.chain.revert_reason(row(ports, call, tx))


def test_second_payment_of_an_order_in_one_block_gives_the_reason_it_reverted(
    ports: PortHarness,
) -> None:
    call = ports.registry.transfer(ports.set_orders(1)[0])
    _, second = send(ports, [call, call])
    ports.mine()
    (receipt,) = ports.chain.receipts([second])
    assert receipt is not None
    assert not receipt.succeeded
    assert "Transfer already processed." in ports.chain.revert_reason(row(ports, call, second))


def test_reorg_takes_receipts_back(ports: PortHarness) -> None:
    order = ports.set_orders(1)[0]
    (tx,) = pay(ports, [order])
    head, nonce = ports.chain.head(), ports.chain.nonce(pending=False)
    ports.reorg_l1(1)
    assert ports.chain.receipts([tx]) == [None]
    assert ports.chain.head().number == head.number
    assert ports.chain.head().hash != head.hash
    assert ports.chain.nonce(pending=False) == nonce - 1


def test_simulation_does_not_count_what_waits_in_the_pool(ports: PortHarness) -> None:
    call = ports.registry.transfer(ports.set_orders(1)[0])
    send(ports, [call])
    (gas,) = ports.chain.simulate([call], ports.chain.fees())
    assert isinstance(gas, int)


def test_an_account_has_code_or_not(ports: PortHarness) -> None:
    (order,) = ports.set_orders(1)
    head = ports.chain.head().number
    assert ports.chain.has_code(ports.registry.transfer(order).to, head)
    assert not ports.chain.has_code(RECIPIENT, head)


def test_account_is_the_mined_nonce_and_the_balance_of_one_block(ports: PortHarness) -> None:
    chain = ports.chain
    nonce, balance = chain.nonce(pending=False), chain.balance()
    assert chain.account() == Account(nonce=nonce, balance=balance, block=chain.head())
    before = chain.account()
    (order,) = ports.set_orders(1)
    (tx,) = send(ports, [ports.registry.transfer(order)])
    assert chain.account() == before  # what waits is not mined
    ports.mine()
    (receipt,) = chain.receipts([tx])
    assert receipt is not None
    took = order.amount + receipt.gas_used * receipt.gas_price
    nonce, balance = before.nonce + 1, Wei(before.balance - took)
    assert chain.account() == Account(nonce=nonce, balance=balance, block=chain.head())


def test_a_block_that_was_reorged_out_is_not_there_any_more(ports: PortHarness) -> None:
    chain = ports.chain
    ports.mine()
    older = chain.head()
    ports.mine()
    newer = chain.head()
    assert chain.has_block(older)
    assert chain.has_block(newer)
    ports.reorg_l1(1)
    assert chain.has_block(older)
    assert not chain.has_block(newer)
    with pytest.raises(Failure):
        chain.has_block(replace(newer, number=newer.number + 1000))
