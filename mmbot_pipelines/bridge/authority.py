"""A registry that does not take our wallet: one halt, and no order is at fault for it.

Reads the registry. A revert's words are not proof: whoever writes a
contract writes its words, too. So the registry itself is asked whom it takes.
"""

from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.core.errors import Failure, Halts, RevertForeseen
from mmbot_pipelines.core.money import Gas

# What the registry says to a stranger: its modifier, and OwnableUnauthorizedAccount(address).
_WORDS = ("Only Owner or MM", "0x118cdaa7")


class NotMarketMaker(Halts):
    """The registry takes neither transfers nor claims from our wallet."""

    reason = "waits: the registry does not take our wallet as its market maker"


def with_authority(work: Work, results: Sequence[Gas | Failure]) -> list[Gas | Failure]:
    """Return the results of simulations, with `NotMarketMaker` where we are refused for who we are.

    Raises:
        Failure: the registry could not be asked.
    """
    named = next((str(result) for result in results if _names_us(result)), None)
    cause = refused_for_who_we_are(work.bridge, named) if named is not None else None
    if cause is None:
        return list(results)
    return [cause if _names_us(result) else result for result in results]


def refused_for_who_we_are(bridge: Bridge, words: str) -> NotMarketMaker | None:
    """Return the cause of a revert with these words, if it is that our wallet is not taken.

    Raises:
        Failure: the registry could not be asked.
    """
    wallet = bridge.chain.wallet
    if not any(word in words for word in _WORDS) or bridge.registry.takes(wallet):
        return None
    return NotMarketMaker(
        "the registry takes transfers and claims from its owner and its market maker alone, "
        f"{wallet} is neither: have the owner call setMMAddress({wallet}), or set the key of "
        "the market maker"
    )


def _names_us(result: Gas | Failure) -> bool:
    words = str(result) if isinstance(result, RevertForeseen) else ""
    return any(word in words for word in _WORDS)
