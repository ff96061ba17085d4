"""Users place orders by signed transactions, and claims from L1 pay the market maker."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starknet_py.contract import Contract
from starknet_py.hash.storage import get_storage_var_address
from starknet_py.net.account.account import Account
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import Call
from starknet_py.net.client_utils import _create_broadcasted_txn
from starknet_py.net.full_node_client import FullNodeClient

from mmbot_pipelines.devnet.starknet_account import development_keys
from mmbot_pipelines.devnet.starknet_escrow import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet_execution import selector_of
from mmbot_pipelines.devnet.starknet_felt import felt, felts, halves, l1_message_hash
from mmbot_pipelines.devnet.starknet_token import ETH, STRK
from mmbot_pipelines.devnet.starknet_users import (
    StarknetOrder,
    account,
    order_calls,
    place_orders,
)
from tests.devnet.starknet_rpc import Refused, Rpc, run, starknet, validated_client

ESCROW = felt(ESCROW_ADDRESS)
REGISTRY = "0x" + "5a" * 20
RECIPIENT = 0x70997970C51812DC3A010C7D01B50E0D17DC79C8
CLAIM = felt(selector_of("claim_payment"))
BATCH = felt(selector_of("claim_payment_batch"))
ORDER = StarknetOrder(recipient=RECIPIENT, amount=10**17, fee=10**15)


@pytest.fixture
def rpc() -> Iterator[Rpc]:
    with starknet(registry=int(REGISTRY, 16)) as rpc:
        yield rpc


def user_of(rpc: Rpc, number: int = 2) -> Account:
    user = account(rpc.url, development_keys(number), int(rpc("chainId"), 16))
    user._client = validated_client(rpc.url)
    return user


def view(rpc: Rpc, function: str, *calldata: int, to: str = ESCROW, at: Any = None) -> list[int]:
    call = {
        "contract_address": to,
        "entry_point_selector": felt(selector_of(function)),
        "calldata": felts(calldata),
    }
    return [int(word, 16) for word in rpc("call", call, at or "pre_confirmed")]


def balance(rpc: Rpc, address: int, token: int = ETH) -> int:
    low, high = view(rpc, "balance_of", address, to=felt(token))
    return low + (high << 128)


def message(
    order_id: int, amount: int, recipient: int = RECIPIENT, sender: str = REGISTRY
) -> dict[str, Any]:
    return {
        "from_address": sender,
        "to_address": ESCROW,
        "entry_point_selector": CLAIM,
        "payload": felts([*halves(order_id), recipient, *halves(amount)]),
    }


def receipt_of(rpc: Rpc, sent: dict[str, str]) -> Any:
    return rpc("getTransactionReceipt", sent["transaction_hash"])


def test_a_user_sets_an_order_by_an_estimated_transaction(rpc: Rpc) -> None:
    user = user_of(rpc)

    async def place() -> int:
        sent = await user.execute_v3(order_calls([ORDER]), auto_estimate=True)
        return sent.transaction_hash

    before, fees = balance(rpc, user.address), balance(rpc, user.address, STRK)
    tx_hash = run(place())
    rpc.devnet("mine")
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
    transaction = rpc("getTransactionByHash", felt(tx_hash))
    assert transaction["sender_address"] == felt(user.address)
    assert rpc("getNonce", "latest", felt(user.address)) == "0x1"


def test_ids_go_on_and_amounts_reach_over_128_bits(rpc: Rpc) -> None:
    user, huge = user_of(rpc), 2**255 + 12345
    rpc.devnet("mint", address=felt(user.address), amount=hex(2**255 + 20000))
    orders = [ORDER, StarknetOrder(recipient=2**160 - 1, amount=huge, fee=0), ORDER]
    assert run(place_orders(user, orders)) == [0, 1, 2]
    assert view(rpc, "get_order", 1, 0) == [2**160 - 1, *halves(huge), 0, 0]


def test_starknet_py_reads_the_escrow_by_its_abi(rpc: Rpc) -> None:
    run(place_orders(user_of(rpc), [ORDER]))

    async def read() -> tuple[Any, ...]:
        client = validated_client(rpc.url)
        escrow = await Contract.from_address(ESCROW_ADDRESS, client)
        names = ("get_eth_transfer_contract", "get_mm_starknet_contract", "is_paused")
        order = await escrow.functions["get_order"].call(0)
        pending = await escrow.functions["get_order_pending"].call(0)
        return order[0], pending[0], *[(await escrow.functions[n].call())[0] for n in names]

    order, pending, registry, wallet, paused = run(read())
    recipient = {"address": RECIPIENT}
    assert order == {"recipient_address": recipient, "amount": 10**17, "fee": 10**15}
    assert pending is True
    assert registry == {"address": int(REGISTRY, 16)}
    assert wallet == development_keys(1).address
    assert paused is False


def test_events_are_read_to_the_end_by_tokens(rpc: Rpc) -> None:
    for index in range(3):
        run(place_orders(user_of(rpc), [ORDER] * 4))
        if index < 2:
            rpc.devnet("mine")

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


def test_a_slot_is_where_the_deployed_contract_has_it(rpc: Rpc) -> None:
    rpc.devnet("mine", blocks=2)
    run(place_orders(user_of(rpc), [ORDER]))
    rpc.devnet("mine")
    amount = get_storage_var_address("orders", 0, 0) + 1
    flags = ["INCLUDE_LAST_UPDATE_BLOCK"]
    found = rpc("getStorageAt", ESCROW, felt(amount), "latest", flags)
    assert found == {"value": felt(10**17), "last_update_block": 3}
    assert rpc("getStorageAt", ESCROW, felt(amount), {"block_number": 2}) == "0x0"

    async def read() -> Any:
        return await validated_client(rpc.url).get_storage_at(
            ESCROW_ADDRESS, amount, block_number="latest"
        )

    assert run(read()) == 10**17


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        (order_calls([ORDER])[1:], "Not enough allowance"),
        (order_calls([StarknetOrder(recipient=1, amount=0, fee=1)]), "Amount must > 0"),
        (order_calls([StarknetOrder(recipient=1, amount=2**200, fee=1)]), "Not enough balance"),
        (order_calls([StarknetOrder(recipient=2**160, amount=1, fee=1)]), "deserialize param #1"),
        (
            [Call(ESCROW_ADDRESS, selector_of("set_order"), [1, 0, 2**127, 0, 2**127])],
            "u256_add Overflow",
        ),
        ([Call(ESCROW_ADDRESS, selector_of("set_order"), [1, 1])], "deserialize param #2"),
        ([Call(0xDEAD, 1, [])], "is not deployed"),
        ([Call(ESCROW_ADDRESS, selector_of("pause"), [])], "Caller is not the owner"),
    ],
)
def test_what_the_escrow_refuses_reverts(rpc: Rpc, calls: list[Call], reason: str) -> None:
    user = user_of(rpc)

    async def execute() -> Any:
        bounds = await user.estimate_fee(
            await user.sign_invoke_v3(order_calls([ORDER]), auto_estimate=True)
        )
        return await user.execute_v3(calls, resource_bounds=bounds.to_resource_bounds(10, 10))

    with pytest.raises(ClientError) as foreseen:
        run(user.execute_v3(calls, auto_estimate=True))
    assert foreseen.value.code == 41
    assert reason in str(foreseen.value.data)
    tx_hash = felt(run(execute()).transaction_hash)
    receipt = rpc("getTransactionReceipt", tx_hash)
    assert receipt["execution_status"] == "REVERTED"
    assert reason in receipt["revert_reason"]
    assert [e["from_address"] for e in receipt["events"]] == [felt(STRK)], "only the fee is left"
    assert reason in rpc("getTransactionStatus", tx_hash)["failure_reason"]
    assert view(rpc, "get_order_pending", 0, 0) == [0]
    assert rpc("getNonce", "pre_confirmed", felt(user.address)) == "0x1"


def sent_by(rpc: Rpc, **changes: Any) -> Any:
    """Send a signed order with some of its members changed after signing."""
    user = user_of(rpc)

    async def sign() -> Any:
        return await user.sign_invoke_v3(order_calls([ORDER]), auto_estimate=True)

    signed = run(sign())
    return rpc("addInvokeTransaction", {**_create_broadcasted_txn(signed), **changes})


def test_a_transaction_is_taken_once(rpc: Rpc) -> None:
    sent = sent_by(rpc)
    transaction = rpc("getTransactionByHash", sent["transaction_hash"])
    del transaction["transaction_hash"]
    assert rpc.refused("addInvokeTransaction", transaction).code == 59


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"nonce": "0x7"}, 52),
        ({"sender_address": "0x1234"}, 58),
        ({"sender_address": ESCROW}, 58),
        ({"calldata": ["0x0"]}, 55),
        ({"signature": []}, 55),
        ({"signature": ["0x1", "0x2"]}, 55),
        ({"version": "0x100000000000000000000000000000003"}, 61),
        ({"resource_bounds": dict.fromkeys(("l1_gas", "l1_data_gas", "l2_gas"), None)}, -32602),
    ],
)
def test_what_no_account_signed_is_refused(rpc: Rpc, changes: dict[str, Any], code: int) -> None:
    if code == -32602:
        assert rpc.wrong("addInvokeTransaction", [changes]).code == code
        return
    with pytest.raises(Refused) as refused:
        sent_by(rpc, **changes)
    assert refused.value.code == code
    assert rpc("getBlockTransactionCount", "pre_confirmed") == 0


@pytest.mark.parametrize(
    ("bound", "code"),
    [
        ({"max_amount": "0xffffffffffffffff", "max_price_per_unit": "0xffffffffffffffff"}, 54),
        ({"max_amount": "0xffff", "max_price_per_unit": "0x1"}, 53),
    ],
)
def test_fees_must_be_covered(rpc: Rpc, bound: dict[str, str], code: int) -> None:
    bounds = dict.fromkeys(("l1_gas", "l1_data_gas", "l2_gas"), bound)
    with pytest.raises(Refused) as refused:
        sent_by(rpc, resource_bounds=bounds)
    assert refused.value.code == code


def test_a_claim_pays_amount_and_fee_to_the_market_maker(rpc: Rpc) -> None:
    run(place_orders(user_of(rpc), [ORDER]))
    wallet = development_keys(1).address
    before = balance(rpc, wallet)
    sent = rpc.devnet("sendMessage", message=message(0, ORDER.amount), nonce=7)
    receipt = receipt_of(rpc, sent)
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

    async def by_starknet_py() -> int:
        client: FullNodeClient = validated_client(rpc.url)
        return int(await client.get_l1_message_hash(sent["transaction_hash"]))

    assert run(by_starknet_py()) == claim_hash


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
    rpc: Rpc, claim: dict[str, Any], reason: str
) -> None:
    run(place_orders(user_of(rpc), [ORDER]))
    refusal = rpc.refused("estimateMessageFee", claim, "pre_confirmed")
    assert refusal.code == 40
    assert reason in str(refusal.data)
    sent = rpc.devnet("sendMessage", message=claim, nonce=0)
    receipt = receipt_of(rpc, sent)
    assert reason in receipt["revert_reason"]
    assert receipt["events"] == []
    assert view(rpc, "get_order_pending", 0, 0) == [1]


def test_an_order_is_paid_once(rpc: Rpc) -> None:
    run(place_orders(user_of(rpc), [ORDER, ORDER]))
    sent = [
        rpc.devnet("sendMessage", message=message(0, ORDER.amount), nonce=nonce)
        for nonce in range(2)
    ]
    statuses = [receipt_of(rpc, one)["execution_status"] for one in sent]
    assert statuses == ["SUCCEEDED", "REVERTED"]
    assert balance(rpc, ESCROW_ADDRESS) == ORDER.amount + ORDER.fee


@pytest.mark.parametrize(("amounts", "paid"), [((1, 1), 2), ((1, 2), 0)])
def test_a_batch_pays_all_or_nothing(rpc: Rpc, amounts: tuple[int, int], paid: int) -> None:
    run(place_orders(user_of(rpc), [ORDER, ORDER]))
    claims = [[n, 0, RECIPIENT, ORDER.amount * times, 0] for n, times in enumerate(amounts)]
    batch = {
        **message(0, 0),
        "entry_point_selector": BATCH,
        "payload": felts([2, *claims[0], *claims[1]]),
    }
    rpc.devnet("sendMessage", message=batch, nonce=0)
    pending = [view(rpc, "get_order_pending", n, 0)[0] for n in range(2)]
    assert pending == ([0, 0] if paid else [1, 1])
    assert balance(rpc, ESCROW_ADDRESS) == (2 - paid) * (ORDER.amount + ORDER.fee)


def test_a_message_fee_is_the_sum_of_its_gas(rpc: Rpc) -> None:
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
    rpc.devnet("setGasPrice", gas="l1_gas", wei=10**12)
    dearer = rpc("estimateMessageFee", claim, "pre_confirmed")
    assert int(dearer["overall_fee"], 16) > 100 * total(estimate)

    async def by_starknet_py() -> int:
        payload = [int(word, 16) for word in claim["payload"]]
        client = validated_client(rpc.url)
        fee = await client.estimate_message_fee(REGISTRY, ESCROW, CLAIM, payload)
        return fee.overall_fee

    assert run(by_starknet_py()) == int(dearer["overall_fee"], 16)


def test_a_message_to_nobody_has_no_price(rpc: Rpc) -> None:
    lost = {**message(0, 1), "to_address": "0xdead"}
    assert rpc.refused("estimateMessageFee", lost, "latest").code == 20
    assert rpc.refused("estimateMessageFee", message(0, 1), {"block_number": 99}).code == 24


def test_a_paused_escrow_takes_neither_orders_nor_claims(rpc: Rpc) -> None:
    user = user_of(rpc)
    run(place_orders(user, [ORDER]))
    rpc.devnet("pause", paused=True)
    with pytest.raises(RuntimeError, match="Pausable: paused"):
        run(place_orders(user, [ORDER]))
    refusal = rpc.refused("estimateMessageFee", message(0, ORDER.amount), "pre_confirmed")
    assert "Pausable: paused" in str(refusal.data)
    rpc.devnet("pause", paused=False)
    assert run(place_orders(user, [ORDER])) == [1]


def test_the_escrow_can_be_made_to_lie(rpc: Rpc) -> None:
    rpc.devnet("setMarketMaker", address="0x99")
    rpc.devnet("setRegistry", address="0x" + "66" * 20)
    assert view(rpc, "get_mm_starknet_contract") == [0x99]
    assert view(rpc, "get_eth_transfer_contract") == [int("66" * 20, 16)]
    assert rpc.devnet("config")["market_maker"] == "0x99"


def test_an_event_may_have_any_shape(rpc: Rpc) -> None:
    set_order = felt(selector_of("SetOrder"))
    rpc.devnet("emitEvent", keys=[set_order], data=["0x1"])
    rpc.devnet("emitEvent", keys=[set_order], data=felts([0, 0, 2**200, 1, 0, 1, 0]))
    wanted = {"address": ESCROW, "keys": [[set_order]], "chunk_size": 10}
    events = rpc("getEvents", wanted)["events"]
    assert [event["data"][-1] for event in events] == ["0x1", "0x0"]
    assert view(rpc, "get_order_pending", 0, 0) == [0]


def test_orders_for_convenience_are_orders(rpc: Rpc) -> None:
    placed = [rpc.devnet("setOrder", recipient=felt(RECIPIENT), amount=5, fee=1) for _ in range(2)]
    assert [order["order_id"] for order in placed] == ["0x0", "0x1"]
    assert view(rpc, "get_order", 1, 0) == [RECIPIENT, 5, 0, 1, 0]
    with pytest.raises(Refused, match="deserialize param #1"):
        rpc.devnet("setOrder", recipient=felt(2**160), amount=5, fee=1)


def test_users_place_orders_at_the_same_time(rpc: Rpc) -> None:
    async def together() -> list[list[int]]:
        users = [user_of(rpc, number) for number in (2, 3, 4)]
        return await asyncio.gather(*(place_orders(user, [ORDER]) for user in users))

    assert sorted(run(together())) == [[0], [1], [2]]


def test_nobody_moves_more_than_was_approved(rpc: Rpc) -> None:
    thief, victim = user_of(rpc, 3), user_of(rpc, 2)
    approve = Call(ETH, selector_of("approve"), [thief.address, 5, 0])
    take = [
        Call(ETH, selector_of("transfer_from"), [victim.address, thief.address, amount, 0])
        for amount in (6, 5, 1)
    ]
    run(victim.execute_v3(approve, auto_estimate=True))
    before = balance(rpc, victim.address)
    for call in (take[0], [take[1], take[2]]):
        with pytest.raises(ClientError) as refused:
            run(thief.execute_v3(call, auto_estimate=True))
        assert "ERC20: insufficient allowance" in str(refused.value.data)
    run(thief.execute_v3(take[1], auto_estimate=True))
    assert before - balance(rpc, victim.address) == 5
    assert view(rpc, "allowance", victim.address, thief.address, to=felt(ETH)) == [0, 0]
