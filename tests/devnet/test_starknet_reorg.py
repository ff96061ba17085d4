"""Reorgs take back blocks, events and state together, and may bring other content."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.devnet.starknet.felt import felt, selector_of
from mmbot_pipelines.devnet.starknet.users import StarknetOrder, place_orders
from tests.devnet.starknet_bridge import ESCROW, REGISTRY, delivered, message, user_of, view
from tests.devnet.starknet_rpc import LocalStarknet, Rpc, run, starknet


@pytest.fixture
def rpc() -> Iterator[LocalStarknet]:
    with starknet(registry=int(REGISTRY, 16), l1_depth=6) as rpc:
        yield rpc


def orders(rpc: Rpc) -> list[list[int]]:
    """Return recipient and block of every order, from its event."""
    events = rpc("getEvents", {"address": ESCROW, "chunk_size": 100})["events"]
    set_order = felt(selector_of("SetOrder"))
    return [[int(e["data"][2], 16), e["block_number"]] for e in events if e["keys"] == [set_order]]


def recipient(rpc: Rpc, order_id: int) -> int:
    return view(rpc, "get_order", order_id, 0)[0]


def newest_transaction(rpc: Rpc) -> str:
    return str(rpc("getBlockWithTxHashes", "pre_confirmed")["transactions"][-1])


def test_a_reorg_removes_blocks_with_their_events_and_state(rpc: LocalStarknet) -> None:
    sent = []
    for to in (1, 2, 3):
        rpc.set_order(to, 10, 1)
        sent.append(newest_transaction(rpc))
        rpc.mine()
    rpc.set_order(4, 10, 1)
    old = rpc("getBlockWithTxHashes", "latest")
    rpc.reorg(2)
    assert rpc("blockNumber") == 1
    assert orders(rpc) == [[1, 1]]
    assert [recipient(rpc, n) for n in range(4)] == [1, 0, 0, 0]
    assert rpc.refused("getTransactionReceipt", sent[2]).code == 29
    assert rpc.refused("getBlockWithTxHashes", {"block_hash": old["block_hash"]}).code == 24
    gone = {"from_block": {"block_hash": old["block_hash"]}, "chunk_size": 1}
    assert rpc.refused("getEvents", gone).code == 24


def test_replay_brings_the_same_transactions_in_other_blocks(rpc: LocalStarknet) -> None:
    user = user_of(rpc)
    run(place_orders(user, [StarknetOrder(recipient=7, amount=5, fee=1)]))
    rpc.mine()
    handler = delivered(rpc, message(0, 5, recipient=7))["transaction_hash"]
    rpc.mine()
    rpc.set_order(8, 10, 1)
    before = [rpc("getBlockWithTxHashes", {"block_number": n}) for n in range(3)]
    assert "error" not in rpc.post(rpc.request("devnet_reorg", [2, True]))
    after = [rpc("getBlockWithTxHashes", {"block_number": n}) for n in range(3)]
    assert [b["transactions"] for b in after] == [b["transactions"] for b in before]
    assert after[0] == before[0] | {"status": after[0]["status"]}
    for n in (1, 2):
        assert after[n]["block_hash"] != before[n]["block_hash"]
        assert after[n]["parent_hash"] == after[n - 1]["block_hash"]
    assert orders(rpc) == [[7, 1], [8, 3]]
    receipt = rpc("getTransactionReceipt", handler)
    assert receipt["execution_status"] == "SUCCEEDED"
    assert receipt["block_hash"] == after[2]["block_hash"]
    assert rpc("getNonce", "latest", felt(user.address)) == "0x1"


def test_what_l1_has_accepted_is_not_dropped(rpc: LocalStarknet) -> None:
    rpc.mine(8)
    rpc.reorg(7)
    assert rpc("blockNumber") == 2
    assert rpc("getBlockWithTxHashes", "latest")["status"] == "ACCEPTED_ON_L1"
