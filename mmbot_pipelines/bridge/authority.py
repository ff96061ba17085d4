"""A registry that does not take our wallet: one halt, and no order is at fault for it.

Reads the registry. A revert's words are not proof: whoever writes a
contract writes its words, too. So the registry itself is asked whom it takes.
"""

from collections.abc import Sequence

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
    if not any(_names_us(result) for result in results):
        return list(results)
    bridge, wallet = work.bridge, work.bridge.chain.wallet
    if bridge.registry.takes(wallet):
        return list(results)
    cause = NotMarketMaker(
        "the registry takes transfers and claims from its owner and its market maker alone, "
        f"{wallet} is neither: have the owner call setMMAddress({wallet}), or set the key of "
        "the market maker"
    )
    return [cause if _names_us(result) else result for result in results]


def _names_us(result: Gas | Failure) -> bool:
    words = str(result) if isinstance(result, RevertForeseen) else ""
    return any(word in words for word in _WORDS)
