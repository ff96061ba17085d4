"""A Starknet node that answers what a test sets."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from tests.adapters.rpc.fake_node import FakeNode, Refusal, fake_node

SN_MAIN = 0x534E5F4D41494E
ESCROW = Address(word(0xE5C))
WALLET = Address(word(0xA11))
REGISTRY = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
RECIPIENT = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
ORDER = Order(
    origin="starknet",
    number=7,
    recipient=RECIPIENT,
    amount=Wei(1000),
    fee=Wei(10),
    block=Block(50, word(50)),
    set_order_tx=TxHash(word(0x50)),
    changed_at=NOW,
)


def data_of(order: Order) -> list[int]:
    """Return the data of an order's SetOrder event."""
    number, amount, fee = (list(abi.halves(n)) for n in (order.number, order.amount, order.fee))
    return [*number, int(order.recipient, 16), *amount, *fee]


def emitted(data: list[int], *, block: int | None = 50, **changes: Any) -> dict[str, Any]:
    """Return EMITTED_EVENT of the specification; without a block hash where `block` is None."""
    event: dict[str, Any] = {
        "from_address": hex(int(ESCROW, 16)),
        "keys": [hex(abi.SET_ORDER)],
        "data": [hex(felt) for felt in data],
        "transaction_hash": "0x50",
        "transaction_index": 0,
        "event_index": 3,
    }
    if block is not None:
        event |= {"block_number": block, "block_hash": hex(block)}
    return event | changes


class StarknetFake:
    """A chain of empty blocks whose hashes are their numbers, with an escrow that holds ORDER."""

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.url = node.url
        self.head = 100
        self.made = 1_700_000_000  # when blocks were made, in Unix time
        self.version = "0.10.2"
        self.chain_id = SN_MAIN
        self.pages: list[list[dict[str, Any]]] = [[]]  # of events
        self.filters: list[dict[str, Any]] = []
        self.views: dict[int, Any] = {
            abi.WALLET: [int(WALLET, 16)],
            abi.REGISTRY: [int(REGISTRY, 16)],
            abi.PAUSED: [0],
            abi.GET_ORDER: data_of(ORDER)[2:],
            abi.GET_ORDER_PENDING: [1],
        }
        node.methods = {
            "starknet_specVersion": lambda: self.version,
            "starknet_chainId": lambda: hex(self.chain_id),
            "starknet_blockHashAndNumber": lambda: self.place(self.head),
            "starknet_getBlockWithTxHashes": self.block,
            "starknet_getEvents": self.events,
            "starknet_call": self.call,
        }

    def place(self, number: int) -> dict[str, Any]:
        return {"block_number": number, "block_hash": hex(number)}

    def block(self, block_id: Any) -> dict[str, Any]:
        number = self.head if isinstance(block_id, str) else block_id["block_number"]
        if number > self.head:
            raise Refusal(24, "Block not found")
        price = {"price_in_fri": "0x1", "price_in_wei": "0x1"}
        return self.place(number) | {
            "status": "ACCEPTED_ON_L2",
            "parent_hash": hex(max(0, number - 1)),
            "new_root": "0x1",
            "timestamp": self.made,
            "sequencer_address": "0x1",
            "l1_gas_price": price,
            "l1_data_gas_price": price,
            "l2_gas_price": price,
            "l1_da_mode": "BLOB",
            "starknet_version": "0.14.1",
            "transactions": [],
            "event_commitment": "0x1",
            "transaction_commitment": "0x1",
            "receipt_commitment": "0x1",
            "state_diff_commitment": "0x1",
            "event_count": 0,
            "transaction_count": 0,
            "state_diff_length": 0,
        }

    def events(self, filter: dict[str, Any]) -> dict[str, Any]:  # noqa: A002 - the published name
        self.filters.append(filter)
        page = int(filter.get("continuation_token", "0"))
        answer: dict[str, Any] = {"events": self.pages[page]}
        return answer | (
            {"continuation_token": str(page + 1)} if page + 1 < len(self.pages) else {}
        )

    def call(self, request: dict[str, Any], block_id: Any) -> list[str]:
        answer = self.views[int(request["entry_point_selector"], 16)]
        if isinstance(answer, Refusal):
            raise answer
        return [hex(felt) for felt in answer]


@contextmanager
def starknet_fake() -> Iterator[StarknetFake]:
    with fake_node() as node:
        yield StarknetFake(node)


def client(*nodes: StarknetFake | str, **options: Any) -> StarknetRpc:
    """Return a client of these nodes, or URLs."""
    urls = [node if isinstance(node, str) else node.url for node in nodes]
    return StarknetRpc(urls, chain_id=SN_MAIN, **options)


def newest(*nodes: StarknetFake | str, **options: Any) -> Block:
    """Ask these nodes, or URLs, for the newest block."""
    return client(*nodes, **options).ask(StarknetNode.newest)
