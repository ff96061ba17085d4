"""What a claim's message to Starknet costs."""

from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet.message_fee import MessageFeeOutOfRange
from mmbot_pipelines.adapters.bridge.starknet.messages import ByMessage
from mmbot_pipelines.bridge.orders.escrow_errors import EscrowPaused, OrderAbsent
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.starknet.felt import felt, felts
from tests.ports.starknet_ports import StarknetPorts


def estimated(ports: StarknetPorts, order: Order) -> int:
    message = {
        "from_address": ports.registry.address,
        "to_address": felt(int(ports.deployed.escrow, 16)),
        "entry_point_selector": felt(abi.CLAIM),
        "payload": felts(abi.claim_payload(order)),
    }
    return int(ports.node("estimateMessageFee", message, "pre_confirmed")["overall_fee"], 16)


@pytest.mark.parametrize("margin", [0, 20, 33])
def test_the_fee_is_the_estimate_and_its_margin_to_the_wei(
    ports: StarknetPorts, margin: int
) -> None:
    ports.node.sequencer.prices["l2_gas"] = 200_003
    (order,) = ports.set_orders(1)
    priced = ByMessage(
        ports.l2,
        ports.l1,
        ports.registry.address,
        escrow=Address(ports.deployed.escrow),
        messaging=Address(ports.deployed.messaging),
        margin_percent=margin,
    )
    exact = estimated(ports, order) * (100 + margin)
    assert priced.message_fee([order], ports.chain.fees()) == [exact // 100 + (exact % 100 > 0)]


@pytest.mark.parametrize(("l1_gas", "others"), [(10**15, 10**5), (0, 0)])
def test_a_fee_that_starknet_does_not_take_is_a_clear_failure(
    ports: StarknetPorts, l1_gas: int, others: int
) -> None:
    (order,) = ports.set_orders(1)
    for gas, price in (("l1_gas", l1_gas), ("l1_data_gas", others), ("l2_gas", others)):
        ports.node.sequencer.prices[gas] = price
    for ask in (ports.origin.message_fee, ports.origin.claims):
        with pytest.raises(
            MessageFeeOutOfRange, match=r"at most 1 ETH \(1000000000000000000 wei\)"
        ):
            ask([order], ports.chain.fees())


def test_an_order_that_is_gone_spoils_no_neighbours_price(ports: StarknetPorts) -> None:
    good = ports.set_orders(2)
    gone = replace(good[0], number=99)
    priced = ports.origin.message_fee([gone, *good], ports.chain.fees())
    assert priced == [priced[0]] * 3


def test_claims_that_cannot_be_priced_give_the_reason(ports: StarknetPorts) -> None:
    (order,) = ports.set_orders(1)
    gone = replace(order, number=99)
    with pytest.raises(OrderAbsent):
        ports.origin.message_fee([gone], ports.chain.fees())
    with pytest.raises(OrderAbsent):  # the milder of two
        ports.origin.message_fee(
            [replace(order, amount=order.amount + 1), gone], ports.chain.fees()
        )
    ports.pause()
    with pytest.raises(EscrowPaused):
        ports.origin.message_fee([order], ports.chain.fees())
