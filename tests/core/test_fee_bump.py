"""Which transactions are in the way, and what takes their place."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.fee_bump import blocking, bump_fees, is_priced_out, replacement_fees
from mmbot_pipelines.core.money import Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Fees, Transaction, by_nonce, max_total_cost
from tests.bridge.orders import NOON
from tests.ports.chain_memory import WALLET
from tests.ports.store_writes import later

PRICES = st.integers(0, 10**15).map(Wei)


def fees(base: int, priority: int, ceiling: int | None = None) -> Fees:
    ceiling = 2 * base + priority if ceiling is None else ceiling
    return Fees(base=Wei(base), priority=Wei(priority), ceiling=Wei(ceiling))


MARKET = fees(1000, 100)


def a_row(nonce: int, bump: int = 0, *, age: float = 0, ceiling: int = 2100) -> Transaction:
    return Transaction(
        subject=f"zksync:{nonce}",
        purpose="transfer",
        attempt=1,
        bump=bump,
        chain_id=1,
        wallet=WALLET,
        nonce=nonce,
        hash=TxHash(f"0x{nonce:032x}{bump:032x}"),
        raw=b"",
        call=Call(to=WALLET, data=b"", value=Wei(10)),
        gas=Gas(100),
        fees=fees(1000, 100, ceiling),
        stored_at=NOON - later(age),
    )


def stuck(*rows: Transaction) -> list[tuple[int, int]]:
    found = blocking(rows, MARKET, at=NOON, after_seconds=60)
    return [(group[0].nonce, len(group)) for group in found]


def test_what_is_young_and_priced_high_enough_is_not_stuck() -> None:
    assert stuck(a_row(1), a_row(2, age=60)) == []


def test_of_the_old_ones_only_the_lowest_is_stuck() -> None:
    assert stuck(a_row(3), a_row(1, age=61), a_row(2, age=99), a_row(4, age=99)) == [(1, 1)]


def test_those_above_a_stuck_one_are_too_while_no_block_takes_them() -> None:
    assert stuck(a_row(1, age=61), a_row(2, ceiling=800), a_row(3), a_row(4, ceiling=1)) == [
        (1, 1),
        (2, 1),
    ]
    assert stuck(a_row(1), a_row(2, ceiling=800)) == []


def test_the_more_often_a_nonce_was_replaced_the_longer_it_waits() -> None:
    rows = [a_row(1, bump, age=121) for bump in range(22)]
    assert stuck(*rows[:21]) == [(1, 21)]
    assert stuck(*rows) == [(1, 22)]
    assert stuck(*rows[:-1], a_row(1, 21, age=119)) == []


def test_a_young_one_that_no_block_takes_is_stuck() -> None:
    assert stuck(a_row(1, ceiling=800), a_row(2)) == [(1, 1)]


def test_the_newest_of_a_nonce_speaks_for_it() -> None:
    assert stuck(a_row(1, age=99, ceiling=1), a_row(1, bump=1)) == []
    assert stuck(a_row(1, age=99), a_row(1, bump=1, age=61)) == [(1, 2)]


def test_priced_out_is_below_the_base_fee_of_now() -> None:
    market = fees(1125, 100)  # the newest block asked 1000
    assert is_priced_out(fees(1, 1, 999), market)
    assert not is_priced_out(fees(1, 1, 1000), market)


@given(PRICES, PRICES, PRICES, PRICES, st.integers(0, 10**16))
def test_bumped_fees_replace_and_stay_below_the_max(
    base: int, priority: int, ceiling: int, now: int, max_fee_per_gas: int
) -> None:
    signed, market = fees(base, priority, ceiling), fees(now, priority // 2)
    new = bump_fees(signed, market, max_fee_per_gas)
    if new is None:
        return
    assert 10 * new.ceiling >= 11 * signed.ceiling
    assert 10 * new.priority >= 11 * signed.priority
    assert new.ceiling > signed.ceiling
    assert new.priority > signed.priority
    assert market.priority <= new.priority <= new.ceiling
    assert market.base <= new.ceiling <= min(max_fee_per_gas, 10 * market.ceiling)


def test_raised_follows_the_market() -> None:
    assert bump_fees(fees(100, 10), MARKET, 10**9) == MARKET
    assert bump_fees(MARKET, MARKET, 10**9) == replace(MARKET, priority=Wei(113), ceiling=Wei(2363))


@pytest.mark.parametrize("max_fee_per_gas", [0, 999, 2362])
def test_too_little_money_raises_nothing(max_fee_per_gas: int) -> None:
    assert bump_fees(MARKET, MARKET, max_fee_per_gas) is None


def test_less_than_the_market_is_signed_where_it_still_replaces() -> None:
    new = bump_fees(fees(500, 50), MARKET, 1500)
    assert new == replace(MARKET, priority=Wei(100), ceiling=Wei(1500))


def test_ten_times_the_market_is_enough() -> None:
    assert bump_fees(fees(1000, 100, 20_000), MARKET, 10**9) is None


def absurd(nonce: int = 1, bump: int = 0, ceiling: int = 10**12) -> Transaction:
    return replace(a_row(nonce, bump, ceiling=ceiling), fees=fees(1000, 10**6, ceiling))


def test_what_no_node_took_does_not_bind_its_replacement() -> None:
    assert replacement_fees([absurd()], set(), MARKET, 10**9) == MARKET
    assert replacement_fees([absurd()], {absurd().hash}, MARKET, 10**9) is None


def test_what_a_pool_has_is_outbid_below_what_it_never_had() -> None:
    rows = [a_row(1, ceiling=1600), absurd(bump=1)]
    new = replacement_fees(rows, {rows[0].hash}, MARKET, 10**9)
    assert new == replace(MARKET, priority=Wei(113), ceiling=Wei(2100))


def test_the_markets_price_is_signed_only_once() -> None:
    at_market = [a_row(1), a_row(1, 1, ceiling=2363)]
    assert replacement_fees(at_market[:1], set(), MARKET, 10**9) == bump_fees(MARKET, MARKET, 10**9)
    assert replacement_fees(at_market[:1], set(), MARKET, 2200) is None


def test_rows_of_one_nonce_cost_only_once() -> None:
    cheap, costly, other = a_row(1), a_row(1, bump=1, ceiling=5000), a_row(2)
    assert max_total_cost([other, costly, cheap]) == costly.max_cost + other.max_cost
    assert by_nonce([other, costly, cheap]) == [[cheap, costly], [other]]
