"""Felts, u256 halves, selectors and hashes as Starknet's protocol defines them. Pure."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from starknet_py.hash.selector import get_selector_from_name
from starknet_py.hash.utils import keccak256

selector_of = lru_cache(maxsize=None)(get_selector_from_name)


def felt(value: int) -> str:
    """Write a felt (or any whole number) as the JSON-RPC does."""
    return hex(value)


def felts(values: Iterable[int]) -> list[str]:
    return [hex(value) for value in values]


def halves(value: int) -> list[int]:
    """Split a u256 into [low, high] of 128 bits each."""
    return [value % 2**128, value >> 128]


def joined(low: int, high: int) -> int:
    """Join the halves of a u256."""
    return (high << 128) + low


def pseudo_hash(*parts: object) -> int:
    """Return a felt that is unique for these parts, where only uniqueness matters."""
    return keccak256(repr(parts).encode()) % 2**250


def l1_message_hash(
    from_address: int, to_address: int, nonce: int, selector: int, payload: Sequence[int]
) -> int:
    """Return the hash under which the L1 contract keeps a message to the L2.

    Source: Starknet core contract, keccak256(packed(from, to, nonce, selector,
    length, payload...)), every item a uint256.
    """
    fields = [from_address, to_address, nonce, selector, len(payload), *payload]
    return keccak256(b"".join(word.to_bytes(32, "big") for word in fields))
