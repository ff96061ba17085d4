"""Messages go from an L1 to the local Starknet, and L1 learns that they were delivered."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.devnet.starknet.felt import felt, selector_of
from tests.devnet.starknet_l1 import (
    L1,
    is_pending,
    link,
    place,
)
from tests.devnet.starknet_rpc import LocalStarknet, starknet
from tests.polling import until


@pytest.fixture
def rpc(l1: L1) -> Iterator[LocalStarknet]:
    with starknet(link(l1), registry=int(l1.registry.address, 16)) as rpc:
        yield rpc


def test_many_messages_of_one_block_are_all_delivered(l1: L1, rpc: LocalStarknet) -> None:
    ids = [place(rpc) for _ in range(12)]
    messages = [l1.pay_and_claim(order_id)[0] for order_id in ids]
    until(lambda: not any(l1.held(message) for message in messages))
    assert not any(is_pending(rpc, order_id) for order_id in ids)
    events = rpc("getEvents", {"keys": [[felt(selector_of("ClaimPayment"))]], "chunk_size": 100})
    assert sorted(int(e["data"][0], 16) for e in events["events"]) == ids


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
