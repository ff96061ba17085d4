"""Gas of the local Starknet: its prices, and the published estimates. Pure."""

from collections.abc import Mapping

GAS = ("l1_gas", "l1_data_gas", "l2_gas")
PRICES = {"l1_gas": 10**9, "l1_data_gas": 10**4, "l2_gas": 2 * 10**5}  # wei
_FRI_PER_WEI = 25_000  # what one wei of ETH is worth in fri


def in_fri(prices: Mapping[str, int]) -> dict[str, int]:
    """Return the same prices in fri."""
    return {gas: price * _FRI_PER_WEI for gas, price in prices.items()}


def fee(used: Mapping[str, int], prices: Mapping[str, int]) -> int:
    """Return what this gas costs, in the unit of the prices."""
    return sum(used[gas] * prices[gas] for gas in GAS)


def estimate(used: Mapping[str, int], prices: Mapping[str, int], unit: str) -> dict[str, str]:
    """Return FEE_ESTIMATE (unit FRI) or MESSAGE_FEE_ESTIMATE (unit WEI)."""
    return {
        **{f"{gas}_consumed": hex(used[gas]) for gas in GAS},
        **{f"{gas}_price": hex(prices[gas]) for gas in GAS},
        "overall_fee": hex(fee(used, prices)),
        "unit": unit,
    }
