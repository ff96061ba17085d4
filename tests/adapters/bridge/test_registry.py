"""The registry's encodings, against the facts and the compiled contract."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from eth_utils import function_abi_to_4byte_selector
from web3 import Web3

from mmbot_pipelines.adapters.bridge import registry as abi
from mmbot_pipelines.adapters.bridge.registry import RegistryV1, transfer_key
from mmbot_pipelines.adapters.bridge.starknet import registry as starknet_registry
from mmbot_pipelines.adapters.bridge.zksync import registry as zksync_registry
from mmbot_pipelines.adapters.evm.contracts import Function
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.decoding import InvalidResponse
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.errors import RegistryAbiMismatch, RpcRefused
from mmbot_pipelines.core.money import UINT256_MAX, Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.devnet.artifacts import artifact
from tests.adapters.evm.log_node import LogNode
from tests.adapters.rpc.fake_node import FakeNode, Refusal, word

REGISTRY = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
RECIPIENT = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
ORDER = Order(
    origin="zksync",
    number=7,
    recipient=RECIPIENT,
    amount=Wei(10**18),
    fee=Wei(1),
    block=Block(1, word(1)),
    set_order_tx=TxHash(word(2)),
    changed_at=datetime(2026, 1, 1, tzinfo=UTC),
)
EDGE = replace(ORDER, number=UINT256_MAX, amount=Wei(UINT256_MAX))


@pytest.fixture
def registry(node: FakeNode) -> RegistryV1:
    rpc = Rpc([node.url], chain="L1", chain_id=1, max_batch=500)
    return RegistryV1(rpc, REGISTRY, start_block=0)


@pytest.mark.parametrize(
    ("function", "selector"),
    [
        (abi.TRANSFER, "d71b8af0"),
        (starknet_registry.CLAIM, "c1f9789a"),
        (zksync_registry.CLAIM, "0b5e4f1a"),
        (abi.TRANSFERS, "3c64f04b"),
    ],
)
def test_selectors_are_the_deployed_contracts(function: Function, selector: str) -> None:
    assert function.selector.hex() == selector
    compiled = [f for f in artifact("PaymentRegistry")["abi"] if f.get("name") == function.name]
    assert [function_abi_to_4byte_selector(f).hex() for f in compiled] == [selector]
    if function.gives:
        assert tuple(o["type"] for o in compiled[0]["outputs"]) == function.gives


def test_event_topic_is_the_deployed_contracts() -> None:
    topic = "a021626d9973eaecfbeb0e17352f56e3e9b32891f48c11cc1c2c248a2559f79a"
    assert abi.TRANSFERRED.hex() == topic


def test_transfer_key_is_the_check_vector() -> None:
    order = replace(ORDER, origin="starknet", number=0)
    key = "64edb34a55cfcfa9c1ebc98679f7553d20a4c14305a4a044df430fd60527c87c"
    assert transfer_key(order).hex() == key


@pytest.mark.parametrize("order", [ORDER, replace(ORDER, origin="starknet"), EDGE])
def test_calls_are_what_web3_encodes(registry: RegistryV1, order: Order) -> None:
    contract = Web3().eth.contract(address=REGISTRY, abi=artifact("PaymentRegistry")["abi"])
    chain, dest = {"starknet": 0, "zksync": 1}[order.origin], int(RECIPIENT, 16)
    transfer = registry.transfer(order)
    assert (transfer.to, transfer.value) == (REGISTRY, order.amount)
    args: list[int] = [order.number, dest, chain]
    assert "0x" + transfer.data.hex() == contract.encode_abi("transfer", args)
    claim = starknet_registry.claim(REGISTRY, order, value=Wei(5))
    assert (claim.to, claim.value) == (REGISTRY, 5)
    args = [order.number, dest, order.amount]
    assert "0x" + claim.data.hex() == contract.encode_abi("claimPayment", args)
    claim = zksync_registry.claim(
        REGISTRY, order, gas_limit=Gas(9), gas_per_pubdata=800, value=Wei(6)
    )
    assert (claim.to, claim.value) == (REGISTRY, 6)
    args = [order.number, dest, order.amount, 9, 800]
    assert "0x" + claim.data.hex() == contract.encode_abi("claimPaymentZKSync", args)


def test_many_orders_are_asked_in_one_request(node: FakeNode, registry: RegistryV1) -> None:
    seen = []

    def call(fields: dict[str, str], block: str) -> str:
        seen.append((fields["to"], fields["data"]))
        return "0x" + "".join(word(n)[2:] for n in (1, 1, len(seen) % 2, 1))

    node.methods["eth_call"] = call
    orders = [replace(ORDER, number=n) for n in range(200)]
    assert registry.used(orders) == [True, False] * 100
    assert len(node.requests) == 2  # the chain id, and this
    expected = [abi.TRANSFERS.encode(transfer_key(order)).hex() for order in orders]
    assert seen == [(REGISTRY, "0x" + data) for data in expected]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("0x", RegistryAbiMismatch),  # no contract there
        (word(1), RegistryAbiMismatch),  # as ABI v2 answers
        (None, InvalidResponse),
        ("0x1", InvalidResponse),
    ],
)
def test_unclear_answer_never_passes_for_unused(
    node: FakeNode, registry: RegistryV1, answer: object, error: type[Exception]
) -> None:
    node.methods["eth_call"] = lambda *_: answer
    with pytest.raises(error):
        registry.used([ORDER])


def test_refusal_never_passes_for_unused(node: FakeNode, registry: RegistryV1) -> None:
    def call(*_: object) -> None:
        raise Refusal(-32000, "header not found")

    node.methods["eth_call"] = call
    with pytest.raises(RpcRefused, match="zksync:7: transfers of the registry"):
        registry.used([ORDER])


# --- the Transfer event


class Transfers(LogNode):
    """A chain whose block 321 logs one transfer, by default the order's."""

    def __init__(self, node: FakeNode, **changes: int) -> None:
        super().__init__(node, head=5000, most=1000)
        self.asked: list[list[str]] = []
        words = {"src": 9, "dest": int(RECIPIENT, 16), "amount": 10**18, "used": 1, "chain": 1}
        self.data = "0x" + "".join(word(n)[2:] for n in (words | changes).values())

    def logs(self, wanted: dict[str, object]) -> list[dict[str, object]]:
        topics = wanted["topics"]
        assert isinstance(topics, list)
        self.asked.append(topics)
        found = {"address": REGISTRY, "topics": topics, "data": self.data}
        return [log | found for log in super().logs(wanted) if log["blockNumber"] == hex(321)]


def test_payment_is_found_by_order_id(node: FakeNode, registry: RegistryV1) -> None:
    chain = Transfers(node)
    assert registry.paid_in(ORDER) == word(321)
    assert chain.asked[0] == ["0x" + abi.TRANSFERRED.hex(), word(7)]


@pytest.mark.parametrize("change", [{"dest": 5}, {"amount": 1}, {"chain": 0}, {"used": 0}])
def test_payment_of_another_order_of_the_same_id_is_not_ours(
    node: FakeNode, registry: RegistryV1, change: dict[str, int]
) -> None:
    Transfers(node, **change)
    assert registry.paid_in(ORDER) is None


def test_malformed_event_is_passed_over(node: FakeNode, registry: RegistryV1) -> None:
    Transfers(node, chain=2**200)
    assert registry.paid_in(ORDER) is None
