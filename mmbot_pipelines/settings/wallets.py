"""Further wallets on L1: each has the variables of the first one, with its own name in them.

`MMBOT_L1_MORE_WALLETS=second` reads `MMBOT_L1_SECOND_PRIVATE_KEY` as the first wallet's key is
read from `MMBOT_L1_PRIVATE_KEY`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from mmbot_pipelines.core.money import Address
from mmbot_pipelines.settings import values
from mmbot_pipelines.settings.section import Section, read_section, variable
from mmbot_pipelines.settings.shared import Key

_FIRST = "MMBOT_L1_"
_LIST = "MMBOT_L1_MORE_WALLETS"
_ADDRESS = "MMBOT_L1_WALLET_ADDRESS"
_NAME = "[a-z][a-z0-9]{0,15}"
_IN_A_VARIABLE = "[A-Z][A-Z0-9]{0,15}"


def _names(text: str) -> list[str]:
    names = values.entries(text)
    if not all(re.fullmatch(_NAME, name) for name in names) or len(set(names)) < len(names):
        raise ValueError(
            "must name each further wallet once, separated by commas, with at most 16 small "
            "letters and digits, e.g. second"
        )
    return names


def _pattern(variables: list[str]) -> "re.Pattern[str]":
    ends = "|".join(name.removeprefix(_FIRST) for name in variables)
    return re.compile(f"{_FIRST}(?P<wallet>{_IN_A_VARIABLE})_({ends})")


_OF_A_KEY = _pattern(Key.variables())
_OF_A_WALLET = _pattern([*Key.variables(), _ADDRESS])


class MoreWallets(Section):
    """Which wallets pay beside the first one."""

    names: Annotated[tuple[str, ...], BeforeValidator(_names)] = variable(_LIST, ())


class _Own(Section):
    address: values.EthereumAddress = variable(
        _ADDRESS, need="set it to the wallet's address, which must be known while its signer is not"
    )


class Wallet(BaseModel):
    """One further wallet. Its repr shows no secret."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    name: str
    address: Address
    key: Key | None  # None in a process that only looks

    def named(self, text: str) -> str:
        """Return a text about the first wallet's variables as one about this wallet's."""
        own = _prefix(self.name)
        return re.sub(f"{_FIRST}(?!{own.removeprefix(_FIRST)})", own, text)


def is_wallets_key(name: str) -> bool:
    """Return whether a variable leads to the key of a further wallet."""
    return _OF_A_KEY.fullmatch(name) is not None


def is_wallets(name: str) -> bool:
    """Return whether a variable is one that a further wallet may have."""
    return _OF_A_WALLET.fullmatch(name) is not None


def read_wallets(
    given: Mapping[str, str], first: Address | None, faults: list[str], *, keys: bool
) -> tuple[Wallet, ...]:
    """Read the further wallets; add a line to `faults` for each fault.

    first: the first wallet's address, where it is known.
    keys: whether their keys are read.
    """
    listed = read_section(MoreWallets, given, faults)
    names = listed.names if listed else ()
    if listed:
        faults += _unnamed(given, names)
    wallets = [w for name in names if (w := _read(name, given, faults, keys=keys))]
    seen = [first]
    for wallet in wallets:
        if wallet.address in seen:
            faults.append(wallet.named(f"{_ADDRESS} is another wallet's: give it one of its own"))
        seen.append(wallet.address)
    return tuple(wallets)


def _read(name: str, given: Mapping[str, str], faults: list[str], *, keys: bool) -> Wallet | None:
    prefix, own = _prefix(name), list[str]()
    as_first = {
        of_first: given[own_name]
        for of_first in (*Key.variables(), _ADDRESS)
        if (own_name := of_first.replace(_FIRST, prefix)) in given
    }
    known = read_section(_Own, as_first, own)
    key = read_section(Key, as_first, own) if keys else None
    faults += [fault.replace(_FIRST, prefix) for fault in own]
    if known is None or (keys and key is None):
        return None
    return Wallet(name=name, address=known.address, key=key)


def _unnamed(given: Mapping[str, str], names: tuple[str, ...]) -> Iterator[str]:
    for candidate in sorted(given):
        found = _OF_A_WALLET.fullmatch(candidate)
        if found and (name := found["wallet"].lower()) not in names:
            yield f"{candidate} belongs to no wallet: name {name} in {_LIST}, or remove it"


def _prefix(name: str) -> str:
    return f"{_FIRST}{name.upper()}_"
