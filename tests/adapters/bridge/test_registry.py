"""The registry's encodings, against the facts and the compiled contract."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from eth_abi.packed import encode_packed
from eth_utils import function_abi_to_4byte_selector, keccak
from web3 import Web3

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.registry_abi import ABIS, V1, V2, RegistryAbi
from mmbot_pipelines.adapters.bridge.starknet import registry as starknet_registry
from mmbot_pipelines.adapters.bridge.zksync import registry as zksync_registry
from mmbot_pipelines.adapters.evm.contracts import Function
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.decoding import InvalidResponse
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import Malformed, RegistryAbiMismatch, RpcRefused
from mmbot_pipelines.core.money import UINT256_MAX, Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.devnet.artifacts import artifact
from mmbot_pipelines.devnet.deploy import REGISTRIES
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


@pytest.fixture(params=ABIS.values(), ids=list(ABIS))
def registry(request: pytest.FixtureRequest, node: FakeNode) -> PaymentRegistry:
    rpc = Rpc([node.url], chain="L1", chain_id=1, max_batch=500)
    return PaymentRegistry(rpc, REGISTRY, start_block=0, abi=request.param)


@pytest.mark.parametrize(
    ("abi", "function", "selector"),
    [
        (V1, V1.transfer, "d71b8af0"),
        (V1, starknet_registry.CLAIMS["v1"], "c1f9789a"),
        (V1, zksync_registry.CLAIMS["v1"], "0b5e4f1a"),
        (V1, V1.transfers, "3c64f04b"),
        (V2, V2.transfer, "76b5eddc"),
        (V2, starknet_registry.CLAIMS["v2"], "1885d25e"),
        (V2, zksync_registry.CLAIMS["v2"], "8c23704d"),
        (V2, V2.transfers, "3c64f04b"),
    ],
)
def test_selectors_are_the_deployed_contracts(
    abi: RegistryAbi, function: Function, selector: str
) -> None:
    assert function.selector.hex() == selector
    compiled = artifact(REGISTRIES[abi.name])["abi"]
    (of_it,) = (f for f in compiled if f.get("name") == function.name and f["type"] == "function")
    assert function_abi_to_4byte_selector(of_it).hex() == selector
    if function.gives:
        assert tuple(o["type"] for o in of_it["outputs"]) == function.gives


def test_event_topics_are_the_deployed_contracts() -> None:
    assert V1.transferred.hex() == (
        "a021626d9973eaecfbeb0e17352f56e3e9b32891f48c11cc1c2c248a2559f79a"
    )
    assert V2.transferred.hex() == (
        "518415589d99aa369fd185c0e5c8e121cc117d365eea9d4f322ffa352b82ff36"
    )


def test_transfer_key_is_the_check_vector() -> None:
    order = replace(ORDER, origin="starknet", number=0)
    key = "64edb34a55cfcfa9c1ebc98679f7553d20a4c14305a4a044df430fd60527c87c"
    assert V1.key(order).hex() == key


def test_the_key_of_v2_is_packed_by_its_own_types() -> None:
    order = replace(ORDER, origin="starknet", number=0)
    types = ["uint256", "address", "uint256", "uint128"]
    packed = encode_packed(types, [0, RECIPIENT, 10**18, 0x534E5F4D41494E])
    assert len(packed) == 100
    assert V2.key(order) == keccak(packed)


@pytest.mark.parametrize("order", [ORDER, replace(ORDER, origin="starknet"), EDGE])
def test_calls_are_what_web3_encodes(registry: PaymentRegistry, order: Order) -> None:
    abi = registry.abi
    contract = Web3().eth.contract(address=REGISTRY, abi=artifact(REGISTRIES[abi.name])["abi"])
    chain = {
        "v1": {"starknet": 0, "zksync": 1},
        "v2": {"starknet": int.from_bytes(b"SN_MAIN"), "zksync": 324},
    }[abi.name][order.origin]
    dest: int | str = int(RECIPIENT, 16) if abi is V1 else RECIPIENT
    transfer = registry.transfer(order)
    assert (transfer.to, transfer.value) == (REGISTRY, order.amount)
    assert "0x" + transfer.data.hex() == contract.encode_abi(
        "transfer", [order.number, dest, chain]
    )
    claim = starknet_registry.claim(REGISTRY, abi, order, value=Wei(5))
    assert (claim.to, claim.value) == (REGISTRY, 5)
    name = {"v1": "claimPayment", "v2": "claimPaymentStarknet"}[abi.name]
    assert "0x" + claim.data.hex() == contract.encode_abi(name, [order.number, dest, order.amount])
    claim = zksync_registry.claim(
        REGISTRY, abi, order, gas_limit=Gas(9), gas_per_pubdata=800, value=Wei(6)
    )
    assert (claim.to, claim.value) == (REGISTRY, 6)
    args = [order.number, dest, order.amount, 9, 800]
    assert "0x" + claim.data.hex() == contract.encode_abi("claimPaymentZKSync", args)


def returned(abi: RegistryAbi, used: int) -> str:
    words = [1, 1, used, 1] if abi is V1 else [used]
    return "0x" + "".join(word(n)[2:] for n in words)


def test_many_orders_are_asked_in_one_request(node: FakeNode, registry: PaymentRegistry) -> None:
    seen = []

    def call(fields: dict[str, str], block: str) -> str:
        seen.append((fields["to"], fields["data"]))
        return returned(registry.abi, len(seen) % 2)

    node.methods["eth_call"] = call
    orders = [replace(ORDER, number=n) for n in range(200)]
    assert registry.used(orders) == [True, False] * 100
    assert len(node.requests) == 2  # the chain id, and this
    expected = [registry.abi.transfers.encode(registry.abi.key(o)).hex() for o in orders]
    assert seen == [(REGISTRY, "0x" + data) for data in expected]


def test_another_abis_answer_never_passes_for_unused(
    node: FakeNode, registry: PaymentRegistry
) -> None:
    other = V2 if registry.abi is V1 else V1
    node.methods["eth_call"] = lambda *_: returned(other, 0)
    with pytest.raises(RegistryAbiMismatch, match=f"set MMBOT_L1_REGISTRY_ABI={other.name}"):
        registry.used([ORDER])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("0x", RegistryAbiMismatch),  # no contract there
        ("0x" + "00" * 64, RegistryAbiMismatch),
        (None, InvalidResponse),
        ("0x1", InvalidResponse),
    ],
)
def test_unclear_answer_never_passes_for_unused(
    node: FakeNode, registry: PaymentRegistry, answer: object, error: type[Exception]
) -> None:
    node.methods["eth_call"] = lambda *_: answer
    with pytest.raises(error):
        registry.used([ORDER])


def test_a_dirty_flag_never_passes_for_unused(node: FakeNode, registry: PaymentRegistry) -> None:
    node.methods["eth_call"] = lambda *_: returned(registry.abi, 2)
    with pytest.raises(Malformed):
        registry.used([ORDER])


def test_refusal_never_passes_for_unused(node: FakeNode, registry: PaymentRegistry) -> None:
    def call(*_: object) -> None:
        raise Refusal(-32000, "header not found")

    node.methods["eth_call"] = call
    with pytest.raises(RpcRefused, match="zksync:7: transfers of the registry"):
        registry.used([ORDER])


# --- the Transfer event


class Transfers(LogNode):
    """A chain whose block 321 logs one transfer, by default the order's."""

    def __init__(self, node: FakeNode, abi: RegistryAbi, **changes: int) -> None:
        super().__init__(node, head=5000, most=1000)
        self.asked: list[list[str]] = []
        words = {"source": 9, "recipient": int(RECIPIENT, 16), "amount": 10**18}
        words |= {"used": 1, "chain": abi.chain("zksync")} | changes
        self.data = "0x" + "".join(word(words[field])[2:] for field in abi.event_fields)

    def logs(self, wanted: dict[str, object]) -> list[dict[str, object]]:
        topics = wanted["topics"]
        assert isinstance(topics, list)
        self.asked.append(topics)
        found = {"address": REGISTRY, "topics": topics, "data": self.data}
        return [log | found for log in super().logs(wanted) if log["blockNumber"] == hex(321)]


def test_payment_is_found_by_order_id(node: FakeNode, registry: PaymentRegistry) -> None:
    chain = Transfers(node, registry.abi)
    assert registry.paid_in(ORDER) == word(321)
    assert chain.asked[0] == ["0x" + registry.abi.transferred.hex(), word(7)]


@pytest.mark.parametrize("change", [{"recipient": 5}, {"amount": 1}, {"chain": 0}])
def test_payment_of_another_order_of_the_same_id_is_not_ours(
    node: FakeNode, registry: PaymentRegistry, change: dict[str, int]
) -> None:
    Transfers(node, registry.abi, **change)
    assert registry.paid_in(ORDER) is None


def test_an_event_of_v1_says_whether_the_transfer_is_used(node: FakeNode) -> None:
    rpc = Rpc([node.url], chain="L1", chain_id=1)
    Transfers(node, V1, used=0)
    assert PaymentRegistry(rpc, REGISTRY, start_block=0, abi=V1).paid_in(ORDER) is None


def test_malformed_event_is_passed_over(node: FakeNode, registry: PaymentRegistry) -> None:
    Transfers(node, registry.abi, chain=2**200)
    assert registry.paid_in(ORDER) is None
