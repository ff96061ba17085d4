"""Requests of L1 reach the L2 once, in order, whatever happens in between."""

import signal
import subprocess
import sys
import threading

import pytest

from mmbot_pipelines.devnet.artifacts import contract, send
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.messenger import BASE_TOKEN, BOOTLOADER, Messenger
from mmbot_pipelines.devnet.orders import OrderSpec, burst, place_many
from tests.devnet.bridge import GAS_PER_PUBDATA, L2_GAS_LIMIT, Devnet


@pytest.fixture
def messenger(devnet: Devnet) -> Messenger:
    return another(devnet)


def another(devnet: Devnet) -> Messenger:
    return Messenger(l1=devnet.l1, l2=devnet.l2, diamond=devnet.diamond.address)


def paid_orders(devnet: Devnet, count: int) -> list[tuple[int, OrderSpec]]:
    orders = burst(devnet.deployment, count)
    placed = list(zip(place_many(devnet.deployment.zksync, orders), orders, strict=True))
    for order_id, order in placed:
        devnet.pay(order_id, order)
    return placed


def refunds(devnet: Devnet) -> list[int]:
    """List what was minted to the market maker on the L2, in wei."""
    base_token = contract(devnet.l2, "L2BaseToken", BASE_TOKEN)
    account = {"account": devnet.deployment.market_maker}
    logs = base_token.events.Mint().get_logs(from_block=0, argument_filters=account)
    return [log["args"]["amount"] for log in logs]


def executions(devnet: Devnet) -> int:
    return devnet.l2.eth.get_transaction_count(BOOTLOADER)


def test_the_whole_round_pays_everybody_to_the_wei(devnet: Devnet, messenger: Messenger) -> None:
    l1, l2, maker = devnet.l1.eth, devnet.l2.eth, devnet.deployment.market_maker
    (order,) = burst(devnet.deployment, 1)
    user_before = l2.get_balance(order.user)
    (order_id,) = place_many(devnet.deployment.zksync, [order])
    locked = l2.get_block("latest", full_transactions=True)["transactions"][0]
    gas = l2.get_transaction_receipt(locked["hash"])
    spent = order.amount + order.fee + gas["gasUsed"] * gas["effectiveGasPrice"]
    assert l2.get_balance(order.user) == user_before - spent
    assert l2.get_balance(devnet.escrow.address) == order.amount + order.fee

    recipient_before, maker_before = l1.get_balance(order.recipient), l1.get_balance(maker)
    transfer, claim = devnet.pay(order_id, order), devnet.claim(order_id, order)
    price = l1.get_transaction(claim["transactionHash"])["value"]
    gas_cost = sum(r["gasUsed"] * r["effectiveGasPrice"] for r in (transfer, claim))
    assert l1.get_balance(order.recipient) == recipient_before + order.amount
    assert l1.get_balance(maker) == maker_before - order.amount - price - gas_cost
    assert l1.get_balance(devnet.diamond.address) == price
    assert l1.get_balance(devnet.registry.address) == 0

    wallet_before = l2.get_balance(maker)
    (delivery,) = messenger.deliver()
    assert delivery.success
    (refund,) = refunds(devnet)
    assert price * 4 // 5 < refund < price
    assert l2.get_balance(maker) == wallet_before + order.amount + order.fee + refund
    assert l2.get_balance(devnet.escrow.address) == 0
    assert not devnet.is_pending(order_id)
    (event,) = devnet.escrow.events.ClaimPayment().get_logs(from_block=0)
    assert dict(event["args"]) == {
        "order_id": order_id,
        "claimerAddress": maker,
        "amount": order.amount,
    }


def test_delivers_in_order_and_once(devnet: Devnet, messenger: Messenger) -> None:
    for order_id, order in paid_orders(devnet, 3):
        devnet.claim(order_id, order)
    assert [d.request.id for d in messenger.deliver()] == [0, 1, 2]
    assert messenger.deliver() == []
    assert executions(devnet) == 3


def test_a_new_messenger_goes_on_where_the_chain_stands(
    devnet: Devnet, messenger: Messenger
) -> None:
    one, two = paid_orders(devnet, 2)
    devnet.claim(*one)
    messenger.deliver()
    devnet.claim(*two)
    assert [d.request.id for d in another(devnet).deliver()] == [1]
    assert another(devnet).deliver() == []
    assert executions(devnet) == 2


