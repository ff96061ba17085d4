"""The escrow on a local Starknet: its users, its views, and messages of its registry."""

from dataclasses import replace
from typing import Any

from starknet_py.net.account.account import Account

from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS, development_keys
from mmbot_pipelines.devnet.starknet.felt import felt, felts, halves, selector_of
from mmbot_pipelines.devnet.starknet.methods import l1_message
from mmbot_pipelines.devnet.starknet.token import ETH
from mmbot_pipelines.devnet.starknet.users import StarknetOrder, account
from tests.devnet.starknet_rpc import LocalStarknet, Rpc, validated_client

ESCROW = felt(ESCROW_ADDRESS)
REGISTRY = "0x" + "5a" * 20
RECIPIENT = 0x70997970C51812DC3A010C7D01B50E0D17DC79C8
CLAIM = felt(selector_of("claim_payment"))
ORDER = StarknetOrder(recipient=RECIPIENT, amount=10**17, fee=10**15)


def user_of(rpc: Rpc, number: int = 2) -> Account:
    user = account(rpc.url, development_keys(number))
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
    low, high = view(rpc, "balanceOf", address, to=felt(token))
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


def delivered(rpc: LocalStarknet, message: dict[str, Any], nonce: int = 0) -> Any:
    """Execute a message's handler without any L1, and return its receipt."""
    handler = rpc.do(rpc.sequencer.deliver, replace(l1_message(message), nonce=nonce))
    return rpc("getTransactionReceipt", felt(handler))
