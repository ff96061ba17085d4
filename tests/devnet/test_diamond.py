"""The diamond stand-in asks its price and refuses what zkSync would."""

import pytest

from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.chain import mined
from tests.devnet.bridge import (
    ETHER,
    GAS_PER_PUBDATA,
    L2_GAS_LIMIT,
    STRANGER,
    Devnet,
    refusal,
)


@pytest.mark.parametrize(
    ("gas_price", "per_gas"),
    [
        (0, 100_000_000),  # the floor
        (10**9, 105_000_000),  # floor and batch overhead: 1e6 gas x 1 gwei / 2e8
        (50 * 10**9, 1_583_333_334),  # pubdata: (17 x 50 gwei + 5e16 / 120_000) / 800, up
    ],
)
def test_base_cost_follows_the_gas_price(devnet: Devnet, gas_price: int, per_gas: int) -> None:
    assert devnet.base_cost(gas_price) == per_gas * L2_GAS_LIMIT


def test_the_diamond_wants_its_price(devnet: Devnet) -> None:
    maker, recipient = devnet.deployment.market_maker, int(STRANGER, 16)
    send(devnet.transfer(3, recipient), sender=maker, value=7)
    call, gas_price = devnet.claim_call(3, recipient, 7), 20 * 10**9
    price = devnet.base_cost(gas_price)
    reason = refusal(call, sender=maker, value=price - 1, gasPrice=gas_price)
    assert reason == "Value below the L2 base cost"
    sent = call.transact({"from": maker, "value": price, "gasPrice": gas_price})
    assert mined(devnet.l1, sent)["status"] == 1
    assert devnet.l1.eth.get_balance(devnet.diamond.address) == price


@pytest.mark.parametrize(
    ("gas_limit", "per_pubdata", "dependencies", "reason"),
    [
        (L2_GAS_LIMIT, 799, [], "Gas per pubdata must be 800"),
        (173_483, 800, [], "L2 gas limit too low"),
        (72_000_001, 800, [], "L2 gas limit too high"),
        (L2_GAS_LIMIT, 800, [b"code"], "Factory dependencies are not supported"),
    ],
)
def test_the_diamond_refuses(
    devnet: Devnet, gas_limit: int, per_pubdata: int, dependencies: list[bytes], reason: str
) -> None:
    call = devnet.diamond.functions.requestL2Transaction(
        STRANGER, 0, b"", gas_limit, per_pubdata, dependencies, STRANGER
    )
    assert refusal(call, sender=STRANGER, value=ETHER) == reason


def test_value_for_the_l2_is_paid_on_top(devnet: Devnet) -> None:
    call = devnet.diamond.functions.requestL2Transaction(
        STRANGER, ETHER, b"", L2_GAS_LIMIT, GAS_PER_PUBDATA, [], STRANGER
    )
    assert refusal(call, sender=STRANGER, value=ETHER) == "Value below the L2 base cost"
