"""Numbers, bytes and hashes as JSON-RPC writes them, strictly read. Pure.

Source: Ethereum JSON-RPC specification, "Hex value encoding".
"""

import re

from eth_utils.address import to_checksum_address

from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.text import cleaned

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_WORD = re.compile(r"0x[0-9a-fA-F]{64}")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_SHOWN = 80  # characters of a bad value that an error repeats


class InvalidResponse(RpcUnavailable):
    """A node's answer is malformed or impossible: it counts as none."""


def quantity(value: object) -> int:
    """Read a whole number of at most 256 bits.

    Raises:
        InvalidResponse: it is none.
    """
    return int(_matching(_QUANTITY, value, "a number"), 16)


def data(value: object) -> bytes:
    """Read bytes.

    Raises:
        InvalidResponse: they are none.
    """
    return bytes.fromhex(_matching(_DATA, value, "bytes")[2:])


def hash32(value: object) -> TxHash:
    """Read a hash of 32 bytes, in lower case.

    Raises:
        InvalidResponse: it is none.
    """
    return TxHash(_matching(_WORD, value, "a hash").lower())


def address(value: object) -> Address:
    """Read an address, checksummed (EIP-55).

    Raises:
        InvalidResponse: it is none.
    """
    return Address(to_checksum_address(_matching(_ADDRESS, value, "an address")))


def fields(value: object) -> dict[str, object]:
    """Read an object.

    Raises:
        InvalidResponse: it is none.
    """
    if not isinstance(value, dict):
        raise InvalidResponse(f"a node answered {cleaned(value, _SHOWN)} instead of an object")
    return value


def _matching(form: re.Pattern[str], value: object, wanted: str) -> str:
    if isinstance(value, str) and form.fullmatch(value):
        return value
    raise InvalidResponse(f"a node answered {cleaned(value, _SHOWN)} instead of {wanted}")
