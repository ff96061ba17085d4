"""The price of a claim's message when nodes differ."""

from dataclasses import replace
from typing import Any, cast

import pytest

from mmbot_pipelines.adapters.bridge.starknet.message_fee import MessageFeeOutOfRange
from mmbot_pipelines.adapters.bridge.starknet.message_status import Sent, _why_failed
from mmbot_pipelines.adapters.bridge.starknet.messages import ByMessage
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Fees
from tests.adapters.rpc.fake_node import NOBODY
from tests.adapters.starknet.starknet_fakes import (
    ESCROW,
    ORDER,
    REGISTRY,
    StarknetFake,
    client,
)

FEES = Fees(base=Wei(10), priority=Wei(1), ceiling=Wei(21))


def asks(node: StarknetFake, wei: int) -> None:
    gas = dict.fromkeys(("l1_data_gas_consumed", "l2_gas_consumed"), "0x0")
    prices = dict.fromkeys(("l1_gas_price", "l1_data_gas_price", "l2_gas_price"), "0x1")
    fee = {"l1_gas_consumed": "0x1", "l1_gas_price": hex(wei), "overall_fee": hex(wei)}
    estimate: dict[str, Any] = {**gas, **prices, **fee, "unit": "WEI"}
    node.node.methods["starknet_estimateMessageFee"] = lambda **_: estimate


def price(*nodes: StarknetFake, quorum: int) -> list[Wei]:
    l1 = Rpc([NOBODY], chain="L1", chain_id=1)
    claims = ByMessage(
        client(*nodes, quorum=quorum),
        l1,
        REGISTRY,
        escrow=ESCROW,
        messaging=cast(Address, REGISTRY),
        margin_percent=20,
        max_fee=Wei(10**18),
    )
    return claims.message_fee([ORDER], FEES)


def ended(*states: str) -> list[dict[str, Any]]:
    return [{"finality_status": "ACCEPTED_ON_L2", "execution_status": state} for state in states]


def test_of_several_messages_of_one_transaction_each_has_its_own_end() -> None:
    block = Block(7, "0x7")
    second = Sent(block, TxHash("0x1"), place=1, messages=3)
    failed = ended("SUCCEEDED", "REVERTED", "SUCCEEDED")
    assert _why_failed(failed, second) == "no reason is given"
    assert _why_failed(failed, replace(second, place=0)) is None
    # A node that does not show all of them may show others' in their places.
    assert _why_failed(failed[:2], second) is None
    assert _why_failed(ended("REVERTED"), Sent(block, TxHash("0x1"))) == "no reason is given"


def test_the_dearest_of_prices_that_are_alike_is_paid(
    node: StarknetFake, spare: StarknetFake
) -> None:
    asks(node, 1000)
    asks(spare, 1125)
    assert price(node, spare, quorum=1) == [1200]
    assert price(node, spare, quorum=2) == [1350]


@pytest.mark.parametrize(("lie", "truth"), [(8 * 10**17, 10**14), (1, 10**14), (0, 10**14)])
def test_a_node_alone_sets_no_price_where_several_must_agree(
    node: StarknetFake, spare: StarknetFake, lie: int, truth: int
) -> None:
    asks(node, lie)
    asks(spare, truth)
    with pytest.raises(RpcDisagrees, match="price a claim's message from"):
        price(node, spare, quorum=2)


@pytest.mark.parametrize("estimate", [0, 10**18 * 100 // 120 + 1, 2**128 - 1])
def test_a_price_that_starknet_does_not_take_is_none(node: StarknetFake, estimate: int) -> None:
    asks(node, estimate)
    with pytest.raises(MessageFeeOutOfRange, match="at most 1 ETH"):
        price(node, quorum=1)


def test_the_highest_price_that_starknet_takes_is_one(node: StarknetFake) -> None:
    asks(node, 10**18 * 100 // 120)
    assert price(node, quorum=1) == [10**18]
