"""Reorgs take back blocks, events and state together, and may bring other content."""

from collections.abc import Iterator
from typing import Any

import pytest

from mmbot_pipelines.devnet.starknet.contracts import development_keys
from mmbot_pipelines.devnet.starknet.felt import felt, felts, selector_of
from mmbot_pipelines.devnet.starknet.users import StarknetOrder, account, place_orders
from tests.devnet.starknet_bridge import ESCROW, REGISTRY, view
from tests.devnet.starknet_rpc import Refused, Rpc, run, starknet


@pytest.fixture
def rpc() -> Iterator[Rpc]:
    with starknet(registry=int(REGISTRY, 16), l1_depth=6) as rpc:
        yield rpc


def orders(rpc: Rpc) -> list[list[int]]:
    """Return recipient and block of every order, from its event."""
    events = rpc("getEvents", {"address": ESCROW, "chunk_size": 100})["events"]
    set_order = felt(selector_of("SetOrder"))
    return [[int(e["data"][2], 16), e["block_number"]] for e in events if e["keys"] == [set_order]]


def recipient(rpc: Rpc, order_id: int) -> int:
    return view(rpc, "get_order", order_id, 0)[0]


def place(rpc: Rpc, to: int) -> Any:
    return rpc.devnet("setOrder", recipient=felt(to), amount=10, fee=1)


def test_a_reorg_removes_blocks_with_their_events_and_state(rpc: Rpc) -> None:
    sent = []
    for to in (1, 2, 3):
        sent.append(place(rpc, to)["transaction_hash"])
        rpc.devnet("mine")
    place(rpc, 4)
    old = rpc("getBlockWithTxHashes", "latest")
    result = rpc.devnet("reorg", depth=2)
    assert old["block_hash"] in result["dropped"]
    assert len(result["dropped"]) == 2
    assert rpc("blockNumber") == 1
    assert orders(rpc) == [[1, 1]]
    assert [recipient(rpc, n) for n in range(4)] == [1, 0, 0, 0]
    assert rpc.refused("getTransactionReceipt", sent[2]).code == 29
    assert rpc.refused("getBlockWithTxHashes", {"block_hash": old["block_hash"]}).code == 24
    gone = {"from_block": {"block_hash": old["block_hash"]}, "chunk_size": 1}
    assert rpc.refused("getEvents", gone).code == 24


def test_an_id_is_used_again_with_other_content(rpc: Rpc) -> None:
    place(rpc, 1)
    old = rpc.devnet("mine")
    rpc.devnet("reorg", depth=1)
    assert place(rpc, 2)["order_id"] == "0x0"
    new = rpc.devnet("mine")
    assert new["block_number"] == old["block_number"]
    assert new["block_hash"] != old["block_hash"]
    assert orders(rpc) == [[2, 1]]
    assert recipient(rpc, 0) == 2


def test_replay_brings_the_same_transactions_in_other_blocks(rpc: Rpc) -> None:
    user = account(rpc.url, development_keys(2), int(rpc("chainId"), 16))
    run(place_orders(user, [StarknetOrder(recipient=7, amount=5, fee=1)]))
    rpc.devnet("mine")
    claim = {
        "from_address": REGISTRY,
        "to_address": ESCROW,
        "entry_point_selector": felt(selector_of("claim_payment")),
        "payload": felts([0, 0, 7, 5, 0]),
    }
    handler = rpc.devnet("sendMessage", message=claim, nonce=0)["transaction_hash"]
    rpc.devnet("mine")
    place(rpc, 8)
    before = [rpc("getBlockWithTxHashes", {"block_number": n}) for n in range(3)]
    rpc.devnet("reorg", depth=2, replay=True)
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


def test_a_dropped_block_being_built_leaves_nothing(rpc: Rpc) -> None:
    sent = place(rpc, 1)["transaction_hash"]
    rpc.devnet("reorg", depth=0)
    assert orders(rpc) == []
    assert rpc.refused("getTransactionStatus", sent).code == 29
    assert rpc("getBlockWithTxHashes", "pre_confirmed")["transactions"] == []


def test_what_l1_has_accepted_is_not_dropped(rpc: Rpc) -> None:
    rpc.devnet("mine", blocks=8)
    with pytest.raises(Refused, match="L1 accepted 2"):
        rpc.devnet("reorg", depth=7)
    assert rpc("blockNumber") == 8
    rpc.devnet("reorg", depth=6)
    assert rpc("blockNumber") == 2
    assert rpc("getBlockWithTxHashes", "latest")["status"] == "ACCEPTED_ON_L1"


def test_a_continuation_token_of_a_dropped_block_is_invalid(rpc: Rpc) -> None:
    for to in (1, 2):
        place(rpc, to)
        rpc.devnet("mine")
    wanted = {"address": ESCROW, "to_block": "latest", "chunk_size": 1}
    token = rpc("getEvents", wanted)["continuation_token"]
    rpc.devnet("reorg", depth=1)
    assert rpc.refused("getEvents", {**wanted, "continuation_token": token}).code == 33
