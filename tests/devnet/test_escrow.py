"""The zkSync escrow behaves as the deployed one (chain_facts.md)."""

import pytest
from web3.contract.contract import ContractFunction

from mmbot_pipelines.devnet.artifacts import deploy, send
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.orders import OrderSpec, burst, place
from tests.devnet.bridge import (
    ETHER,
    STRANGER,
    UINT256_MAX,
    Devnet,
    force,
    refusal,
)


@pytest.fixture
def order(devnet: Devnet) -> OrderSpec:
    return burst(devnet.deployment, 1)[0]


@pytest.fixture
def claimer(devnet: Devnet) -> str:
    registry = devnet.deployment.zksync.aliased_registry
    ask(devnet.l2, "anvil_setBalance", registry, hex(ETHER))
    ask(devnet.l2, "anvil_impersonateAccount", registry)
    return registry


def escrow_claim(devnet: Devnet, order_id: int, order: OrderSpec) -> ContractFunction:
    return devnet.escrow.functions.claim_payment(order_id, order.recipient, order.amount)


def test_orders_are_numbered_from_zero(devnet: Devnet, order: OrderSpec) -> None:
    assert [place(devnet.deployment.zksync, order) for _ in range(3)] == [0, 1, 2]


def test_set_order_event_on_the_wire(devnet: Devnet, order: OrderSpec) -> None:
    call = devnet.escrow.functions.set_order(order.recipient, order.fee)
    (log,) = send(call, sender=order.user, value=order.amount + order.fee)["logs"]
    assert len(log["topics"]) == 1
    fields = [0, int(order.recipient, 16), order.amount, order.fee]
    assert log["data"] == b"".join(word.to_bytes(32) for word in fields)


def test_an_absent_order_is_empty_and_not_pending(devnet: Devnet) -> None:
    assert devnet.escrow.functions.get_order(7).call() == ["0x" + "00" * 20, 0, 0]
    assert not devnet.is_pending(7)


def test_a_claimed_order_stays_readable(devnet: Devnet, order: OrderSpec, claimer: str) -> None:
    order_id = place(devnet.deployment.zksync, order)
    send(escrow_claim(devnet, order_id, order), sender=claimer)
    assert not devnet.is_pending(order_id)
    stored = devnet.escrow.functions.get_order(order_id).call()
    assert stored == [order.recipient, order.amount, order.fee]


@pytest.mark.parametrize(
    ("recipient", "fee", "value", "reason"),
    [
        (STRANGER, 2, 2, "Value must be higher than the fee"),
        (STRANGER, UINT256_MAX, 2, "Value must be higher than the fee"),
    ],
)
def test_the_escrow_refuses_orders(
    devnet: Devnet, recipient: str, fee: int, value: int, reason: str
) -> None:
    call = devnet.escrow.functions.set_order(recipient, fee)
    assert refusal(call, sender=STRANGER, value=value) == reason


def test_the_escrow_takes_the_zero_address(devnet: Devnet, order: OrderSpec) -> None:
    call = devnet.escrow.functions.set_order("0x" + "00" * 20, order.fee)
    assert send(call, sender=order.user, value=order.amount + order.fee)["status"] == 1


def test_only_the_aliased_registry_claims(devnet: Devnet, order: OrderSpec) -> None:
    order_id = place(devnet.deployment.zksync, order)
    registry = devnet.registry.address  # not aliased
    for sender in (STRANGER, registry, devnet.deployment.market_maker):
        reason = refusal(escrow_claim(devnet, order_id, order), sender=sender)
        assert reason == "Only PAYMENT_REGISTRY can call"
    assert force(escrow_claim(devnet, order_id, order), sender=STRANGER)["status"] == 0
    assert devnet.is_pending(order_id)


def test_the_escrow_checks_what_is_claimed(devnet: Devnet, order: OrderSpec, claimer: str) -> None:
    order_id = place(devnet.deployment.zksync, order)
    claim = devnet.escrow.functions.claim_payment
    wrong = {
        claim(order_id + 1, order.recipient, order.amount): "Order claimed or nonexistent",
        claim(order_id, STRANGER, order.amount): "recipient_address not match L1",
        claim(order_id, order.recipient, order.amount + 1): "amount not match L1",
    }
    for call, reason in wrong.items():
        assert refusal(call, sender=claimer) == reason
    send(claim(order_id, order.recipient, order.amount), sender=claimer)
    call = claim(order_id, order.recipient, order.amount)
    assert refusal(call, sender=claimer) == "Order claimed or nonexistent"


def test_a_paused_escrow_takes_neither_orders_nor_claims(
    devnet: Devnet, order: OrderSpec, claimer: str
) -> None:
    order_id = place(devnet.deployment.zksync, order)
    functions, owner = devnet.escrow.functions, devnet.deployment.zksync.owner
    setters = [
        functions.set_mm_zksync_wallet(STRANGER),
        functions.set_ethereum_payment_registry(STRANGER),
    ]
    for call in (functions.pause(), functions.unpause(), *setters):
        assert refusal(call, sender=STRANGER) == "Ownable: caller is not the owner"
    send(functions.pause(), sender=owner)
    assert functions.paused().call()
    new = functions.set_order(order.recipient, order.fee)
    value = order.amount + order.fee
    assert refusal(new, sender=order.user, value=value) == "Pausable: paused"
    assert refusal(escrow_claim(devnet, order_id, order), sender=claimer) == "Pausable: paused"
    for call in setters:
        assert refusal(call, sender=owner) == "Pausable: paused"
    send(functions.unpause(), sender=owner)
    send(escrow_claim(devnet, order_id, order), sender=claimer)
    assert not devnet.is_pending(order_id)


def test_a_wallet_that_takes_no_money_leaves_the_order_pending(
    devnet: Devnet, order: OrderSpec, claimer: str
) -> None:
    owner = devnet.deployment.zksync.owner
    rejecting = deploy(devnet.l2, "RejectingRecipient", sender=owner).address
    order_id = place(devnet.deployment.zksync, order)
    send(devnet.escrow.functions.set_mm_zksync_wallet(rejecting), sender=owner)
    assert refusal(escrow_claim(devnet, order_id, order), sender=claimer) == "Payment failed"
    assert devnet.is_pending(order_id)
