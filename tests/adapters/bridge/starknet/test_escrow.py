"""The Starknet Escrow's felts: vectors of the deployed contracts, and anything at all."""

from dataclasses import replace
from functools import partial

import pytest
from eth_abi.packed import encode_packed
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st
from starknet_py.constants import FIELD_PRIME

from mmbot_pipelines.adapters.bridge.escrow import orders_set
from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.core.errors import Malformed
from mmbot_pipelines.core.money import UINT256_MAX, Address, TxHash, Wei
from tests.adapters.starknet.starknet_fakes import NOW, ORDER, RECIPIENT, data_of

U256 = st.integers(0, UINT256_MAX)
FELT = st.integers(0, FIELD_PRIME - 1)
WALLET = 0xA11
PARSE = partial(abi.order_set, origin="starknet", at=NOW)


def event(data: list[int], keys: tuple[int, ...] = (abi.SET_ORDER,)) -> abi.Event:
    return abi.Event(
        keys=keys, data=tuple(data), block=ORDER.block, tx=TxHash("0x" + "50" * 32), index=3
    )


def read(data: list[int]) -> object:
    return abi.order_set(event(data), origin="starknet", at=NOW)


@pytest.mark.parametrize(
    ("value", "published"),
    [
        (abi.SET_ORDER, 0x2C75A60B5BDAD73EBBF539CC807FCCD09875C3CBF3F44041F852CDB96D8ACD3),
        (abi.CLAIM_PAYMENT, 0x314CC2452314D7E7C2AF40891B08B62AAA8A44D1694F02DAAE541598D2B1645),
        (abi.CLAIM, 0x3636C566F6409560D55D5F6D1EB4EE163B096B4698C503E69E210BE79DE2AFA),
    ],
)
def test_keys_and_selectors_are_the_published_ones(value: int, published: int) -> None:
    assert value == published


def test_a_message_hash_is_keccak_of_the_packed_words() -> None:
    payload = abi.claim_payload(ORDER)
    words = [1, 2, 3, abi.CLAIM, len(payload), *payload]
    expected = keccak(encode_packed(["uint256"] * len(words), words))
    assert abi.message_hash(1, 2, 3, abi.CLAIM, payload) == expected


def test_a_payload_is_id_recipient_and_amount_in_felts() -> None:
    order = replace(ORDER, number=2**128 + 5, amount=Wei(2**130 + 7))
    assert abi.claim_payload(order) == [5, 1, int(RECIPIENT, 16), 7, 4]


@given(number=U256, recipient=st.integers(1, 2**160 - 1), amount=U256, fee=U256)
def test_every_order_is_read_as_it_was_set(
    number: int, recipient: int, amount: int, fee: int
) -> None:
    halves = [half for n in (amount, fee) for half in abi.halves(n)]
    order = abi.order_set(
        event([*abi.halves(number), recipient, *halves]), origin="starknet", at=NOW
    )
    assert (order.number, int(order.recipient, 16)) == (number, recipient)
    assert (order.amount, order.fee, order.block) == (amount, fee, ORDER.block)


@given(st.lists(FELT, max_size=12), st.lists(FELT, max_size=3))
def test_any_event_is_an_order_or_malformed(data: list[int], keys: list[int]) -> None:
    orders, faults = orders_set([event(data, (abi.SET_ORDER, *keys))], PARSE, "starknet")
    assert len(orders) + len(faults) == 1
    for order in orders:
        assert data_of(order) == data
        assert order.recipient == Address(order.recipient)
    for fault in faults:
        assert fault.kind == "Malformed"
        assert fault.subject == f"starknet:0x{'50' * 32}:3"


@given(st.lists(FELT, max_size=8))
def test_any_payment_is_read_or_malformed(data: list[int]) -> None:
    try:
        payment = abi.payment(event(data))
    except Malformed:
        return
    assert [*abi.halves(payment.number), int(payment.wallet, 16)] == data[:3]
    assert list(abi.halves(payment.amount)) == data[3:]


@pytest.mark.parametrize(
    ("place", "felt", "expected"),
    [
        (0, 2**128, "half of a u256"),
        (1, 2**128, "half of a u256"),
        (2, 2**160, "address of L1"),
        (2, 0, "zero address"),
        (4, 2**200, "half of a u256"),
        (6, 2**128, "half of a u256"),
    ],
)
def test_a_felt_out_of_range_is_malformed(place: int, felt: int, expected: str) -> None:
    data = data_of(ORDER)
    data[place] = felt
    with pytest.raises(Malformed, match=expected):
        read(data)


@pytest.mark.parametrize("count", [0, 6, 8])
def test_too_few_or_too_many_felts_are_malformed(count: int) -> None:
    with pytest.raises(Malformed, match=f"{count} felts of data instead of 7"):
        read([*data_of(ORDER), 0][:count])


def test_one_bad_event_stops_no_other() -> None:
    events = [event([]), event(data_of(ORDER)), event([1] * 7, (abi.SET_ORDER, 1))]
    orders, faults = orders_set(events, PARSE, "starknet")
    assert [o.number for o in orders] == [7]
    assert len(faults) == 2


def test_a_wallet_is_written_in_full() -> None:
    payment = abi.payment(event([7, 0, WALLET, 1000, 0]))
    assert payment == abi.Payment(7, Address("0x" + "0" * 61 + "a11"), Wei(1000))
