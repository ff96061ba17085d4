"""What every `core.outbox.Chain` does."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mmbot_pipelines.core.errors import Failure, Lost, OutOfFunds, RevertForeseen, RpcRefused
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Account, Call, Fees, Signed, Transaction
from tests.ports.origin_memory import RECIPIENT
from tests.ports.stages import Stage, pay, send

UNKNOWN = TxHash("0x" + "ab" * 32)


def payment(value: int = 1, to: Address = RECIPIENT) -> Call:
    return Call(to=to, data=b"", value=Wei(value))


def signed(stage: Stage, call: Call, nonce: int, fees: Fees | None = None) -> Signed:
    fees = fees or stage.chain.fees()
    return stage.chain.sign(call, nonce=nonce, gas=Gas(300_000), fees=fees)


def row(stage: Stage, call: Call, tx: TxHash) -> Transaction:
    return Transaction(
        subject="zksync:0",
        purpose="transfer",
        attempt=1,
        chain_id=stage.chain.chain_id,
        wallet=stage.chain.wallet,
        nonce=0,
        hash=tx,
        raw=b"",
        call=call,
        gas=Gas(300_000),
        fees=stage.chain.fees(),
        stored_at=datetime.now(UTC),
    )


def test_head_is_the_block_just_mined(stage: Stage) -> None:
    before = stage.chain.head()
    stage.mine()
    after = stage.chain.head()
    assert after.number == before.number + 1
    assert after.hash != before.hash


def test_ceiling_covers_what_the_next_block_asks(stage: Stage) -> None:
    fees = stage.chain.fees()
    assert fees.ceiling >= fees.expected == fees.base + fees.priority
    assert fees.base > 0


def test_transaction_waits_in_the_pool_until_mined(stage: Stage) -> None:
    chain, first = stage.chain, stage.chain.nonce(pending=False)
    (tx,) = send(stage, [payment()])
    assert (chain.nonce(pending=False), chain.nonce(pending=True)) == (first, first + 1)
    assert chain.receipts([tx]) == [None]
    assert chain.knows([tx, UNKNOWN]) == [True, False]
    stage.mine()
    assert chain.nonce(pending=False) == first + 1
    assert chain.knows([tx]) == [True]


def test_wallet_loses_the_value_and_the_gas_to_the_wei(stage: Stage) -> None:
    before = stage.chain.balance()
    (tx,) = send(stage, [payment(12345)])
    stage.mine()
    (receipt,) = stage.chain.receipts([tx])
    assert receipt is not None
    assert receipt.succeeded
    assert (receipt.hash, receipt.block) == (tx, stage.chain.head())
    assert before - stage.chain.balance() == 12345 + receipt.gas_used * receipt.gas_price


def test_many_transactions_share_a_block(stage: Stage) -> None:
    hashes = send(stage, [payment(n) for n in range(60)])
    assert len(set(hashes)) == 60
    stage.mine()
    receipts = stage.chain.receipts([*hashes, UNKNOWN])
    assert receipts[60] is None
    assert {r.block for r in receipts[:60] if r} == {stage.chain.head()}
    assert [r.hash for r in receipts[:60] if r] == hashes


def test_no_questions_have_no_answers(stage: Stage) -> None:
    assert stage.chain.simulate([], stage.chain.fees()) == []
    assert stage.chain.broadcast([]) == []
    assert stage.chain.receipts([]) == []
    assert stage.chain.knows([]) == []


def test_broadcasting_again_is_harmless(stage: Stage) -> None:
    once = signed(stage, payment(), stage.chain.nonce(pending=True))
    for _ in range(2):
        assert stage.chain.broadcast([once.raw]) == [None]
    stage.mine()
    before = stage.chain.balance()
    assert stage.chain.broadcast([once.raw]) == [None]
    stage.mine()
    assert stage.chain.balance() == before


def test_forgotten_transaction_can_be_sent_again(stage: Stage) -> None:
    once = signed(stage, payment(), stage.chain.nonce(pending=True))
    stage.chain.broadcast([once.raw])
    stage.drop(once.hash)
    assert stage.chain.knows([once.hash]) == [False]
    assert stage.chain.broadcast([once.raw]) == [None]
    stage.mine()
    assert stage.chain.receipts([once.hash]) != [None]


def test_used_nonce_is_lost(stage: Stage) -> None:
    nonce = stage.chain.nonce(pending=True)
    send(stage, [payment(1)])
    stage.mine()
    late = signed(stage, payment(2), nonce)
    (failure,) = stage.chain.broadcast([late.raw])
    assert isinstance(failure, Lost)


def test_replacement_at_the_same_fees_is_refused(stage: Stage) -> None:
    nonce, fees = stage.chain.nonce(pending=True), stage.chain.fees()
    first = signed(stage, payment(1), nonce, fees)
    assert stage.chain.broadcast([first.raw]) == [None]
    (failure,) = stage.chain.broadcast([signed(stage, payment(2), nonce, fees).raw])
    assert isinstance(failure, RpcRefused)
    dearer = replace(fees, priority=Wei(2 * fees.priority), ceiling=Wei(2 * fees.ceiling))
    replacement = signed(stage, payment(2), nonce, dearer)
    assert stage.chain.broadcast([replacement.raw]) == [None]
    stage.mine()
    assert stage.chain.receipts([first.hash]) == [None]
    assert stage.chain.receipts([replacement.hash]) != [None]


def test_one_refusal_stands_among_those_handed_over(stage: Stage) -> None:
    nonce = stage.chain.nonce(pending=True)
    dear = signed(stage, payment(2 * stage.chain.balance()), nonce + 1)
    raws = [signed(stage, payment(), nonce).raw, dear.raw]
    taken, refused = stage.chain.broadcast(raws)
    assert taken is None
    assert isinstance(refused, OutOfFunds)


def test_estimate_is_enough_gas(stage: Stage) -> None:
    call = stage.registry.transfer(stage.set_orders(1)[0])
    (gas,) = stage.chain.simulate([call], stage.chain.fees())
    assert isinstance(gas, int)
    (tx,) = send(stage, [call], gas=gas)
    stage.mine()
    (receipt,) = stage.chain.receipts([tx])
    assert receipt is not None
    assert receipt.succeeded
    assert receipt.gas_used < gas <= receipt.gas_used * 13 // 10


def test_simulation_foresees_a_revert_beside_good_calls(stage: Stage) -> None:
    good = stage.set_orders(1)[0]
    bad = stage.set_orders(1, recipient=stage.rejecting)[0]
    calls = [stage.registry.transfer(order) for order in (bad, good)]
    reverts, fits = stage.chain.simulate(calls, stage.chain.fees())
    assert isinstance(reverts, RevertForeseen)
    assert "Transfer failed." in str(reverts)
    assert isinstance(fits, int)


def test_simulation_sees_an_empty_wallet(stage: Stage) -> None:
    (failure,) = stage.chain.simulate([payment(2 * stage.chain.balance())], stage.chain.fees())
    assert isinstance(failure, OutOfFunds)


def test_reverted_transaction_costs_gas_and_tells_why(stage: Stage) -> None:
    order = stage.set_orders(1, recipient=stage.rejecting)[0]
    call = stage.registry.transfer(order)
    before = stage.chain.balance()
    (tx,) = send(stage, [call])
    stage.mine()
    (receipt,) = stage.chain.receipts([tx])
    assert receipt is not None
    assert not receipt.succeeded
    assert before - stage.chain.balance() == receipt.gas_used * receipt.gas_price
    assert "Transfer failed." in stage.chain.revert_reason(row(stage, call, tx))


def test_second_payment_of_an_order_in_one_block_tells_why_it_reverted(stage: Stage) -> None:
    call = stage.registry.transfer(stage.set_orders(1)[0])
    _, second = send(stage, [call, call])
    stage.mine()
    (receipt,) = stage.chain.receipts([second])
    assert receipt is not None
    assert not receipt.succeeded
    assert "Transfer already processed." in stage.chain.revert_reason(row(stage, call, second))


def test_reorg_takes_receipts_back(stage: Stage) -> None:
    order = stage.set_orders(1)[0]
    (tx,) = pay(stage, [order])
    head, nonce = stage.chain.head(), stage.chain.nonce(pending=False)
    stage.reorg_l1(1)
    assert stage.chain.receipts([tx]) == [None]
    assert stage.chain.head().number == head.number
    assert stage.chain.head().hash != head.hash
    assert stage.chain.nonce(pending=False) == nonce - 1


def test_simulation_does_not_count_what_waits_in_the_pool(stage: Stage) -> None:
    call = stage.registry.transfer(stage.set_orders(1)[0])
    send(stage, [call])
    (gas,) = stage.chain.simulate([call], stage.chain.fees())
    assert isinstance(gas, int)


def test_an_account_has_code_or_not(stage: Stage) -> None:
    (order,) = stage.set_orders(1)
    head = stage.chain.head().number
    assert stage.chain.has_code(stage.registry.transfer(order).to, head)
    assert not stage.chain.has_code(RECIPIENT, head)


def test_account_is_the_mined_nonce_and_the_balance_of_one_block(stage: Stage) -> None:
    chain = stage.chain
    nonce, balance = chain.nonce(pending=False), chain.balance()
    assert chain.account() == Account(nonce=nonce, balance=balance, block=chain.head())
    before = chain.account()
    (order,) = stage.set_orders(1)
    (tx,) = send(stage, [stage.registry.transfer(order)])
    assert chain.account() == before  # what waits is not mined
    stage.mine()
    (receipt,) = chain.receipts([tx])
    assert receipt is not None
    took = order.amount + receipt.gas_used * receipt.gas_price
    nonce, balance = before.nonce + 1, Wei(before.balance - took)
    assert chain.account() == Account(nonce=nonce, balance=balance, block=chain.head())


def test_a_block_that_was_taken_back_is_not_there_any_more(stage: Stage) -> None:
    chain = stage.chain
    stage.mine()
    older = chain.head()
    stage.mine()
    newer = chain.head()
    assert chain.has_block(older)
    assert chain.has_block(newer)
    stage.reorg_l1(1)
    assert chain.has_block(older)
    assert not chain.has_block(newer)
    with pytest.raises(Failure):
        chain.has_block(replace(newer, number=newer.number + 1000))
