"""Calls of view functions, and what they return."""

from typing import Any

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.evm.contracts import Function, decode_words
from mmbot_pipelines.core.errors import Malformed
from mmbot_pipelines.core.money import UINT256_MAX

ORDER = Function("get_order", ("uint256",), ("address", "uint256", "uint256"))
ADDRESS = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"


def test_call_is_selector_and_words() -> None:
    assert ORDER.encode(5) == bytes.fromhex("5fcb317c") + (5).to_bytes(32, "big")


@given(st.integers(0, UINT256_MAX), st.integers(0, UINT256_MAX))
def test_result_is_exact_at_every_size(amount: int, fee: int) -> None:
    returned = encode(ORDER.gives, [ADDRESS, amount, fee])
    assert ORDER.decode(returned) == (ADDRESS, amount, fee)


@pytest.mark.parametrize(
    ("types", "data", "logged"),
    [
        (("uint256",), b"", "f: 0 bytes of data instead of 32"),
        (("uint256",), b"\0" * 31, "31 bytes"),
        (("uint256",), b"\0" * 64, "64 bytes"),
        (("address",), b"\0" * 11 + b"\1" + b"\0" * 20, "f: "),  # dirty bits
        (("bool",), b"\0" * 31 + b"\2", "f: "),
        (("uint8",), b"\0" * 30 + b"\1\0", "f: "),
    ],
)
def test_what_is_not_of_the_types_is_malformed(
    types: tuple[str, ...], data: bytes, logged: str
) -> None:
    with pytest.raises(Malformed, match=logged):
        decode_words("f", types, data)


@given(
    st.lists(st.sampled_from(["address", "uint256", "bool", "uint8", "bytes32"]), max_size=5),
    st.binary(max_size=200),
)
def test_no_bytes_break_the_decoding(types: list[str], data: bytes) -> None:
    data = data[: 32 * len(types)].ljust(32 * len(types), b"\xff") if len(data) % 2 else data
    values: tuple[Any, ...] | None = None
    try:
        values = decode_words("f", types, data)
    except Malformed:
        return
    assert encode(types, values) == data