def test_a_repeated_claim_is_delivered_and_reverts(devnet: Devnet, messenger: Messenger) -> None:
    ((order_id, order),) = paid_orders(devnet, 1)
    wallet_before = devnet.l2.eth.get_balance(devnet.deployment.market_maker)
    devnet.claim(order_id, order)
    devnet.claim(order_id, order)
    assert [d.success for d in messenger.deliver()] == [True, False]
    assert messenger.deliver() == []
    gained = devnet.l2.eth.get_balance(devnet.deployment.market_maker) - wallet_before
    (refund,) = refunds(devnet)  # anvil keeps no log of what reverted
    assert gained == order.amount + order.fee + refund


def test_old_requests_come_back_with_a_rollback_of_the_l2(
    devnet: Devnet, messenger: Messenger
) -> None:
    ((order_id, order),) = paid_orders(devnet, 1)
    devnet.claim(order_id, order)
    before = ask(devnet.l2, "evm_snapshot")
    messenger.deliver()
    ask(devnet.l1, "anvil_mine", hex(200))
    assert messenger.deliver() == []
    assert ask(devnet.l2, "evm_revert", before)
    assert devnet.is_pending(order_id)
    assert [d.success for d in messenger.deliver()] == [True]
    assert not devnet.is_pending(order_id)


def test_an_id_used_again_after_a_rollback_of_l1_is_another_request(
    devnet: Devnet, messenger: Messenger
) -> None:
    one, two = paid_orders(devnet, 2)
    before = ask(devnet.l1, "evm_snapshot")
    devnet.claim(*one)
    messenger.deliver()
    assert ask(devnet.l1, "evm_revert", before)
    devnet.claim(*two)
    assert [(d.request.id, d.success) for d in messenger.deliver()] == [(0, True)]
    assert not devnet.is_pending(two[0])


def test_a_paused_escrow_uses_the_message_up(devnet: Devnet, messenger: Messenger) -> None:
    ((order_id, order),) = paid_orders(devnet, 1)
    devnet.claim(order_id, order)
    send(devnet.escrow.functions.pause(), sender=devnet.deployment.zksync.owner)
    assert [d.success for d in messenger.deliver()] == [False]
    assert devnet.is_pending(order_id)


def test_nobody_stays_impersonated(devnet: Devnet, messenger: Messenger) -> None:
    ((order_id, order),) = paid_orders(devnet, 1)
    devnet.claim(order_id, order)
    messenger.deliver()
    sender = devnet.deployment.zksync.aliased_registry
    with pytest.raises(RuntimeError, match="No Signer available"):
        ask(devnet.l2, "eth_sendTransaction", {"from": sender, "to": sender})


def test_a_persons_request_comes_from_the_person(devnet: Devnet, messenger: Messenger) -> None:
    person, to = devnet.deployment.l1.owner, "0x" + "12" * 20
    call = devnet.diamond.functions.requestL2Transaction(
        to, 10**15, b"\x01", L2_GAS_LIMIT, GAS_PER_PUBDATA, [], person
    )
    send(call, sender=person, value=10**17)
    (delivery,) = messenger.deliver()
    executed = devnet.l2.eth.get_transaction(delivery.tx_hash)
    assert (executed["from"], executed["value"]) == (person, 10**15)


def settled(devnet: Devnet, order_id: int) -> threading.Event:
    """Watch the escrow from a thread and signal when the order is claimed."""
    done = threading.Event()

    def watch() -> None:
        while devnet.is_pending(order_id):
            pass
        done.set()

    threading.Thread(target=watch, daemon=True).start()
    return done


def test_the_loop_delivers_until_it_is_stopped(devnet: Devnet, messenger: Messenger) -> None:
    stop = threading.Event()
    loop = threading.Thread(target=messenger.run, args=(stop,), kwargs={"poll": 0.01})
    loop.start()
    try:
        ((order_id, order),) = paid_orders(devnet, 1)
        devnet.claim(order_id, order)
        assert settled(devnet, order_id).wait(120)
    finally:
        stop.set()
        loop.join(120)
    assert not loop.is_alive()


def test_the_program_delivers_and_ends_on_a_signal(devnet: Devnet) -> None:
    zksync = devnet.deployment.zksync
    command = [sys.executable, "-m", "mmbot_pipelines.devnet.messenger"]
    command += ["--l1-rpc", devnet.deployment.l1.rpc_url, "--l2-rpc", zksync.rpc_url]
    command += ["--diamond", zksync.diamond]
    ((order_id, order),) = paid_orders(devnet, 1)
    devnet.claim(order_id, order)
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert program.stderr is not None
    try:
        assert "request 0: executed in 0x" in program.stderr.readline()
        assert not devnet.is_pending(order_id)
        program.send_signal(signal.SIGTERM)
        assert program.wait(120) == 0
    finally:
        program.kill()
        program.wait()
        program.stderr.close()
