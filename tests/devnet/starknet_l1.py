"""An L1 with the messaging contract of Starknet, and claims that go through it."""

import time
from dataclasses import dataclass
from typing import Any

from web3 import Web3
from web3.contract import Contract

from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.artifacts import contract, send
from mmbot_pipelines.devnet.chain import ask, connect
from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet.delivery import L1Link
from mmbot_pipelines.devnet.starknet.felt import l1_message_hash, selector_of
from tests.devnet.starknet_bridge import view
from tests.devnet.starknet_rpc import LocalStarknet, Rpc

MAKER, STRANGER = account(1).address, account(5).address
CLAIM = selector_of("claim_payment")
RECIPIENT = int(account(6).address, 16)
AMOUNT, FEE, MESSAGE_FEE = 10**16, 10**14, 3 * 10**13
STARKNET = 0


@dataclass(frozen=True, kw_only=True)
class L1:
    w3: Web3
    url: str
    registry: Contract
    messaging: Contract

    def pay_and_claim(self, order_id: int) -> tuple[int, str]:
        """Pay an order's recipient, claim it, and return the message's and the L1 tx's hash."""
        transfer = self.registry.functions.transfer(order_id, RECIPIENT, STARKNET)
        send(transfer, sender=MAKER, value=AMOUNT)
        nonce = self.messaging.functions.l1ToL2MessageNonce().call()
        claim = self.registry.functions.claimPayment(order_id, RECIPIENT, AMOUNT)
        receipt = send(claim, sender=MAKER, value=MESSAGE_FEE)
        payload = [order_id, 0, RECIPIENT, AMOUNT, 0]
        sender = int(self.registry.address, 16)
        message = l1_message_hash(sender, ESCROW_ADDRESS, nonce, CLAIM, payload)
        return message, receipt["transactionHash"].to_0x_hex()

    def held(self, message_hash: int) -> int:
        """Return fee + 1 while the message is undelivered, 0 otherwise."""
        word = message_hash.to_bytes(32, "big")
        return int(self.messaging.functions.l1ToL2Messages(word).call())


def l1_at(url: str, registry: str, messaging: str) -> L1:
    w3 = connect(url)
    return L1(
        w3=w3,
        url=url,
        registry=contract(w3, "PaymentRegistry", registry),
        messaging=contract(w3, "StarknetMessaging", messaging),
    )


def link(l1: L1, **more: Any) -> L1Link:
    return L1Link(rpc_url=l1.url, messaging=l1.messaging.address, poll=0.02, **more)


def place(rpc: LocalStarknet) -> int:
    return rpc.set_order(RECIPIENT, AMOUNT, FEE)


def is_pending(rpc: Rpc, order_id: int) -> bool:
    return view(rpc, "get_order_pending", order_id, 0) == [1]


def rounds(l1: L1) -> None:
    """Let the delivery see L1 blocks: long enough for what must not happen."""
    for _ in range(5):
        ask(l1.w3, "evm_mine")
        time.sleep(0.1)
