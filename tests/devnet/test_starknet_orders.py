"""Users place orders by signed transactions, and everyone can read them."""

import asyncio
from typing import Any

from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet.felt import felt, felts, halves, selector_of
from mmbot_pipelines.devnet.starknet.token import ETH, STRK
from mmbot_pipelines.devnet.starknet.users import StarknetOrder, order_calls, place_orders
from tests.devnet.starknet_bridge import ESCROW, ORDER, RECIPIENT, balance, user_of, view
from tests.devnet.starknet_rpc import LocalStarknet, run, validated_client


def test_a_user_sets_an_order_by_an_estimated_transaction(rpc: LocalStarknet) -> None:
    user = user_of(rpc)

    async def place() -> int:
        sent = await user.execute_v3(order_calls([ORDER]), auto_estimate=True)
        return sent.transaction_hash

    before, fees = balance(rpc, user.address), balance(rpc, user.address, STRK)
    tx_hash = run(place())
    rpc.mine()
    receipt = rpc("getTransactionReceipt", felt(tx_hash))
    assert receipt["execution_status"] == "SUCCEEDED"
    assert before - balance(rpc, user.address) == ORDER.amount + ORDER.fee
    assert fees - balance(rpc, user.address, STRK) == int(receipt["actual_fee"]["amount"], 16)
    assert balance(rpc, ESCROW_ADDRESS) == ORDER.amount + ORDER.fee
    assert view(rpc, "get_order", 0, 0) == [RECIPIENT, 10**17, 0, 10**15, 0]
    assert view(rpc, "get_order_pending", 0, 0) == [1]
    (event,) = rpc("getEvents", {"address": ESCROW, "chunk_size": 10})["events"]
    assert event["keys"] == [felt(selector_of("SetOrder"))]
    assert event["data"] == felts([0, 0, RECIPIENT, 10**17, 0, 10**15, 0])
    assert rpc("getNonce", "latest", felt(user.address)) == "0x1"


def test_ids_go_on_and_amounts_reach_over_128_bits(rpc: LocalStarknet) -> None:
    user, huge = user_of(rpc), 2**255 + 12345
    rpc.store("balances", user.address, value=2**255 + 10**18, of=ETH)
    orders = [ORDER, StarknetOrder(recipient=2**160 - 1, amount=huge, fee=0), ORDER]
    assert run(place_orders(user, orders)) == [0, 1, 2]
    assert view(rpc, "get_order", 1, 0) == [2**160 - 1, *halves(huge), 0, 0]


def test_events_are_read_to_the_end_by_tokens(rpc: LocalStarknet) -> None:
    for index in range(3):
        run(place_orders(user_of(rpc), [ORDER] * 4))
        if index < 2:
            rpc.mine()

    async def read() -> list[Any]:
        chunk = await validated_client(rpc.url).get_events(
            address=ESCROW_ADDRESS,
            keys=[[selector_of("SetOrder")]],
            follow_continuation_token=True,
            chunk_size=5,
        )
        return chunk.events

    events = run(read())
    assert [event.data[0] for event in events] == list(range(12))
    assert [event.block_hash is None for event in events] == [False] * 8 + [True] * 4
    assert [event.block_number for event in events] == [1] * 4 + [2] * 4 + [3] * 4


def test_users_place_orders_at_the_same_time(rpc: LocalStarknet) -> None:
    async def fan_out() -> list[list[int]]:
        users = [user_of(rpc, number) for number in (2, 3, 4)]
        return await asyncio.gather(*(place_orders(user, [ORDER]) for user in users))

    assert sorted(run(fan_out())) == [[0], [1], [2]]
