"""Claims from L1 pay the market maker, once and at a price."""

from typing import Any

import pytest

from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS, development_keys
from mmbot_pipelines.devnet.starknet.felt import felt, felts, l1_message_hash, selector_of
from mmbot_pipelines.devnet.starknet.users import place_orders
from tests.devnet.starknet_bridge import (
    BATCH,
    CLAIM,
    ESCROW,
    ORDER,
    RECIPIENT,
    REGISTRY,
    balance,
    delivered,
    message,
    user_of,
    view,
)
from tests.devnet.starknet_rpc import LocalStarknet, run, validated_client


def test_a_claim_pays_amount_and_fee_to_the_market_maker(rpc: LocalStarknet) -> None:
    run(place_orders(user_of(rpc), [ORDER]))
    wallet = development_keys(1).address
    before = balance(rpc, wallet)
    receipt = delivered(rpc, message(0, ORDER.amount), nonce=7)
    assert balance(rpc, wallet) - before == ORDER.amount + ORDER.fee
    assert balance(rpc, ESCROW_ADDRESS) == 0
    assert view(rpc, "get_order_pending", 0, 0) == [0]
    assert view(rpc, "get_order", 0, 0)[0] == RECIPIENT, "a paid order can still be read"
    claim = receipt["events"][-1]
    assert claim["keys"] == [felt(selector_of("ClaimPayment"))]
    assert claim["data"] == felts([0, 0, wallet, ORDER.amount, 0])
    payload = [0, 0, RECIPIENT, ORDER.amount, 0]
    claim_hash = l1_message_hash(int(REGISTRY, 16), ESCROW_ADDRESS, 7, int(CLAIM, 16), payload)
    assert int(receipt["message_hash"], 16) == claim_hash


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (message(0, ORDER.amount, sender="0x" + "77" * 20), "Only PAYMENT_REGISTRY_CONTRACT"),
        (message(0, ORDER.amount + 1), "amount not match L1"),
        (message(0, ORDER.amount, recipient=1), "recipient_address not match L1"),
        (message(1, ORDER.amount), "Order withdrew or nonexistent"),
        (message(2**128, ORDER.amount), "Order withdrew or nonexistent"),
        ({**message(0, 1), "payload": ["0x0"]}, "Failed to deserialize"),
        ({**message(0, 1), "entry_point_selector": "0x1"}, "not found in contract"),
    ],
)
def test_a_false_claim_reverts_and_is_foreseen(
    rpc: LocalStarknet, claim: dict[str, Any], reason: str
) -> None:
    run(place_orders(user_of(rpc), [ORDER]))
    refusal = rpc.refused("estimateMessageFee", claim, "pre_confirmed")
    assert refusal.code == 40
    assert reason in str(refusal.data)
    receipt = delivered(rpc, claim)
    assert reason in receipt["revert_reason"]
    assert receipt["events"] == []
    assert view(rpc, "get_order_pending", 0, 0) == [1]


def test_an_order_is_paid_once(rpc: LocalStarknet) -> None:
    run(place_orders(user_of(rpc), [ORDER, ORDER]))
    receipts = [delivered(rpc, message(0, ORDER.amount), nonce) for nonce in range(2)]
    assert [r["execution_status"] for r in receipts] == ["SUCCEEDED", "REVERTED"]
    assert balance(rpc, ESCROW_ADDRESS) == ORDER.amount + ORDER.fee


@pytest.mark.parametrize(("amounts", "paid"), [((1, 1), 2), ((1, 2), 0)])
def test_a_batch_pays_all_or_nothing(
    rpc: LocalStarknet, amounts: tuple[int, int], paid: int
) -> None:
    run(place_orders(user_of(rpc), [ORDER, ORDER]))
    claims = [[n, 0, RECIPIENT, ORDER.amount * times, 0] for n, times in enumerate(amounts)]
    batch = {
        **message(0, 0),
        "entry_point_selector": BATCH,
        "payload": felts([2, *claims[0], *claims[1]]),
    }
    delivered(rpc, batch)
    pending = [view(rpc, "get_order_pending", n, 0)[0] for n in range(2)]
    assert pending == ([0, 0] if paid else [1, 1])
    assert balance(rpc, ESCROW_ADDRESS) == (2 - paid) * (ORDER.amount + ORDER.fee)


def test_a_message_fee_is_the_sum_of_its_gas(rpc: LocalStarknet) -> None:
    run(place_orders(user_of(rpc), [ORDER]))
    claim = message(0, ORDER.amount)
    estimate = rpc("estimateMessageFee", claim, "pre_confirmed")

    def total(of: dict[str, str]) -> int:
        gases = ("l1_gas", "l1_data_gas", "l2_gas")
        return sum(int(of[f"{g}_consumed"], 16) * int(of[f"{g}_price"], 16) for g in gases)

    assert int(estimate["overall_fee"], 16) == total(estimate)
    assert estimate["unit"] == "WEI"
    assert 0 < total(estimate) < 10**15
    assert rpc("estimateMessageFee", claim, "pre_confirmed") == estimate
    rpc.sequencer.prices["l1_gas"] = 10**12
    dearer = rpc("estimateMessageFee", claim, "pre_confirmed")
    assert int(dearer["overall_fee"], 16) > 100 * total(estimate)

    async def by_starknet_py() -> int:
        payload = [int(word, 16) for word in claim["payload"]]
        client = validated_client(rpc.url)
        fee = await client.estimate_message_fee(REGISTRY, ESCROW, CLAIM, payload)
        return fee.overall_fee

    assert run(by_starknet_py()) == int(dearer["overall_fee"], 16)


def test_a_message_to_nobody_has_no_price(rpc: LocalStarknet) -> None:
    lost = {**message(0, 1), "to_address": "0xdead"}
    assert rpc.refused("estimateMessageFee", lost, "latest").code == 20
    assert rpc.refused("estimateMessageFee", message(0, 1), {"block_number": 99}).code == 24


def test_a_paused_escrow_takes_neither_orders_nor_claims(rpc: LocalStarknet) -> None:
    user = user_of(rpc)
    run(place_orders(user, [ORDER]))
    rpc.store("paused", value=1)
    with pytest.raises(RuntimeError, match="Pausable: paused"):
        run(place_orders(user, [ORDER]))
    refusal = rpc.refused("estimateMessageFee", message(0, ORDER.amount), "pre_confirmed")
    assert "Pausable: paused" in str(refusal.data)
    rpc.store("paused", value=0)
    assert run(place_orders(user, [ORDER])) == [1]
