"""Gas of the local Starknet: what a transaction used, its prices, and the published estimates."""

from dataclasses import dataclass

GAS = ("l1_gas", "l1_data_gas", "l2_gas")
FRI_PER_WEI = 25_000  # what one wei of ETH is worth in fri


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Gas that one transaction used."""

    l1_gas: int
    l1_data_gas: int
    l2_gas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GasPrices:
    """Prices of one unit of each gas, in wei."""

    l1_gas: int = 10**9
    l1_data_gas: int = 10**4
    l2_gas: int = 2 * 10**5

    def in_fri(self) -> "GasPrices":
        """Return the same prices in fri."""
        return GasPrices(**{gas: getattr(self, gas) * FRI_PER_WEI for gas in GAS})

    def fee(self, used: Resources) -> int:
        """Return what these resources cost, in the unit of the prices."""
        return sum(getattr(used, gas) * getattr(self, gas) for gas in GAS)


def estimate(used: Resources, prices: GasPrices, unit: str) -> dict[str, str]:
    """Return FEE_ESTIMATE (unit FRI) or MESSAGE_FEE_ESTIMATE (unit WEI)."""
    return {
        **{f"{gas}_consumed": hex(getattr(used, gas)) for gas in GAS},
        **{f"{gas}_price": hex(getattr(prices, gas)) for gas in GAS},
        "overall_fee": hex(prices.fee(used)),
        "unit": unit,
    }
