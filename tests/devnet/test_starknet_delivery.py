"""Messages go from an L1 to the local Starknet, and L1 learns that they were delivered."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from web3 import Web3
from web3.contract import Contract

from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.artifacts import contract, send
from mmbot_pipelines.devnet.chain import ask, connect
from mmbot_pipelines.devnet.deploy import deploy_l1
from mmbot_pipelines.devnet.starknet_delivery import OPERATOR, TOPIC, L1Link
from mmbot_pipelines.devnet.starknet_deploy import deploy_messaging, describe, node_command
from mmbot_pipelines.devnet.starknet_escrow import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet_execution import selector_of
from mmbot_pipelines.devnet.starknet_felt import felt, felts, l1_message_hash
from tests.devnet.bridge import force, refusal
from tests.devnet.starknet_rpc import Rpc, starknet

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


@pytest.fixture(scope="module")
def fresh_l1() -> Iterator[L1]:
    with Anvil(chain_id=31337) as anvil:
        w3, deployed = connect(anvil.url), deploy_l1(anvil.url, MAKER)
        messaging = deploy_messaging(deployed)
        yield L1(
            w3=w3,
            url=anvil.url,
            registry=contract(w3, "PaymentRegistry", deployed.registry),
            messaging=contract(w3, "StarknetMessaging", messaging),
        )


@pytest.fixture
def l1(fresh_l1: L1) -> Iterator[L1]:
    snapshot = ask(fresh_l1.w3, "evm_snapshot")
    yield fresh_l1
    assert ask(fresh_l1.w3, "evm_revert", snapshot)


def link(l1: L1, **more: Any) -> L1Link:
    return L1Link(rpc_url=l1.url, messaging=l1.messaging.address, poll=0.02, **more)


@pytest.fixture
def rpc(l1: L1) -> Iterator[Rpc]:
    with starknet(link(l1), registry=int(l1.registry.address, 16)) as rpc:
        yield rpc


def place(rpc: Rpc) -> int:
    order = rpc.devnet("setOrder", recipient=felt(RECIPIENT), amount=AMOUNT, fee=FEE)
    return int(order["order_id"], 16)


def is_pending(rpc: Rpc, order_id: int) -> bool:
    call = {
        "contract_address": felt(ESCROW_ADDRESS),
        "entry_point_selector": felt(selector_of("get_order_pending")),
        "calldata": felts([order_id, 0]),
    }
    return bool(rpc("call", call, "pre_confirmed") == ["0x1"])


def until(condition: Callable[[], bool]) -> None:
    """Await what the delivery does in its own time."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def rounds(l1: L1) -> None:
    """Let the delivery see L1 blocks: long enough for what must not happen."""
    for _ in range(5):
        ask(l1.w3, "evm_mine")
        time.sleep(0.1)


def test_a_claim_on_l1_pays_on_starknet_and_is_consumed(l1: L1, rpc: Rpc) -> None:
    order_id = place(rpc)
    message, l1_transaction = l1.pay_and_claim(order_id)
    until(lambda: l1.held(message) == 0)
    assert not is_pending(rpc, order_id)
    (status,) = rpc("getMessagesStatus", transaction_hash=l1_transaction)
    assert status["execution_status"] == "SUCCEEDED"
    receipt = rpc("getTransactionReceipt", status["transaction_hash"])
    assert int(receipt["message_hash"], 16) == message
    transaction = rpc("getTransactionByHash", status["transaction_hash"])
    assert transaction["calldata"][0] == felt(int(l1.registry.address, 16))


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
    operator = Web3.to_checksum_address(OPERATOR)
    assert l1.messaging.functions.operator().call() == operator
    assert refusal(unknown, sender=operator) == "INVALID_MESSAGE_TO_CONSUME"


def test_many_messages_of_one_block_are_all_delivered(l1: L1, rpc: Rpc) -> None:
    ids = [place(rpc) for _ in range(12)]
    messages = [l1.pay_and_claim(order_id)[0] for order_id in ids]
    until(lambda: not any(l1.held(message) for message in messages))
    assert not any(is_pending(rpc, order_id) for order_id in ids)
    events = rpc("getEvents", {"keys": [[felt(selector_of("ClaimPayment"))]], "chunk_size": 100})
    assert sorted(int(e["data"][0], 16) for e in events["events"]) == ids


def test_withheld_messages_wait(l1: L1, rpc: Rpc) -> None:
    rpc.devnet("setDelivery", mode="withhold")
    order_id = place(rpc)
    message, l1_transaction = l1.pay_and_claim(order_id)
    rounds(l1)
    assert l1.held(message) == MESSAGE_FEE + 1
    assert is_pending(rpc, order_id)
    assert rpc("getMessagesStatus", transaction_hash=l1_transaction) == []
    rpc.devnet("setDelivery", mode="deliver")
    until(lambda: l1.held(message) == 0)
    assert not is_pending(rpc, order_id)


