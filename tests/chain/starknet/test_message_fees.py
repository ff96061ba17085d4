"""What a claim's message to Starknet costs."""

from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.origins import starknet_escrow as abi
from mmbot_pipelines.adapters.origins.starknet_message_fee import MessageFeeOutOfRange
from mmbot_pipelines.adapters.origins.starknet_messages import ByMessage
from mmbot_pipelines.bridge.escrow_faults import EscrowPaused, OrderAbsent
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.starknet.felt import felt, felts
from tests.ports.starknet_stage import StarknetStage


def estimated(stage: StarknetStage, order: Order) -> int:
    message = {
        "from_address": stage.registry.address,
        "to_address": felt(int(stage.deployed.escrow, 16)),
        "entry_point_selector": felt(abi.CLAIM),
        "payload": felts(abi.claim_payload(order)),
    }
    return int(stage.node("estimateMessageFee", message, "pre_confirmed")["overall_fee"], 16)


@pytest.mark.parametrize("margin", [0, 20, 33])
def test_the_fee_is_the_estimate_and_its_margin_to_the_wei(
    stage: StarknetStage, margin: int
) -> None:
    stage.node.devnet("setGasPrice", gas="l2_gas", wei=200_003)
    (order,) = stage.set_orders(1)
    priced = ByMessage(
        stage.l2,
        stage.l1,
        stage.registry,
        escrow=Address(stage.deployed.escrow),
        messaging=Address(stage.deployed.messaging),
        margin_percent=margin,
    )
    exact = estimated(stage, order) * (100 + margin)
    assert priced.message_fee([order], stage.chain.fees()) == [exact // 100 + (exact % 100 > 0)]


@pytest.mark.parametrize(("l1_gas", "others"), [(10**15, 10**5), (0, 0)])
def test_a_fee_that_starknet_does_not_take_is_a_clear_failure(
    stage: StarknetStage, l1_gas: int, others: int
) -> None:
    (order,) = stage.set_orders(1)
    for gas, price in (("l1_gas", l1_gas), ("l1_data_gas", others), ("l2_gas", others)):
        stage.node.devnet("setGasPrice", gas=gas, wei=price)
    for ask in (stage.origin.message_fee, stage.origin.claims):
        with pytest.raises(
            MessageFeeOutOfRange, match=r"at most 1 ETH \(1000000000000000000 wei\)"
        ):
            ask([order], stage.chain.fees())


def test_an_order_that_is_gone_spoils_no_neighbours_price(stage: StarknetStage) -> None:
    good = stage.set_orders(2)
    gone = replace(good[0], number=99)
    priced = stage.origin.message_fee([gone, *good], stage.chain.fees())
    assert priced == [priced[0]] * 3


def test_claims_that_cannot_be_priced_say_why(stage: StarknetStage) -> None:
    (order,) = stage.set_orders(1)
    gone = replace(order, number=99)
    with pytest.raises(OrderAbsent):
        stage.origin.message_fee([gone], stage.chain.fees())
    with pytest.raises(OrderAbsent):  # the milder of two
        stage.origin.message_fee(
            [replace(order, amount=order.amount + 1), gone], stage.chain.fees()
        )
    stage.pause()
    with pytest.raises(EscrowPaused):
        stage.origin.message_fee([order], stage.chain.fees())
