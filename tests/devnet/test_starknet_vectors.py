"""Keys, selectors and hashes are the deployed protocol's."""

from collections.abc import Sequence

import pytest
from eth_abi.packed import encode_packed
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st
from starknet_py.constants import FIELD_PRIME
from starknet_py.hash.selector import get_selector_from_name

from mmbot_pipelines.devnet.starknet.contracts import ESCROW
from mmbot_pipelines.devnet.starknet.felt import (
    halves,
    joined,
    l1_message_hash,
    pseudo_hash,
)

SELECTORS = {
    "SetOrder": 0x2C75A60B5BDAD73EBBF539CC807FCCD09875C3CBF3F44041F852CDB96D8ACD3,
    "ClaimPayment": 0x314CC2452314D7E7C2AF40891B08B62AAA8A44D1694F02DAAE541598D2B1645,
    "claim_payment": 0x3636C566F6409560D55D5F6D1EB4EE163B096B4698C503E69E210BE79DE2AFA,
    "claim_payment_batch": 0x354A01E49FE07E43306A97ED84DBD5DE8238C7D8FF616CAA3444630CFC559E6,
}
uint256 = st.integers(0, 2**256 - 1)


@pytest.mark.parametrize(("name", "selector"), SELECTORS.items())
def test_names_give_the_protocols_selectors(name: str, selector: int) -> None:
    assert get_selector_from_name(name) == selector


def test_claims_are_handled_only_for_l1() -> None:
    claims = {SELECTORS["claim_payment"], SELECTORS["claim_payment_batch"]}
    assert claims == set(ESCROW.l1_handlers)
    assert not set(ESCROW.l1_handlers) & set(ESCROW.externals)


@given(uint256, uint256, uint256, uint256, st.lists(uint256, max_size=8))
def test_a_message_hash_is_keccak_of_packed_words(
    sender: int, to: int, nonce: int, selector: int, payload: Sequence[int]
) -> None:
    words = [sender, to, nonce, selector, len(payload), *payload]
    packed = encode_packed(["uint256"] * len(words), words)
    expected = int.from_bytes(keccak(packed), "big")
    assert l1_message_hash(sender, to, nonce, selector, payload) == expected


@given(uint256)
def test_halves_join_again(value: int) -> None:
    low, high = halves(value)
    assert low < 2**128
    assert high < 2**128
    assert joined(low, high) == value


@given(st.lists(st.integers(), max_size=5), st.lists(st.integers(), max_size=5))
def test_pseudo_hashes_are_felts_and_differ_by_content(a: list[int], b: list[int]) -> None:
    assert pseudo_hash(*a) < FIELD_PRIME
    assert (pseudo_hash(*a) == pseudo_hash(*b)) == (a == b)
