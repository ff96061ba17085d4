"""Which orders are worth it, to the wei."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.bridge.claim_cost import ClaimCost
from mmbot_pipelines.bridge.policy import Cost, Limits, refusal, shortfall
from mmbot_pipelines.core.money import UINT256_MAX, Address, Gas, Wei
from tests.bridge.orders import an_order

LIMITS = Limits(min_transfer=Wei(1), max_transfer=Wei(10**17), min_margin_bps=10)
COST = Cost(
    transfer_gas=Gas(100_000),
    claim=ClaimCost(Gas(60_000), Wei(5 * 10**13)),
    gas_price=Wei(2 * 10**9),
)
TOTAL = 160_000 * 2 * 10**9 + 5 * 10**13

wei = st.integers(0, UINT256_MAX)


def test_the_cost_is_both_gas_and_the_message() -> None:
    assert COST.total == TOTAL


def test_zero_address_our_registry_and_our_wallet_are_never_paid() -> None:
    ours = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
    limits = replace(LIMITS, ours=frozenset({ours}))
    rich = an_order(amount=10**16, fee=10**16)

    def logged(recipient: str) -> str | None:
        return refusal(replace(rich, recipient=Address(recipient)), limits)

    assert "zero address" in (logged("0x" + "0" * 40) or "")
    assert "our own" in (logged(ours) or "")
    assert logged("0x" + "0" * 39 + "1") is None  # a precompile


def test_the_fee_must_cover_cost_and_margin_to_the_wei() -> None:
    margin = 10**16 // 1000  # 10 bps of the amount
    enough = an_order(amount=10**16, fee=TOTAL + margin)
    short = an_order(amount=10**16, fee=TOTAL + margin - 1)
    assert shortfall(enough, LIMITS, COST) is None
    assert refusal(short, LIMITS) is None  # prices may fall
    assert shortfall(short, LIMITS, COST) == (
        "fee 0.000379999999999999 ETH (379999999999999 wei) is below the cost "
        "0.00037 ETH (370000000000000 wei) plus the margin 0.00001 ETH (10000000000000 wei)"
    )


def test_the_margin_is_rounded_against_the_user() -> None:
    assert refusal(an_order(amount=1, fee=0), LIMITS) == (
        "fee 0 ETH (0 wei) is below the margin 0.000000000000000001 ETH (1 wei) "
        "that is wanted beside all costs"
    )
    assert refusal(an_order(amount=1, fee=1), LIMITS) is None


def test_amounts_outside_the_limits_are_refused() -> None:
    above = refusal(an_order(amount=10**17 + 1, fee=10**18), LIMITS)
    assert above is not None
    assert "above the maximum we transfer, 0.1 ETH (100000000000000000 wei)" in above
    assert refusal(an_order(amount=10**17, fee=10**18), LIMITS) is None
    nothing = Limits(min_transfer=Wei(0), max_transfer=Wei(10**17), min_margin_bps=0)
    assert refusal(an_order(amount=0, fee=10**18), nothing) is not None


@given(amount=wei, fee=wei, price=wei, message=wei, bps=st.integers(0, 10_000))
def test_an_accepted_order_never_loses_money(
    amount: int, fee: int, price: int, message: int, bps: int
) -> None:
    limits = Limits(min_transfer=Wei(1), max_transfer=Wei(UINT256_MAX), min_margin_bps=bps)
    cost = Cost(
        transfer_gas=Gas(100_000),
        claim=ClaimCost(Gas(60_000), Wei(message)),
        gas_price=Wei(price),
    )
    order = an_order(amount=amount, fee=fee)
    if refusal(order, limits) is None and shortfall(order, limits, cost) is None:
        assert amount > 0
        assert (fee - cost.total) * 10_000 >= amount * bps
