"""Whatever a node answers, each adapter returns a value or raises a failure of its own words."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from eth_abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.evm.chain import EthereumChain, LocalSigner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcCall, RpcError
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Fees
from tests.adapters.evm.wallet_answers import transaction
from tests.adapters.rpc.any_json import JSON
from tests.bridge.orders import an_order

HOME = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
TX = TxHash("0x" + "ab" * 32)
CALL = Call(to=HOME, data=b"\1", value=Wei(3))
FEES = Fees(base=Wei(10), priority=Wei(1), ceiling=Wei(21))
ORDERS = [an_order(1), an_order(2)]

QUANTITIES = st.integers(0, 2**256 - 1).map(hex) | st.integers(0, 200).map(hex)
WORDS = st.binary(min_size=32, max_size=32).map(lambda b: "0x" + b.hex())
BYTES = st.binary(max_size=200).map(lambda b: "0x" + b.hex())
VIEWS = st.tuples(st.integers(0, 2**160 - 1), st.integers(0, 3), st.integers(0, 3)).map(
    lambda t: "0x" + encode(["address", "uint256", "uint256"], [f"0x{t[0]:040x}", *t[1:]]).hex()
)
SCALARS = QUANTITIES | WORDS | BYTES | VIEWS | st.none()
FIELDS = st.sampled_from(
    [
        "number",
        "hash",
        "timestamp",
        "gasLimit",
        "baseFeePerGas",
        "transactionHash",
        "status",
        "blockNumber",
        "blockHash",
        "gasUsed",
        "effectiveGasPrice",
        "address",
        "topics",
        "data",
        "logIndex",
        "removed",
    ]
)
BLOCKS = st.fixed_dictionaries(
    {"number": st.just("0x64"), "hash": st.just(TX), "gasLimit": QUANTITIES},
    optional={"timestamp": QUANTITIES, "baseFeePerGas": QUANTITIES},
)
OBJECTS = BLOCKS | st.dictionaries(FIELDS, SCALARS | JSON, max_size=8)
ERRORS = st.builds(
    RpcError, st.sampled_from([3, -32000, -32005, -32603, 0]), st.text(max_size=30), SCALARS | JSON
)
ANSWERS = st.lists(SCALARS | OBJECTS | st.lists(OBJECTS, max_size=2) | JSON | ERRORS, min_size=1)


class Answering:
    """A node's `ask` that gives the same answers over and over, whatever is asked."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers, self._next = answers, 0

    def __call__(self, rpc_calls: Sequence[RpcCall]) -> list[Answer]:
        given = [
            self._answers[(self._next + i) % len(self._answers)] for i in range(len(rpc_calls))
        ]
        self._next += len(rpc_calls)
        return given


def client(answers: Sequence[Answer], chain: str) -> Rpc:
    rpc = Rpc(["http://127.0.0.1:1"], chain=chain, chain_id=1)
    node = rpc.members[0]
    node.verified = True
    node.ask = Answering(answers)
    return rpc


def wallet(answers: Sequence[Answer]) -> EthereumChain:
    return EthereumChain(client(answers, "L1"), LocalSigner("4c" * 32))


def registry(answers: Sequence[Answer]) -> PaymentRegistry:
    return PaymentRegistry(client(answers, "L1"), HOME, start_block=90)


def zksync(answers: Sequence[Answer]) -> ZkSyncOrigin:
    return ZkSyncOrigin(
        client(answers, "zksync"),
        client(answers, "L1"),
        HOME,
        escrow=HOME,
        diamond=HOME,
        wallet=HOME,
        start=0,
        accepted=3,
    )


RPC_CALLS: dict[str, Callable[[Sequence[Answer]], Any]] = {
    "wallet.head": lambda a: wallet(a).head(),
    "wallet.fees": lambda a: wallet(a).fees(),
    "wallet.balance": lambda a: wallet(a).balance(),
    "wallet.nonce": lambda a: wallet(a).nonce(pending=False),
    "wallet.pending_nonce": lambda a: wallet(a).nonce(pending=True),
    "wallet.simulate": lambda a: wallet(a).simulate([CALL] * 2, FEES),
    "wallet.broadcast": lambda a: wallet(a).broadcast([b"\2a", b"\2b"]),
    "wallet.receipts": lambda a: wallet(a).receipts([TX] * 2),
    "wallet.knows": lambda a: wallet(a).known_by_node([TX] * 2),
    "wallet.revert_reason": lambda a: wallet(a).revert_reason(transaction()),
    "registry.used": lambda a: registry(a).used(ORDERS),
    "registry.paid_in": lambda a: registry(a).paid_in(ORDERS[0]),
    "zksync.head": lambda a: zksync(a).head(Cursor.LATEST),
    "zksync.accepted": lambda a: zksync(a).head(Cursor.ACCEPTED),
    "zksync.scan": lambda a: zksync(a).scan(90, 100),
    "zksync.blocks": lambda a: zksync(a).blocks([90, 100]),
    "zksync.check": lambda a: zksync(a).check(ORDERS),
    "zksync.message_fee": lambda a: zksync(a).message_fee(ORDERS, FEES),
    "zksync.settled": lambda a: zksync(a).settled(ORDERS),
    "newest_block": lambda a: client(a, "L1").newest_block(),
}


@pytest.mark.parametrize("name", RPC_CALLS)
@settings(max_examples=60, deadline=None)
@given(answers=ANSWERS)
def test_any_answer_is_a_value_or_a_failure(name: str, answers: list[Answer]) -> None:
    try:
        RPC_CALLS[name](answers)
    except Failure as e:
        logged = str(e)
        assert logged
        assert len(logged) < 800
        assert all(c.isprintable() for c in logged)
