"""A registry that does not take our wallet: one halt, and no order is at fault for it.

Reads the registry. A revert's words are not proof: whoever writes a
contract writes its words, too. So the registry itself is asked whom it takes.
"""

from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.core.errors import Failure, Halts, SimulationReverted
from mmbot_pipelines.core.money import Gas

# What the registry says to a stranger: its modifier, and OwnableUnauthorizedAccount(address).
_REVERT_REASONS = ("Only Owner or MM", "0x118cdaa7")


class NotMarketMaker(Halts):
    """The registry takes neither transfers nor claims from our wallet."""

    reason = "waiting: the registry does not take our wallet as its market maker"


def check_market_maker(work: Work, results: Sequence[Gas | Failure]) -> list[Gas | Failure]:
    """Return the results of simulations, with `NotMarketMaker` where we are refused for who we are.

    Raises:
        Failure: the registry could not be asked.
    """
    named = next((str(result) for result in results if _is_authority_revert(result)), None)
    cause = market_maker_refusal(work.bridge, named) if named is not None else None
    if cause is None:
        return list(results)
    return [cause if _is_authority_revert(result) else result for result in results]


def market_maker_refusal(bridge: Bridge, words: str) -> NotMarketMaker | None:
    """Return the cause of a revert with these words, if it is that our wallet is not taken.

    Raises:
        Failure: the registry could not be asked.
    """
    wallet = bridge.chain.wallet
    if not any(reason in words for reason in _REVERT_REASONS) or bridge.registry.accepts_wallet(
        wallet
    ):
        return None
    return NotMarketMaker(
        "the registry takes transfers and claims from its owner and its market maker alone, "
        f"{wallet} is neither: have the owner call setMMAddress({wallet}), or set the key of "
        "the market maker"
    )


def _is_authority_revert(result: Gas | Failure) -> bool:
    words = str(result) if isinstance(result, SimulationReverted) else ""
    return any(reason in words for reason in _REVERT_REASONS)
