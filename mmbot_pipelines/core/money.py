"""Amounts, addresses and hashes, in the one form every application uses."""

from decimal import Decimal
from typing import NewType

Wei = NewType("Wei", int)  # always a whole number: float never touches money
Gas = NewType("Gas", int)
Address = NewType("Address", str)  # EIP-55 checksummed on the EVM, else 0x-hex (a felt)
TxHash = NewType("TxHash", str)  # 0x-prefixed lower-case hex

UINT256_MAX = 2**256 - 1
_WEI_PER_ETH = 10**18


def format_ether(wei: int) -> str:
    """Return an amount in ETH and in wei: "0.05 ETH (50000000000000000 wei)"."""
    return f"{_in_units(wei)} ETH ({wei} wei)"


def in_strk(fri: int) -> str:
    """Return an amount in STRK and in fri: "0.05 STRK (50000000000000000 fri)"."""
    return f"{_in_units(fri)} STRK ({fri} fri)"


def _in_units(smallest: int) -> str:
    whole, rest = divmod(abs(smallest), _WEI_PER_ETH)
    decimals = f"{rest:018d}".rstrip("0")
    sign = "-" if smallest < 0 else ""
    return f"{sign}{whole}{'.' + decimals if decimals else ''}"


def format_gwei(wei: int) -> str:
    """Return a gas price in gwei, exactly: "1.5 gwei"."""
    return f"{(Decimal(wei) / 10**9).normalize():f} gwei"


def shares(total: int, count: int) -> list[Wei]:
    """Share wei among `count` as evenly as whole numbers go: they add up to exactly `total`."""
    each, left = divmod(total, count)
    return [Wei(each + (position < left)) for position in range(count)]
