"""The kinds of values that Starknet's settings have.

No message repeats the value it refuses: it may be a secret that was pasted into the
wrong variable.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, SecretStr

from mmbot_pipelines.core.money import Address

REPAYMENTS = ("message", "storage_proof")
_CHAIN_NAMES = ("SN_MAIN", "SN_SEPOLIA")
_FELT_PRIME = 2**251 + 17 * 2**192 + 1
_CURVE_ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F


def _starknet_address(text: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text) or not 0 < int(text, 16) < _FELT_PRIME:
        raise ValueError("must be a Starknet address: 0x and up to 64 hex digits, not zero")
    return f"0x{int(text, 16):064x}"


def _starknet_chain(text: str) -> int:
    if text in _CHAIN_NAMES:
        return int.from_bytes(text.encode("ascii"), "big")
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text) or not 0 < int(text, 16) < _FELT_PRIME:
        raise ValueError(f"must be {' or '.join(_CHAIN_NAMES)}, or the id as 0x and hex digits")
    return int(text, 16)


def _starknet_repay(text: str) -> str:
    if text not in REPAYMENTS:
        raise ValueError(f"must be {' or '.join(REPAYMENTS)}")
    return text


def stark_key(text: str) -> SecretStr:
    """Check the private key of a Starknet account.

    Raises:
        ValueError: it is none; the message does not repeat it.
    """
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text) or not 0 < int(text, 16) < _CURVE_ORDER:
        raise ValueError("is no private key of a Starknet account: 0x and up to 64 hex digits")
    return SecretStr(text)


def _cairo_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][0-9A-Za-z_]{0,99}", text):
        raise ValueError("must be the name of a function of the Escrow, e.g. withdraw")
    return text


StarknetAddress = Annotated[Address, BeforeValidator(_starknet_address)]
StarknetChainId = Annotated[int, BeforeValidator(_starknet_chain)]
StarknetRepay = Annotated[str, BeforeValidator(_starknet_repay)]
StarkKey = Annotated[SecretStr, BeforeValidator(stark_key)]
CairoName = Annotated[str, BeforeValidator(_cairo_name)]
