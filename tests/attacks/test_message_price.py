"""A node asks a hundred times too much for a claim's message, or asks in another currency."""

from dataclasses import replace
from typing import Any

import pytest

from mmbot_pipelines.adapters.bridge.starknet.message_fee import ClaimCostGrew, MessageFeeTooHigh
from mmbot_pipelines.adapters.bridge.starknet.messages import ByMessage
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call, Fees
from tests.adapters.rpc.fake_node import NOBODY
from tests.adapters.starknet.starknet_fakes import (
    ESCROW,
    ORDER,
    REGISTRY,
    StarknetFake,
    client,
    starknet_fake,
)
from tests.bridge.harness import BridgeHarness

FEES = Fees(base=Wei(10), priority=Wei(1), ceiling=Wei(21))


def asks(node: StarknetFake, wei: int, *, unit: str = "WEI", parts: int | None = None) -> None:
    fields = ("l1_gas", "l1_data_gas", "l2_gas")
    estimate: dict[str, Any] = {f"{name}_consumed": "0x0" for name in fields}
    estimate |= {f"{name}_price": "0x1" for name in fields}
    estimate |= {"l1_gas_consumed": "0x1", "l1_gas_price": hex(wei if parts is None else parts)}
    estimate |= {"overall_fee": hex(wei), "unit": unit}
    node.node.methods["starknet_estimateMessageFee"] = lambda **_: estimate


def by_message(*nodes: StarknetFake, quorum: int = 1, **limits: Any) -> ByMessage:
    l1 = Rpc([NOBODY], chain="L1", chain_id=1)
    return ByMessage(
        client(*nodes, quorum=quorum),
        l1,
        REGISTRY,
        escrow=ESCROW,
        messaging=REGISTRY,
        margin_percent=0,
        **limits,
    )


@pytest.fixture
def nodes() -> Any:
    with starknet_fake() as first, starknet_fake() as second, starknet_fake() as third:
        yield first, second, third


def test_an_estimate_in_fri_is_never_paid_as_wei(nodes: list[StarknetFake]) -> None:
    first, second, _ = nodes
    asks(first, 10**15, unit="FRI")
    asks(second, 10**12)
    with pytest.raises(RpcUnavailable, match="fee in FRI, not in WEI"):
        by_message(first).message_fee([ORDER], FEES)
    assert by_message(first, second).message_fee([ORDER], FEES) == [10**12]


def test_an_estimate_that_is_not_the_sum_of_its_parts_is_a_bad_answer(
    nodes: list[StarknetFake],
) -> None:
    first, second, _ = nodes
    asks(first, 4 * 10**15, parts=10**12)
    asks(second, 10**12)
    with pytest.raises(RpcUnavailable, match="its gas and prices make 1000000000000"):
        by_message(first).message_fee([ORDER], FEES)
    assert by_message(first, second).message_fee([ORDER], FEES) == [10**12]


def test_a_claim_decided_at_little_is_not_made_for_a_hundred_times_that(
    nodes: list[StarknetFake],
) -> None:
    """An order decided at 0.0000021 ETH was claimed with 0.10099 ETH to get 0.101."""
    node = nodes[0]
    claims = by_message(node, max_fee=Wei(10**18))
    gas = claims.claim_gas * FEES.expected
    order = replace(ORDER, status=Status.FULFILLED, claim_cost=Wei(2 * 10**12))
    asks(node, 6 * 10**12 - gas)
    (claim,) = claims.claims([order], FEES)
    assert isinstance(claim, Call)
    asks(node, 6 * 10**12 - gas + 1)
    (claim,) = claims.claims([order], FEES)
    assert isinstance(claim, ClaimCostGrew)
    assert "more than 3 times the 0.000002 ETH" in str(claim)


def test_no_message_costs_more_than_the_operator_allows(nodes: list[StarknetFake]) -> None:
    node = nodes[0]
    asks(node, 5 * 10**15 + 1)
    claims = by_message(node)
    for ask in (claims.message_fee, claims.claims):
        with pytest.raises(MessageFeeTooHigh, match="MMBOT_STARKNET_MAX_MESSAGE_FEE_WEI"):
            ask([ORDER], FEES)


@pytest.mark.parametrize("liar", [0, 1, 2])
@pytest.mark.parametrize("lie", [1, 4 * 10**15])
def test_one_liar_of_three_neither_sets_the_price_nor_stops_it(
    nodes: list[StarknetFake], liar: int, lie: int
) -> None:
    for number, node in enumerate(nodes):
        asks(node, lie if number == liar else 10**12)
    assert by_message(*nodes, quorum=2).message_fee([ORDER], FEES) == [10**12]


def test_two_of_two_that_differ_price_nothing(nodes: list[StarknetFake]) -> None:
    asks(nodes[0], 10**12)
    asks(nodes[1], 4 * 10**15)
    with pytest.raises(RpcDisagrees, match="priced when 2 of them agree"):
        by_message(*nodes[:2], quorum=2).message_fee([ORDER], FEES)


def test_an_unprofitable_claim_waits_healthy_and_goes_on_by_itself() -> None:
    harness = BridgeHarness()
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    decided = harness.order(key).claim_cost
    assert decided is not None
    assert decided > 0
    claims = harness.l2.claims
    costly = ClaimCostGrew("message and gas cost 1 ETH now")
    harness.l2.claims = lambda orders, fees: [costly for _ in orders]
    for _ in range(10):
        harness.repay([key])
        harness.later(60)
    order = harness.order(key)
    assert (order.status, order.failed, order.failures) == (Status.FULFILLED, False, 0)
    assert order.reason == ClaimCostGrew.reason
    assert harness.store.errors.of(key) == []
    harness.l2.claims = claims
    harness.repay([key])
    harness.mine()
    assert harness.order(key).status is Status.PROVED
