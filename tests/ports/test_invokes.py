"""Transactions of a Starknet account: one nonce undecided at a time, for all callers."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mmbot_pipelines.adapters.starknet.invoke_store import PgInvokes
from mmbot_pipelines.adapters.starknet.invokes import Invoke, Invokes
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import TxState
from tests.postgres import clean_engine

CHAIN, WALLET = 2**200, Address("0x" + "0a" * 32)


@pytest.fixture
def invokes() -> Invokes:
    return PgInvokes(clean_engine())


def invoke(nonce: int, bump: int = 0, *subjects: str) -> Invoke:
    return Invoke(
        chain_id=CHAIN,
        wallet=WALLET,
        nonce=nonce,
        bump=bump,
        hash=TxHash(f"0x{nonce:032x}{bump:032x}"),
        raw=b'{"nonce":"0x0"}\x00',
        subjects=subjects or ("starknet:0",),
        stored_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_what_is_stored_comes_back_as_it_was(invokes: Invokes) -> None:
    assert invokes.newest(CHAIN, WALLET) is None
    assert invokes.undecided(CHAIN, WALLET) == []
    row = invoke(0, 0, "starknet:1", "starknet:2")
    invokes.store(row)
    assert invokes.undecided(CHAIN, WALLET) == [row]
    assert invokes.newest(CHAIN, WALLET) == row
    assert invokes.undecided(CHAIN, Address("0x" + "0b" * 32)) == []
    assert invokes.undecided(CHAIN + 1, WALLET) == []


def test_no_second_nonce_goes_out_before_the_first_is_decided(invokes: Invokes) -> None:
    invokes.store(invoke(0))
    with pytest.raises(ConcurrentUpdate):
        invokes.store(invoke(1))
    with pytest.raises(ConcurrentUpdate):
        invokes.store(replace(invoke(0), hash=TxHash("0xab")))
    invokes.decide(invoke(0), TxState.MINED)
    with pytest.raises(ConcurrentUpdate):
        invokes.store(invoke(0, 1))  # used
    invokes.store(invoke(1))
    assert [r.nonce for r in invokes.undecided(CHAIN, WALLET)] == [1]


@pytest.mark.parametrize(
    ("state", "others"), [(TxState.MINED, TxState.REPLACED), (TxState.LOST, TxState.LOST)]
)
def test_those_that_share_a_nonce_are_decided_together(
    invokes: Invokes, state: TxState, others: TxState
) -> None:
    first, second = invoke(4, 0), invoke(4, 1)
    invokes.store(first)
    invokes.store(second)
    assert invokes.undecided(CHAIN, WALLET) == [first, second]
    invokes.decide(first, state)
    assert invokes.undecided(CHAIN, WALLET) == []
    assert invokes.newest(CHAIN, WALLET) == replace(second, state=others)
    with pytest.raises(ConcurrentUpdate):
        invokes.decide(first, state)


def test_reverted_ones_are_found_by_their_subjects(invokes: Invokes) -> None:
    rows = [invoke(0, 0, "a", "b"), invoke(1, 0, "b"), invoke(2, 0, "c")]
    for row, state in zip(rows, [TxState.REVERTED, TxState.REVERTED, TxState.MINED], strict=True):
        invokes.store(row)
        invokes.decide(row, state)
    assert [r.nonce for r in invokes.reverted(["b"])] == [0, 1]
    assert [r.nonce for r in invokes.reverted(["a", "c"])] == [0]
    assert invokes.reverted([]) == []


def test_what_a_reorg_removed_is_undecided_again(invokes: Invokes) -> None:
    for nonce in range(3):
        invokes.store(invoke(nonce))
        invokes.decide(invoke(nonce), TxState.MINED)
    invokes.reopen(CHAIN, WALLET, 1)
    assert [r.nonce for r in invokes.undecided(CHAIN, WALLET)] == [1, 2]
    with pytest.raises(ConcurrentUpdate):
        invokes.store(invoke(3))


def test_one_given_up_as_too_high_holds_nobody_and_is_decided_with_its_nonce(
    invokes: Invokes,
) -> None:
    high = invoke(9)
    invokes.store(high)
    invokes.decide(high, TxState.LOST, ahead_of=4)
    lost = replace(high, state=TxState.LOST, ahead_of=4)
    assert invokes.newest(CHAIN, WALLET) is None
    assert invokes.too_high(CHAIN, WALLET) == [lost]
    assert invokes.lost([high.hash, TxHash("0xab")]) == {high.hash}
    invokes.reopen(CHAIN, WALLET, 0)
    invokes.revive(CHAIN, WALLET, 9)
    assert invokes.undecided(CHAIN, WALLET) == []
    invokes.store(invoke(4))
    invokes.decide(invoke(4), TxState.MINED)
    with pytest.raises(ConcurrentUpdate):
        invokes.store(replace(high, hash=TxHash("0xab")))  # its bump is taken
    invokes.store(invoke(9, 1))
    assert invokes.undecided(CHAIN, WALLET) == [high, invoke(9, 1)]
    assert invokes.too_high(CHAIN, WALLET) == []
    invokes.decide(high, TxState.MINED)
    assert invokes.newest(CHAIN, WALLET) == replace(invoke(9, 1), state=TxState.REPLACED)


def test_one_given_up_as_too_high_is_undecided_again_once_its_nonce_is_used(
    invokes: Invokes,
) -> None:
    invokes.store(invoke(9))
    invokes.decide(invoke(9), TxState.LOST, ahead_of=4)
    invokes.revive(CHAIN, WALLET, 10)
    assert invokes.undecided(CHAIN, WALLET) == [invoke(9)]


def test_the_fee_of_what_was_executed_is_written_once(invokes: Invokes) -> None:
    invokes.store(invoke(0, 0, "a", "b"))
    assert invokes.unpriced(CHAIN, WALLET, max_rows=9) == []
    invokes.decide(invoke(0), TxState.REVERTED)
    (row,) = invokes.unpriced(CHAIN, WALLET, max_rows=9)
    invokes.price(row, 2**100)
    assert [r.fee for r in invokes.of(["b"])] == [2**100]
    with pytest.raises(ConcurrentUpdate):
        invokes.price(row, 5)
    assert invokes.unpriced(CHAIN, WALLET, max_rows=9) == []
    invokes.reopen(CHAIN, WALLET, 0)
    with pytest.raises(ConcurrentUpdate):
        invokes.price(row, 5)
    assert invokes.of(["c"]) == []
