"""Dust whose claim costs more than it brings is refused by the default settings."""

from mmbot_pipelines import settings
from tests.settings.environments import GOOD

GWEI = 10**9
CLAIM_GAS = 158_000  # measured on the deployed contracts, into an empty priority queue
L2_GAS = 1_000_000  # the default of MMBOT_ZKSYNC_CLAIM_GAS_LIMIT


def message(l1_gas_price: int) -> int:
    """Return the diamond's base cost of a claim's message, in wei (`l2TransactionBaseCost`)."""
    pubdata = 17 * l1_gas_price + 1_000_000 * l1_gas_price // 120_000
    fair = GWEI // 4 + 1_000_000 * l1_gas_price // 80_000_000
    return L2_GAS * max(fair, -(-pubdata // 800))


def test_the_default_min_amount_is_worth_a_claim_at_100_gwei() -> None:
    assert message(GWEI) == 262_500_000_000_000  # as measured
    limits = settings.load(GOOD).limits
    assert limits.min_transfer > CLAIM_GAS * 100 * GWEI + message(100 * GWEI)
    assert limits.min_transfer <= limits.max_transfer // 4  # what goes out while THROTTLED
