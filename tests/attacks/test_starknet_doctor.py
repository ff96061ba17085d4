"""What doctor proves before money depends on storage proofs: each fault shows beforehand."""

import dataclasses
from datetime import UTC, datetime

import pytest

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.rpc.client import Rpc as L1Rpc
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.devnet.starknet.contracts import development_keys
from mmbot_pipelines.devnet.starknet.felt import felt
from tests.adapters.bridge.starknet.fake_prover import FakeProver
from tests.chain.starknet.proving import TRANSFERS_SLOT
from tests.cli.command import Mmbot
from tests.cli.test_doctor import faults
from tests.cli.test_doctor_starknet import devnet, messaging, mmbot, node, proof, service
from tests.devnet.bridge import Devnet
from tests.devnet.starknet_rpc import LocalStarknet

__all__ = ["devnet", "messaging", "mmbot", "node", "service"]  # fixtures


def transfer(devnet: Devnet) -> TxHash:
    """Pay an order of Starknet through the registry."""
    rpc = L1Rpc([devnet.deployment.l1.rpc_url], chain="L1", chain_id=devnet.deployment.l1.chain_id)
    registry = PaymentRegistry(rpc, Address(devnet.deployment.l1.registry), start_block=0)
    order = Order(
        origin="starknet",
        number=int(datetime.now(UTC).timestamp() * 1e6),
        recipient=Address("0x00000000000000000000000000000000000000A1"),
        amount=Wei(10**15),
        fee=Wei(1),
        block=Block(1, "0x1"),
        set_order_tx=TxHash("0x1"),
        changed_at=datetime.now(UTC),
    )
    call = registry.transfer(dataclasses.replace(order))
    sender = devnet.l1.eth.account.from_key(devnet.deployment.private_key)
    signed = sender.sign_transaction(
        {
            "to": call.to,
            "data": call.data,
            "value": call.value,
            "nonce": devnet.l1.eth.get_transaction_count(sender.address),
            "gas": 300_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
            "chainId": devnet.deployment.l1.chain_id,
        }
    )
    sent = devnet.l1.eth.send_raw_transaction(signed.raw_transaction)
    assert devnet.l1.eth.wait_for_transaction_receipt(sent)["status"] == 1
    return TxHash(sent.to_0x_hex())


def test_a_key_of_another_account_is_a_fault(mmbot: Mmbot, service: FakeProver) -> None:
    other = hex(development_keys(3).private_key)
    (line,) = faults(mmbot(**proof(service, MMBOT_STARKNET_PRIVATE_KEY=other)))
    assert "does not take our signature: fix MMBOT_STARKNET_PRIVATE_KEY" in line
    assert other[2:] not in line
    assert "takes our signature" in mmbot(**proof(service)).out


def test_a_slot_that_reads_nothing_is_a_fault_and_the_right_one_is_named(
    mmbot: Mmbot, service: FakeProver, devnet: Devnet
) -> None:
    if "has no transfer yet" in mmbot(**proof(service)).out:
        assert faults(mmbot(**proof(service))) == []
    tx = transfer(devnet)
    (line,) = faults(mmbot(**proof(service, MMBOT_STARKNET_TRANSFERS_SLOT="7")))
    assert f"the transfer in {tx} is not found: set it to {TRANSFERS_SLOT}" in line
    assert f"reads the transfer in {tx}" in mmbot(**proof(service)).out


def test_an_account_without_strk_is_a_fault(
    mmbot: Mmbot, service: FakeProver, node: LocalStarknet
) -> None:
    address = development_keys(77).address
    empty = felt(address)
    node.store("wallet", value=address)
    node.mine()
    found = faults(mmbot(**proof(service, MMBOT_STARKNET_WALLET_ADDRESS=empty)))
    assert any("holds 0 STRK for the fees of its transactions: send some" in f for f in found)
    assert any("no account is at" in f for f in found)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (404, b"<html>not found</html>", "answered HTTP 404 without a reason"),
        (200, b"<html>welcome</html>", "answered no task's status"),
        (200, b'{"queryStatus": "DONE"}', "calls a task done that cannot be"),
        (502, b"{}", "answered HTTP 502"),
    ],
)
def test_a_gateway_in_the_provers_place_is_a_fault(
    mmbot: Mmbot, service: FakeProver, status: int, body: bytes, expected: str
) -> None:
    service.status, service.body = status, body
    found = faults(mmbot(**proof(service)))
    assert any(expected in line for line in found), found
