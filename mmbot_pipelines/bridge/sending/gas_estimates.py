"""How much gas transfers and claims take on L1, where no simulation can answer: reads the store.

A claim can be simulated only after its transfer is mined, but the decision to fill, the
wallet's reserve and a replacement's margin depend on it earlier. The newest receipts of the
same kind answer; before the first one, what was measured on the protocol's deployed contracts.
"""

from statistics import median_high

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.ports.accounts import REPAY, TRANSFER
from mmbot_pipelines.core.money import Gas

# A transfer to an account that is new to the chain (measured: 136.2 k; 111.2 k to one in use).
MEASURED_TRANSFER = Gas(137_000)

_RECEIPTS = 20  # the newest of a kind that are looked at

# A receipt further from the measured value than this is no measure: nodes can lie, and one
# absurd number must neither refuse all orders nor accept them at a loss.
_FACTOR = 3


def claim_gas(bridge: Bridge, origin: str) -> Gas:
    """Return the gas that an origin's next claim takes on L1, in units of gas; 0 where none does.

    The highest of the newest receipts and an eighth more: a claim into an L2's empty
    priority queue takes 157.7 k where the others take 140.4 k. No stranger's code runs in a
    claim, so that nobody can push the highest up.
    """
    measured = bridge.origins[origin].claim_gas
    seen = [gas for gas in _receipts(bridge, REPAY, origin) if _possible(gas, measured)]
    return Gas(max(seen) * 9 // 8) if seen else measured


def transfer_gas(bridge: Bridge, origin: str) -> Gas:
    """Return the gas that a transfer takes, in units of gas, where it cannot be simulated.

    The median of the newest receipts: a recipient's own code runs in a transfer, so that the
    highest would be a stranger's choice.
    """
    seen = [g for g in _receipts(bridge, TRANSFER, origin) if _possible(g, MEASURED_TRANSFER)]
    return Gas(max(median_high(seen), MEASURED_TRANSFER)) if seen else MEASURED_TRANSFER


def _receipts(bridge: Bridge, purpose: str, origin: str) -> list[Gas]:
    return bridge.accounts.gas_used(purpose, origin, max_count=_RECEIPTS)


def _possible(gas: Gas, measured: Gas) -> bool:
    return measured <= gas * _FACTOR and gas <= measured * _FACTOR
