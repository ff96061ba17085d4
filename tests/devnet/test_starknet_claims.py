"""Claims from L1 pay the market maker, once and at a price."""

from typing import Any

import pytest

from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS, development_keys
from mmbot_pipelines.devnet.starknet.felt import felt, felts, l1_message_hash, selector_of
from mmbot_pipelines.devnet.starknet.users import place_orders
from tests.devnet.starknet_bridge import (
    CLAIM,
    ORDER,
    RECIPIENT,
    REGISTRY,
    balance,
    delivered,
    message,
    user_of,
    view,
)
from tests.devnet.starknet_rpc import LocalStarknet, run


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
