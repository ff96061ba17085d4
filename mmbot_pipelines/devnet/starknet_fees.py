"""What transactions and messages cost on the local Starknet: plain integer formulas."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmbot_pipelines.devnet.starknet_chain import Resources
from mmbot_pipelines.devnet.starknet_execution import World
from mmbot_pipelines.devnet.starknet_felt import felt

FRI_PER_WEI = 25_000  # what one wei of ETH is worth in fri


@dataclass(frozen=True, slots=True, kw_only=True)
class GasPrices:
    """Prices of one unit of each gas, in wei."""

    l1_gas: int = 10**9
    l1_data_gas: int = 10**4
    l2_gas: int = 2 * 10**5

    def in_fri(self) -> "GasPrices":
        """Return the same prices in fri."""
        return GasPrices(
            l1_gas=self.l1_gas * FRI_PER_WEI,
            l1_data_gas=self.l1_data_gas * FRI_PER_WEI,
            l2_gas=self.l2_gas * FRI_PER_WEI,
        )

    def fee(self, used: Resources) -> int:
        """Return what these resources cost, in the unit of the prices."""
        return (
            used.l1_gas * self.l1_gas
            + used.l1_data_gas * self.l1_data_gas
            + used.l2_gas * self.l2_gas
        )


def used_by(world: World, calldata: Sequence[int], *, from_l1: bool = False) -> Resources:
    """Measure a transaction by its calldata, its writes and its events."""
    return Resources(
        l1_gas=16_000 + 600 * len(calldata) if from_l1 else 0,
        l1_data_gas=128 + 64 * len(world.writes),
        l2_gas=800_000 + 5_000 * len(calldata) + 40_000 * len(world.events),
    )


def estimate(used: Resources, prices: GasPrices, unit: str) -> dict[str, str]:
    """Return FEE_ESTIMATE (unit FRI) or MESSAGE_FEE_ESTIMATE (unit WEI)."""
    return {
        "l1_gas_consumed": felt(used.l1_gas),
        "l1_gas_price": felt(prices.l1_gas),
        "l2_gas_consumed": felt(used.l2_gas),
        "l2_gas_price": felt(prices.l2_gas),
        "l1_data_gas_consumed": felt(used.l1_data_gas),
        "l1_data_gas_price": felt(prices.l1_data_gas),
        "overall_fee": felt(prices.fee(used)),
        "unit": unit,
    }
