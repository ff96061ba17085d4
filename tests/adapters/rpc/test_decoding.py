"""The values of JSON-RPC, read and written."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.core.money import UINT256_MAX
from tests.adapters.rpc.any_json import JSON

READERS = [decoding.quantity, decoding.data, decoding.hash32, decoding.address, decoding.fields]


@given(st.integers(0, UINT256_MAX))
def test_quantity_reads_what_hex_writes(number: int) -> None:
    assert decoding.quantity(hex(number)) == number


@given(st.binary(max_size=100))
def test_data_reads_what_hex_writes(data: bytes) -> None:
    assert decoding.data("0x" + data.hex()) == data


def test_hash_is_in_lower_case_and_address_checksummed() -> None:
    assert decoding.hash32("0x" + "AB" * 32) == "0x" + "ab" * 32
    lower = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
    assert decoding.address(lower) == "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        (decoding.quantity, "0x"),
        (decoding.quantity, "10"),
        (decoding.quantity, "-0x1"),
        (decoding.quantity, "0x1\n"),
        (decoding.quantity, "0x1_0"),
        (decoding.quantity, 16),
        (decoding.quantity, True),
        (decoding.quantity, None),
        (decoding.quantity, "0x1" + "0" * 64),
        (decoding.data, "0x1"),
        (decoding.data, "0x1g"),
        (decoding.data, "0x12 34"),
        (decoding.hash32, "0x" + "ab" * 31),
        (decoding.address, "0x" + "ab" * 32),
        (decoding.fields, []),
    ],
)
def test_bad_values_are_bad_answers(read: Callable[[Any], Any], bad: Any) -> None:
    with pytest.raises(decoding.InvalidResponse, match="instead of"):
        read(bad)


@given(st.sampled_from(READERS), JSON)
def test_readers_raise_nothing_else(read: Callable[[Any], Any], value: Any) -> None:
    with suppress(decoding.InvalidResponse):
        read(value)