def test_a_failed_delivery_uses_the_message_up(l1: L1, rpc: Rpc) -> None:
    rpc.devnet("setDelivery", mode="fail")
    order_id = place(rpc)
    message, l1_transaction = l1.pay_and_claim(order_id)
    until(lambda: l1.held(message) == 0)
    (status,) = rpc("getMessagesStatus", transaction_hash=l1_transaction)
    assert status["execution_status"] == "REVERTED"
    assert status["failure_reason"] == "Out of gas"
    assert is_pending(rpc, order_id)
    rpc.devnet("setDelivery", mode="deliver")
    again = send(
        l1.registry.functions.claimPayment(order_id, RECIPIENT, AMOUNT),
        sender=MAKER,
        value=MESSAGE_FEE,
    )
    assert again["status"] == 1
    until(lambda: not is_pending(rpc, order_id))


def test_an_unknown_l1_transaction_has_no_messages(rpc: Rpc) -> None:
    assert rpc.refused("getMessagesStatus", transaction_hash="0x" + "ab" * 32).code == 29


def test_a_delivery_that_a_reorg_undid_is_made_again(l1: L1, rpc: Rpc) -> None:
    order_id = place(rpc)
    rpc.devnet("mine")
    message, _ = l1.pay_and_claim(order_id)
    until(lambda: l1.held(message) == 0)
    rpc.devnet("mine")
    rpc.devnet("reorg", depth=1)
    until(lambda: not is_pending(rpc, order_id))
    events = rpc("getEvents", {"keys": [[felt(selector_of("ClaimPayment"))]], "chunk_size": 9})
    assert len(events["events"]) == 1


def test_l1_may_learn_only_when_it_accepts_the_block(l1: L1) -> None:
    late = link(l1, consume_at="ACCEPTED_ON_L1")
    with starknet(late, registry=int(l1.registry.address, 16), l1_depth=2) as rpc:
        order_id = place(rpc)
        message, _ = l1.pay_and_claim(order_id)
        until(lambda: not is_pending(rpc, order_id))
        rpc.devnet("mine", blocks=2)
        rounds(l1)
        assert l1.held(message) == MESSAGE_FEE + 1
        rpc.devnet("mine")
        until(lambda: l1.held(message) == 0)


def test_a_new_node_takes_up_what_l1_still_holds(l1: L1) -> None:
    with starknet(registry=int(l1.registry.address, 16)) as rpc:
        order_id = place(rpc)
    message, _ = l1.pay_and_claim(order_id)
    with starknet(registry=int(l1.registry.address, 16)) as rpc:
        place(rpc)
    with starknet(link(l1), registry=int(l1.registry.address, 16)) as rpc:
        until(lambda: l1.held(message) == 0)


def test_an_l1_that_is_away_is_awaited() -> None:
    with Anvil(chain_id=31337) as anvil:
        w3, port = connect(anvil.url), anvil.port
        deployed = deploy_l1(anvil.url, MAKER)
        messaging = deploy_messaging(deployed)
        there = L1Link(rpc_url=anvil.url, messaging=messaging, poll=0.02)
        anvil.stop()
        with starknet(there, registry=int(deployed.registry, 16)) as rpc:
            order_id = place(rpc)
            with Anvil(chain_id=31337, port=port):
                assert deploy_l1(anvil.url, MAKER).registry == deployed.registry
                assert deploy_messaging(deployed) == messaging
                l1 = L1(
                    w3=w3,
                    url=anvil.url,
                    registry=contract(w3, "PaymentRegistry", deployed.registry),
                    messaging=contract(w3, "StarknetMessaging", messaging),
                )
                message, _ = l1.pay_and_claim(order_id)
                until(lambda: l1.held(message) == 0)
                assert not is_pending(rpc, order_id)


def test_the_process_says_its_address_and_ends_cleanly(l1: L1) -> None:
    deployed = deploy_l1(l1.url, MAKER)
    messaging = deploy_messaging(deployed)
    command = node_command(deployed, messaging, block_time=0.05)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            url = process.stdout.readline().decode().strip()
            rpc = Rpc(url)
            origin = describe(url, messaging)
            assert origin.settings()["MMBOT_STARKNET_ESCROW_ADDRESS"] == felt(ESCROW_ADDRESS)
            assert rpc.devnet("config")["registry"] == deployed.registry.lower()
            until(lambda: rpc("blockNumber") > 2)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stdout.read() == b""
        assert process.stderr.read() == b""


def test_half_an_l1_is_refused() -> None:
    command = [sys.executable, "-m", "mmbot_pipelines.devnet.starknet_node"]
    done = subprocess.run(
        [*command, "--l1-rpc", "http://127.0.0.1:1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--l1-rpc and --messaging belong together" in done.stderr
