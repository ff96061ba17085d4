"""What the wallet makes of nodes that refuse, lie, or speak another client's words."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.ethereum.blocks import NodeBehind
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.adapters.ethereum.wallet import (
    EthereumChain,
    LocalSigner,
    Underpriced,
    receipt,
)
from mmbot_pipelines.adapters.ethereum.wire import BadAnswer
from mmbot_pipelines.core.errors import (
    Failure,
    Lost,
    OutOfFunds,
    RevertForeseen,
    RpcRefused,
    RpcUnavailable,
)
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Fees, Transaction
from tests.adapters.ethereum.fake_node import FakeNode, Refusal
from tests.adapters.ethereum.test_wire import JSON

TO = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
CALL = Call(to=TO, data=b"\1\2", value=Wei(3))
FEES = Fees(base=Wei(10), priority=Wei(1), ceiling=Wei(21))
TX = TxHash("0x" + "ab" * 32)
BLOCK = "0x" + "cd" * 32


def refuse(code: int, message: str, data: Any = None) -> Any:
    def method(*_: Any) -> None:
        raise Refusal(code, message, data)

    return method


def header(**changes: Any) -> Any:
    block = {"number": "0x64", "hash": BLOCK, "gasLimit": hex(30_000_000), "baseFeePerGas": "0x64"}
    return lambda *_: block | changes


def told(**changes: Any) -> dict[str, Any]:
    return {
        "transactionHash": TX,
        "status": "0x1",
        "blockNumber": "0x64",
        "blockHash": BLOCK,
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x65",
    } | changes


@pytest.fixture
def chain(node: FakeNode) -> EthereumChain:
    node.methods |= {
        "eth_getBlockByNumber": header(),
        "eth_getBalance": lambda *_: hex(10**18),
        "eth_maxPriorityFeePerGas": lambda: "0x5",
    }
    return EthereumChain(Rpc([node.url], chain="L1", chain_id=1), LocalSigner("4c" * 32))


def transaction(**changes: Any) -> Transaction:
    row = Transaction(
        subject="zksync:0",
        purpose="transfer",
        attempt=1,
        chain_id=1,
        wallet=TO,
        nonce=0,
        hash=TX,
        raw=b"",
        call=CALL,
        gas=Gas(100_000),
        fees=FEES,
        stored_at=datetime.now(UTC),
    )
    return replace(row, **changes)


# --- fees


@pytest.mark.parametrize(("base", "next_base"), [(100, 113), (8, 9), (7, 8), (1, 2), (0, 0)])
def test_base_is_what_the_next_block_can_ask_at_most(
    node: FakeNode, chain: EthereumChain, base: int, next_base: int
) -> None:
    node.methods["eth_getBlockByNumber"] = header(baseFeePerGas=hex(base))
    assert chain.fees() == Fees(base=Wei(next_base), priority=Wei(5), ceiling=Wei(2 * base + 5))


def test_priority_has_a_default(node: FakeNode, chain: EthereumChain) -> None:
    del node.methods["eth_maxPriorityFeePerGas"]
    assert chain.fees().priority == 10**9


def test_priority_of_a_lying_node_is_capped(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_maxPriorityFeePerGas"] = lambda: hex(10**18)
    assert chain.fees() == Fees(base=Wei(113), priority=Wei(2 * 10**10), ceiling=Wei(20000000200))


@pytest.mark.parametrize("base", [10**15 + 1, 2**256 - 1])
def test_impossible_base_fee_is_a_bad_answer(
    node: FakeNode, chain: EthereumChain, base: int
) -> None:
    node.methods["eth_getBlockByNumber"] = header(baseFeePerGas=hex(base))
    with pytest.raises(BadAnswer, match="impossible base fee"):
        chain.fees()


@pytest.mark.parametrize("pending", [True, False])
def test_impossible_nonce_is_a_bad_answer(
    node: FakeNode, chain: EthereumChain, pending: bool
) -> None:
    node.methods["eth_getTransactionCount"] = lambda *_: hex(2**64 - 1)
    with pytest.raises(BadAnswer, match="impossible nonce"):
        chain.nonce(pending=pending)


def test_chain_without_base_fee_is_refused(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_getBlockByNumber"] = header(baseFeePerGas=None)
    with pytest.raises(RpcRefused, match="EIP-1559 is needed"):
        chain.fees()


# --- simulation


@pytest.mark.parametrize(
    ("estimate", "gas"),
    [
        (100_000, 125_000),
        (100_001, 125_002),  # rounded up
        (21_000, 26_250),
        (15_000_000, 2**24),  # a quarter more than a transaction can have (EIP-7825)
        (2**24 + 1, 2**24 + 1),
        (50_000_000, 50_000_000),  # as the node says
    ],
)
def test_estimate_gets_headroom(
    node: FakeNode, chain: EthereumChain, estimate: int, gas: int
) -> None:
    node.methods["eth_estimateGas"] = lambda *_: hex(estimate)
    assert chain.simulate([CALL]) == [gas]


def test_headroom_ends_at_the_blocks_gas_limit(node: FakeNode, chain: EthereumChain) -> None:
    node.methods |= {
        "eth_getBlockByNumber": header(gasLimit=hex(110_000)),
        "eth_estimateGas": lambda *_: hex(100_000),
    }
    assert chain.simulate([CALL]) == [110_000]


def test_estimate_is_of_the_call_from_the_wallet(node: FakeNode, chain: EthereumChain) -> None:
    seen = []
    node.methods["eth_estimateGas"] = lambda *asked: seen.append(asked) or "0x1"
    chain.simulate([CALL])
    call = {"from": chain.wallet, "to": TO, "data": "0x0102", "value": "0x3"}
    assert seen == [(call, "latest")]  # what waits in the pool must not count


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        ((3, "execution reverted: no"), RevertForeseen, "the call would revert: no"),
        ((-32000, "gas required exceeds allowance (30000000)"), RevertForeseen, "exceeds"),
        ((-32000, "insufficient funds for transfer"), OutOfFunds, "send ETH"),
        ((-32003, "Insufficient funds for gas * price + value"), OutOfFunds, "send ETH"),
        ((-32010, "insufficient sender balance"), OutOfFunds, "send ETH"),
        ((-32004, "Upfront cost exceeds account balance"), OutOfFunds, "send ETH"),
        ((-32000, "header not found"), RpcRefused, "header not found"),
        ((0, ""), RpcRefused, "eth_estimateGas"),
    ],
)
def test_simulation_tells_the_calls_fault_from_the_nodes(
    node: FakeNode, chain: EthereumChain, error: Any, kind: type[Failure], said: str
) -> None:
    node.methods["eth_estimateGas"] = refuse(*error)
    (failure,) = chain.simulate([CALL])
    assert type(failure) is kind
    assert said in str(failure)


def test_rate_limit_is_an_outage_and_no_orders_fault(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_estimateGas"] = refuse(-32005, "too many requests")
    with pytest.raises(RpcUnavailable, match="limits our rate"):
        chain.simulate([CALL])


def test_revert_reason_that_speaks_of_funds_is_still_a_revert(
    node: FakeNode, chain: EthereumChain
) -> None:
    node.methods["eth_estimateGas"] = refuse(3, "execution reverted: insufficient funds")
    assert isinstance(chain.simulate([CALL])[0], RevertForeseen)


def test_value_above_the_balance_is_seen_where_the_node_does_not(
    node: FakeNode, chain: EthereumChain
) -> None:
    node.methods |= {"eth_estimateGas": lambda *_: "0x5208", "eth_getBalance": lambda *_: "0x2"}
    (failure,) = chain.simulate([CALL])
    assert isinstance(failure, OutOfFunds)
    assert "the wallet has 0.000000000000000002 ETH (2 wei)" in str(failure)


# --- broadcast


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ((-32000, "nonce too low: next nonce 5, tx nonce 4"), Lost),
        ((-32000, "replacement transaction underpriced"), Underpriced),
        ((-32000, "transaction underpriced"), Underpriced),
        ((-32000, "max fee per gas less than block base fee"), Underpriced),
        ((-32000, "FeeTooLow, EffectivePriorityFeePerGas too low"), Underpriced),
        ((-32000, "insufficient funds for gas * price + value: balance 0"), OutOfFunds),
        ((-32000, "txpool is full"), RpcRefused),
        ((-32000, "exceeds block gas limit"), RpcRefused),
    ],
)
def test_refused_transaction_is_classed(
    node: FakeNode, chain: EthereumChain, error: Any, kind: type[Failure]
) -> None:
    node.methods |= {
        "eth_sendRawTransaction": refuse(*error),
        "eth_getTransactionByHash": lambda _: None,
    }
    (failure,) = chain.broadcast([b"\2raw"])
    assert type(failure) is kind
    assert error[1] in str(failure)


@pytest.mark.parametrize("words", ["already known", "AlreadyKnown", "nonce too low", "known tx"])
def test_transaction_that_the_node_has_counts_as_handed_over(
    node: FakeNode, chain: EthereumChain, words: str
) -> None:
    node.methods |= {
        "eth_sendRawTransaction": refuse(-32000, words),
        "eth_getTransactionByHash": lambda tx: {"hash": tx},
    }
    assert chain.broadcast([b"\2raw"]) == [None]


def test_fault_stands_in_the_place_of_its_transaction(node: FakeNode, chain: EthereumChain) -> None:
    def send(raw: str) -> str:
        if raw == "0x0262":
            raise Refusal(-32000, "nonce too low")
        return "0x" + keccak(hexstr=raw).hex()

    node.methods |= {"eth_sendRawTransaction": send, "eth_getTransactionByHash": lambda _: None}
    first, second, third = chain.broadcast([b"\2a", b"\2b", b"\2c"])
    assert (first, third) == (None, None)
    assert isinstance(second, Lost)


def test_outage_stands_in_every_place(node: FakeNode, chain: EthereumChain) -> None:
    node.status = 503
    failures = chain.broadcast([b"\2a", b"\2b"])
    assert [type(f) for f in failures] == [RpcUnavailable] * 2


# --- receipts


def test_receipt_is_read(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_getTransactionReceipt"] = lambda _: told(status="0x0")
    (found,) = chain.receipts([TX])
    assert found is not None
    assert not found.succeeded
    assert (found.block, found.gas_used, found.gas_price) == (Block(100, BLOCK), 21000, 101)


@pytest.mark.parametrize(
    "lie",
    [
        {"transactionHash": BLOCK},
        {"status": None},
        {"status": "0x2"},
        {"status": True},
        {"blockHash": None},
        {"blockNumber": None},
        {"gasUsed": "21000"},
        {"effectiveGasPrice": None},
    ],
)
def test_receipt_that_cannot_be_is_a_bad_answer(
    node: FakeNode, chain: EthereumChain, lie: dict[str, Any]
) -> None:
    node.methods["eth_getTransactionReceipt"] = lambda _: told(**lie)
    with pytest.raises(BadAnswer):
        chain.receipts([TX])


@given(st.dictionaries(st.sampled_from(sorted(told())), JSON) | JSON)
def test_no_json_breaks_the_reading_of_receipts(changes: Any) -> None:
    try:
        found = receipt(TX, told(**changes) if isinstance(changes, dict) else changes)
    except BadAnswer:
        return
    assert found.hash == TX


def test_refused_receipt_is_no_missing_one(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_getTransactionReceipt"] = refuse(-32000, "indexing is in progress")
    with pytest.raises(RpcRefused, match="indexing"):
        chain.receipts([TX])


def test_other_transaction_under_the_hash_is_not_known(
    node: FakeNode, chain: EthereumChain
) -> None:
    node.methods["eth_getTransactionByHash"] = lambda _: {"hash": BLOCK}
    assert chain.knows([TX]) == [False]


# --- why a transaction reverted


def replays(node: FakeNode, answer: Any, gas_used: int = 60_000) -> list[Any]:
    seen: list[Any] = []

    def call(fields: Any, block: str) -> Any:
        seen.append((fields.get("gasPrice"), int(block, 16)))
        return answer(fields, int(block, 16))

    reverted = told(status="0x0", gasUsed=hex(gas_used))
    node.methods |= {"eth_getTransactionReceipt": lambda _: reverted, "eth_call": call}
    return seen


def test_replay_is_on_the_block_before_first(node: FakeNode, chain: EthereumChain) -> None:
    seen = replays(node, lambda _, block: refuse(3, f"execution reverted: at {block}")())
    assert chain.revert_reason(transaction()) == "at 99"
    assert seen[0] == ("0x65", 99)


def test_own_block_tells_what_came_before_in_it(node: FakeNode, chain: EthereumChain) -> None:
    replays(node, lambda _, block: "0x" if block == 99 else refuse(3, "execution reverted: used")())
    assert chain.revert_reason(transaction()) == "used"


def test_price_that_the_node_refuses_does_not_hide_the_reason(
    node: FakeNode, chain: EthereumChain
) -> None:
    def answer(fields: Any, _: int) -> Any:
        if "gasPrice" in fields:
            return refuse(-32000, "max fee per gas less than block base fee")()
        return refuse(3, "execution reverted: why")()

    replays(node, answer)
    assert chain.revert_reason(transaction()) == "why"


def test_replay_that_succeeds_is_said_so(node: FakeNode, chain: EthereumChain) -> None:
    replays(node, lambda *_: "0x")
    assert chain.revert_reason(transaction()) == "unknown: it succeeds when it is replayed"


def test_gas_all_used_is_said_so(node: FakeNode, chain: EthereumChain) -> None:
    replays(node, lambda *_: "0x", gas_used=100_000)
    assert chain.revert_reason(transaction()).endswith("; it used all of its 100000 gas")


def test_node_without_old_state_is_said_so(node: FakeNode, chain: EthereumChain) -> None:
    replays(node, lambda *_: refuse(-32000, "missing trie node")())
    assert chain.revert_reason(transaction()) == "unknown: missing trie node (code -32000)"


def test_reverted_transaction_whose_block_vanished_is_said_so(
    node: FakeNode, chain: EthereumChain
) -> None:
    node.methods["eth_getTransactionReceipt"] = lambda _: None
    assert "taken back" in chain.revert_reason(transaction())


# --- other questions


def test_refused_question_is_one_line(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_getBalance"] = refuse(-32000, "state\nunavailable")
    with pytest.raises(RpcRefused) as raised:
        chain.balance()
    line = "a node of L1 refuses eth_getBalance: stateunavailable (code -32000)"
    assert str(raised.value) == line


def test_missing_head_is_a_node_behind(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_getBlockByNumber"] = lambda *_: None
    with pytest.raises(NodeBehind):
        chain.head()


@pytest.mark.parametrize("answer", [None, "0x", "100", -1, {}])
def test_balance_that_is_no_number_is_a_bad_answer(
    node: FakeNode, chain: EthereumChain, answer: Any
) -> None:
    node.methods["eth_getBalance"] = lambda *_: answer
    with pytest.raises(BadAnswer):
        chain.balance()
