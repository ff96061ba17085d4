"""The messaging contract on L1: hashes, fees, and who consumes."""

import pytest

from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.starknet.felt import l1_message_hash
from tests.devnet.bridge import force, refusal
from tests.devnet.starknet_l1 import L1, STRANGER

# of LogMessageToL2, as the deployed core contract logs it
TOPIC = "0xdb80dd488acf86d17c747445b0eabb5d57c541d3bd7b6b87af987858e5066b2b"


def test_the_hash_is_the_contracts(l1: L1) -> None:
    payload = [2**128 - 1, 0, 2**160 - 1, 5, 6]
    function = l1.messaging.functions.messageHash(STRANGER, 7, 8, 9, payload)
    expected = l1_message_hash(int(STRANGER, 16), 7, 8, 9, payload)
    assert int.from_bytes(function.call(), "big") == expected


def test_a_message_is_logged_and_held_with_its_fee(l1: L1) -> None:
    call = l1.messaging.functions.sendMessageToL2(7, 9, [1, 2])
    returned_hash, returned_nonce = call.call({"from": STRANGER, "value": 11})
    receipt = send(call, sender=STRANGER, value=11)
    (entry,) = receipt["logs"]
    assert entry["topics"][0].to_0x_hex() == TOPIC
    (event,) = l1.messaging.events.LogMessageToL2().process_receipt(receipt)
    assert dict(event["args"]) == {
        "fromAddress": STRANGER,
        "toAddress": 7,
        "selector": 9,
        "payload": [1, 2],
        "nonce": returned_nonce,
        "fee": 11,
    }
    message = l1_message_hash(int(STRANGER, 16), 7, returned_nonce, 9, [1, 2])
    assert int.from_bytes(returned_hash, "big") == message
    assert l1.held(message) == 12
    assert l1.messaging.functions.l1ToL2MessageNonce().call() == returned_nonce + 1


@pytest.mark.parametrize(
    ("value", "reason"),
    [(0, "L1_MSG_FEE_MUST_BE_GREATER_THAN_0"), (10**18 + 1, "MAX_L1_MSG_FEE_EXCEEDED")],
)
def test_a_fee_is_more_than_nothing_and_at_most_one_ether(l1: L1, value: int, reason: str) -> None:
    call = l1.messaging.functions.sendMessageToL2(7, 9, [])
    assert refusal(call, sender=STRANGER, value=value) == reason
    assert send(call, sender=STRANGER, value=10**18)["status"] == 1


def test_only_the_operator_consumes(l1: L1) -> None:
    send(l1.messaging.functions.sendMessageToL2(7, 9, []), sender=STRANGER, value=1)
    nonce = l1.messaging.functions.l1ToL2MessageNonce().call() - 1
    consume = l1.messaging.functions.consumeMessageToL2(STRANGER, 7, 9, [], nonce)
    assert refusal(consume, sender=STRANGER) == "ONLY_OPERATOR"
    assert force(consume, sender=STRANGER)["status"] == 0
    unknown = l1.messaging.functions.consumeMessageToL2(STRANGER, 7, 9, [], nonce + 1)
    operator = l1.messaging.functions.operator().call()
    assert refusal(unknown, sender=operator) == "INVALID_MESSAGE_TO_CONSUME"
