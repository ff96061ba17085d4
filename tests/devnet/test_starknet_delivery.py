"""Messages go from an L1 to the local Starknet, and L1 learns that they were delivered."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.starknet.felt import felt, selector_of
from tests.devnet.starknet_l1 import (
    AMOUNT,
    L1,
    MAKER,
    MESSAGE_FEE,
    RECIPIENT,
    is_pending,
    link,
    place,
    rounds,
)
from tests.devnet.starknet_rpc import LocalStarknet, starknet
from tests.polling import until


@pytest.fixture
def rpc(l1: L1) -> Iterator[LocalStarknet]:
    with starknet(link(l1), registry=int(l1.registry.address, 16)) as rpc:
        yield rpc


def test_a_claim_on_l1_pays_on_starknet_and_is_consumed(l1: L1, rpc: LocalStarknet) -> None:
    order_id = place(rpc)
    message, l1_transaction = l1.pay_and_claim(order_id)
    until(lambda: l1.held(message) == 0)
    assert not is_pending(rpc, order_id)
    (status,) = rpc("getMessagesStatus", transaction_hash=l1_transaction)
    assert status["execution_status"] == "SUCCEEDED"
    receipt = rpc("getTransactionReceipt", status["transaction_hash"])
    assert int(receipt["message_hash"], 16) == message


def test_many_messages_of_one_block_are_all_delivered(l1: L1, rpc: LocalStarknet) -> None:
    ids = [place(rpc) for _ in range(12)]
    messages = [l1.pay_and_claim(order_id)[0] for order_id in ids]
    until(lambda: not any(l1.held(message) for message in messages))
    assert not any(is_pending(rpc, order_id) for order_id in ids)
    events = rpc("getEvents", {"keys": [[felt(selector_of("ClaimPayment"))]], "chunk_size": 100})
    assert sorted(int(e["data"][0], 16) for e in events["events"]) == ids


def test_withheld_messages_wait(l1: L1, rpc: LocalStarknet) -> None:
    rpc.inbox.mode = "withhold"
    order_id = place(rpc)
    message, l1_transaction = l1.pay_and_claim(order_id)
    rounds(l1)
    assert l1.held(message) == MESSAGE_FEE + 1
    assert is_pending(rpc, order_id)
    assert rpc("getMessagesStatus", transaction_hash=l1_transaction) == []
    rpc.inbox.mode = "deliver"
    until(lambda: l1.held(message) == 0)
    assert not is_pending(rpc, order_id)


def test_a_failed_delivery_uses_the_message_up(l1: L1, rpc: LocalStarknet) -> None:
    rpc.inbox.mode = "fail"
    order_id = place(rpc)
    message, l1_transaction = l1.pay_and_claim(order_id)
    until(lambda: l1.held(message) == 0)
    (status,) = rpc("getMessagesStatus", transaction_hash=l1_transaction)
    assert status["execution_status"] == "REVERTED"
    assert status["failure_reason"] == "Out of gas"
    assert is_pending(rpc, order_id)
    rpc.inbox.mode = "deliver"
    again = send(
        l1.registry.functions.claimPayment(order_id, RECIPIENT, AMOUNT),
        sender=MAKER,
        value=MESSAGE_FEE,
    )
    assert again["status"] == 1
    until(lambda: not is_pending(rpc, order_id))


def test_a_delivery_that_a_reorg_undid_is_made_again(l1: L1, rpc: LocalStarknet) -> None:
    order_id = place(rpc)
    rpc.mine()
    message, _ = l1.pay_and_claim(order_id)
    until(lambda: l1.held(message) == 0)
    rpc.mine()
    rpc.reorg(1)
    until(lambda: not is_pending(rpc, order_id))
    events = rpc("getEvents", {"keys": [[felt(selector_of("ClaimPayment"))]], "chunk_size": 9})
    assert len(events["events"]) == 1
