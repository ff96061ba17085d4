"""The zkSync Escrow's encodings, against the facts and the compiled contract, and hostile data."""

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import pytest
from eth_abi import encode
from eth_utils import event_abi_to_log_topic, function_abi_to_4byte_selector
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.bridge.escrow import orders_set
from mmbot_pipelines.adapters.bridge.zksync import escrow as abi
from mmbot_pipelines.adapters.evm.contracts import Function
from mmbot_pipelines.adapters.evm.log_range import Log
from mmbot_pipelines.core.errors import Malformed
from mmbot_pipelines.core.money import UINT256_MAX, Address, TxHash
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.devnet.artifacts import artifact

ESCROW = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
RECIPIENT = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
PARSE = partial(abi.order_set, origin="zksync", at=NOW)
UINT256 = st.integers(0, UINT256_MAX)
ADDRESS = st.binary(min_size=20, max_size=20).map(lambda b: "0x" + b.hex())
SET_ORDER = ["uint256", "address", "uint256", "uint256"]


def log(data: bytes, index: int = 3) -> Log:
    return Log(
        address=ESCROW,
        topics=(abi.SET_ORDER,),
        data=data,
        block=Block(9, "0x" + "0b" * 32),
        tx=TxHash("0x" + "0a" * 32),
        index=index,
    )


@pytest.mark.parametrize(
    ("function", "selector"),
    [
        (abi.GET_ORDER, "5fcb317c"),
        (abi.IS_ORDER_PENDING, "5a5d0a17"),
        (abi.REGISTRY, "e2b2e23f"),
        (abi.WALLET, "4c034fe0"),
        (abi.PAUSED, "5c975abb"),
    ],
)
def test_selectors_are_the_deployed_contracts(function: Function, selector: str) -> None:
    assert function.selector.hex() == selector
    (compiled,) = [f for f in artifact("Escrow")["abi"] if f.get("name") == function.name]
    assert function_abi_to_4byte_selector(compiled).hex() == selector
    assert tuple(o["type"] for o in compiled["outputs"]) == function.gives


@pytest.mark.parametrize(
    ("name", "topic", "known"),
    [
        (
            "SetOrder",
            abi.SET_ORDER,
            "0dda38f349344fc4dd0c4d86e05db4f03805a23302d0307980837419e2c2772a",
        ),
        (
            "ClaimPayment",
            abi.CLAIM_PAYMENT,
            "55188540052a206e959fa07e62a5f0542065989dcf08853e21b5668c778e4605",
        ),
    ],
)
def test_topics_are_the_deployed_contracts(name: str, topic: bytes, known: str) -> None:
    assert topic.hex() == known
    (compiled,) = [e for e in artifact("Escrow")["abi"] if e.get("name") == name]
    assert event_abi_to_log_topic(compiled).hex() == known
    assert not any(i["indexed"] for i in compiled["inputs"])


@given(UINT256, ADDRESS, UINT256, UINT256)
def test_order_is_exact_at_every_size(number: int, to: str, amount: int, fee: int) -> None:
    order = abi.order_set(
        log(encode(SET_ORDER, [number, to, amount, fee])), origin="zksync", at=NOW
    )
    assert (order.number, order.recipient.lower()) == (number, to)
    assert (order.amount, order.fee) == (amount, fee)
    assert (order.block.number, order.set_order_tx) == (9, "0x" + "0a" * 32)
    assert (order.changed_at, order.key) == (NOW, f"zksync:{number}")


@given(UINT256, ADDRESS, UINT256)
def test_payment_is_exact_at_every_size(number: int, to: str, amount: int) -> None:
    paid = abi.payment(log(encode(["uint256", "address", "uint256"], [number, to, amount])))
    assert (paid.number, paid.claimer.lower(), paid.amount) == (number, to, amount)


GOOD = encode(SET_ORDER, [1, RECIPIENT, 2, 3])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\0",
        GOOD + b"\0" * 32,
        GOOD[:32] + b"\0" * 11 + b"\1" + GOOD[44:],  # a recipient wider than 160 bits
    ],
)
def test_malformed_order_is_a_fault_beside_good_ones(data: bytes) -> None:
    logs = [log(GOOD, 0), log(data, 1), log(GOOD, 2)]
    orders, faults = orders_set(logs, PARSE, "zksync")
    assert len(orders) == 2
    (fault,) = faults
    assert (fault.subject, fault.step) == (f"zksync:0x{'0a' * 32}:1", "scan")
    assert fault.kind == "Malformed"
    assert fault.message.startswith("SetOrder: ")


@given(st.binary(max_size=300) | st.binary(min_size=128, max_size=128))
def test_no_bytes_break_the_reading_of_orders(data: bytes) -> None:
    orders, faults = orders_set([log(data)], PARSE, "zksync")
    assert len(orders) + len(faults) == 1
    for order in orders:
        values = [order.number, order.recipient, order.amount, order.fee]
        assert encode(SET_ORDER, values) == data


@given(st.binary(max_size=300) | st.binary(min_size=96, max_size=96))
def test_no_bytes_break_the_reading_of_payments(data: bytes) -> None:
    with suppress(Malformed):
        paid = abi.payment(log(data))
        values = [paid.number, paid.claimer, paid.amount]
        assert encode(["uint256", "address", "uint256"], values) == data


def test_alias_is_offset_modulo_the_address_space() -> None:
    assert abi.aliased(Address("0x" + "00" * 20)) == "0x1111000000000000000000000000000000001111"
    assert (
        int(abi.aliased(Address("0x" + "ff" * 20)), 16)
        == 0x1111000000000000000000000000000000001110
    )
