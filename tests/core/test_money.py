"""Amounts as text, and shared."""

from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.money import UINT256_MAX, format_ether, format_gwei, shares


def test_amounts_are_formatted_in_eth_and_wei() -> None:
    assert format_ether(0) == "0 ETH (0 wei)"
    assert format_ether(1) == "0.000000000000000001 ETH (1 wei)"
    assert format_ether(10**17) == "0.1 ETH (100000000000000000 wei)"
    assert format_ether(-(10**18)) == "-1 ETH (-1000000000000000000 wei)"


@given(st.integers(0, UINT256_MAX))
def test_no_digit_of_an_amount_is_lost(wei: int) -> None:
    eth, _, rest = format_ether(wei).partition(" ETH (")
    whole, _, decimals = eth.partition(".")
    assert int(whole) * 10**18 + int(decimals.ljust(18, "0") or 0) == wei
    assert rest == f"{wei} wei)"


def test_gas_prices_are_formatted_in_gwei() -> None:
    assert format_gwei(1_500_000_000) == "1.5 gwei"
    assert format_gwei(7) == "0.000000007 gwei"
    assert format_gwei(100 * 10**9) == "100 gwei"


@given(total=st.integers(0, 2**256), count=st.integers(1, 100))
def test_shares_add_up_to_the_whole_and_differ_by_a_wei(total: int, count: int) -> None:
    found = shares(total, count)
    assert (len(found), sum(found)) == (count, total)
    assert max(found) - min(found) <= 1
