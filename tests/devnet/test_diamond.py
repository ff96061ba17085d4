"""The diamond stand-in asks its price and refuses what zkSync would."""

import pytest
from web3 import Web3

from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.chain import mined
from mmbot_pipelines.devnet.orders import OrderKind, OrderSpec
from tests.devnet.bridge import (
    ETHER,
    GAS_PER_PUBDATA,
    L2_GAS_LIMIT,
    STRANGER,
    Devnet,
    refusal,
)


def an_order_spec(recipient: str) -> OrderSpec:
    to = Web3.to_checksum_address(recipient)
    return OrderSpec(
        kind=OrderKind.GOOD, origin="zksync", user=STRANGER, recipient=to, amount=10**15, fee=10**15
    )


@pytest.mark.parametrize(
    ("gas_price", "per_gas"),
    [
        (0, 250_000_000),  # the floor
        (10**9, 262_500_000),  # floor and batch overhead, 1e6 gas x 1 gwei / 8e7: as measured
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
    assert reason == "mv"
    sent = call.transact({"from": maker, "value": price, "gasPrice": gas_price})
    assert mined(devnet.l1, sent)["status"] == 1
    assert devnet.l1.eth.get_balance(devnet.diamond.address) == price


@pytest.mark.parametrize(
    ("gas_limit", "per_pubdata", "dependencies", "reason"),
    [
        (L2_GAS_LIMIT, 799, [], "qp"),
        (9_999, 800, [], "my"),
        (253_883, 800, [], "up"),  # 173,484 + 88 x 800 for pubdata + 10,000 for the slot
        (72_010_001, 800, [], "ui"),
        (L2_GAS_LIMIT, 800, [b"code"], "uj"),
    ],
)
def test_the_diamond_refuses(
    devnet: Devnet, gas_limit: int, per_pubdata: int, dependencies: list[bytes], reason: str
) -> None:
    call = devnet.diamond.functions.requestL2Transaction(
        STRANGER, 0, b"", gas_limit, per_pubdata, dependencies, STRANGER
    )
    assert refusal(call, sender=STRANGER, value=ETHER) == reason


def test_the_min_gas_limit_is_accepted(devnet: Devnet) -> None:
    call = devnet.diamond.functions.requestL2Transaction(
        STRANGER, 0, b"", 253_884, GAS_PER_PUBDATA, [], STRANGER
    )
    assert send(call, sender=STRANGER, value=ETHER)["status"] == 1


def test_value_for_the_l2_is_paid_on_top(devnet: Devnet) -> None:
    call = devnet.diamond.functions.requestL2Transaction(
        STRANGER, ETHER, b"", L2_GAS_LIMIT, GAS_PER_PUBDATA, [], STRANGER
    )
    assert refusal(call, sender=STRANGER, value=ETHER) == "mv"


def test_a_claim_and_a_transfer_cost_what_the_deployed_contracts_take(devnet: Devnet) -> None:
    orders = [(n, an_order_spec(f"0x{n:040x}")) for n in range(10**6, 10**6 + 3)]
    new = [devnet.pay(n, order)["gasUsed"] for n, order in orders]
    old = [devnet.pay(n + 100, order)["gasUsed"] for n, order in orders]
    first, *others = [devnet.claim(n, order)["gasUsed"] for n, order in orders]
    # Measured on the deployed contracts; a claim into an empty queue takes more.
    assert new == [pytest.approx(136_200, rel=0.01)] * 3
    assert old == [pytest.approx(111_200, rel=0.01)] * 3
    assert first == pytest.approx(157_700, rel=0.01)
    assert others == [pytest.approx(140_500, rel=0.01)] * 2
