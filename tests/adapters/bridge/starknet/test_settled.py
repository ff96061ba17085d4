"""Which of an escrow's payments settle an order on Starknet."""

from dataclasses import replace
from typing import Any

import pytest

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Block
from tests.adapters.bridge.starknet.starknet_origin import origin, payment
from tests.adapters.rpc.fake_node import Refusal
from tests.adapters.starknet.starknet_fakes import ORDER, WALLET, StarknetFake, emitted

PAID = Settlement(TxHash(word(0x99)), Block(60, word(60)))


@pytest.mark.parametrize("amount", [1000, 1010])
def test_a_payment_to_us_settles_with_or_without_the_fee(node: StarknetFake, amount: int) -> None:
    node.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = [[payment(7, int(WALLET, 16), amount)]]
    assert origin(node).settled([ORDER]) == [PAID]


@pytest.mark.parametrize(
    "event",
    [payment(8, 0xA11, 1000), payment(7, 0xA11, 1001)],
)
def test_another_payment_settles_nothing(node: StarknetFake, event: dict[str, Any]) -> None:
    node.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = [[event, emitted([1], block=60, keys=[hex(abi.CLAIM_PAYMENT)])]]
    assert origin(node).settled([ORDER]) == [None]


def test_an_order_that_is_pending_is_not_settled_whatever_is_logged(node: StarknetFake) -> None:
    node.pages = [[payment(7, 0xA11, 1000)]]
    assert origin(node).settled([ORDER]) == [None]


def test_payments_are_read_in_one_request_and_not_before_the_orders(node: StarknetFake) -> None:
    orders = [replace(ORDER, number=n, block=Block(60 + n, word(n))) for n in range(50)]
    assert origin(node).settled(orders) == [None] * 50
    assert [f["from_block"] for f in node.filters] == [{"block_number": 40}]
    assert "starknet_call" not in node.node.asked


def test_an_order_that_waits_for_long_costs_no_long_search(node: StarknetFake) -> None:
    node.head = 10_000
    assert origin(node).settled([ORDER]) == [None]
    assert node.filters == []
    node.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = [[payment(7, 0xA11, 1000)]]
    assert origin(node).settled([ORDER]) == [PAID]


def test_an_escrow_that_cannot_be_read_settles_nothing(node: StarknetFake) -> None:
    node.pages = [[payment(7, 0xA11, 1000)]]
    node.views[abi.GET_ORDER] = Refusal(24, "Block not found")
    with pytest.raises(RpcRefused, match="get_order of the escrow"):
        origin(node).settled([ORDER])
