"""Why a transaction reverted, found by replaying it."""

from typing import Any

from mmbot_pipelines.adapters.evm.chain import EthereumChain
from tests.adapters.evm.wallet_answers import reported, transaction
from tests.adapters.rpc.fake_node import FakeNode, refuse


def replays(node: FakeNode, answer: Any, gas_used: int = 60_000) -> list[Any]:
    seen: list[Any] = []

    def call(fields: Any, block: str) -> Any:
        seen.append((fields.get("gasPrice"), int(block, 16)))
        return answer(fields, int(block, 16))

    reverted = reported(status="0x0", gasUsed=hex(gas_used))
    node.methods |= {"eth_getTransactionReceipt": lambda _: reverted, "eth_call": call}
    return seen


def test_replay_is_on_the_block_before_first(node: FakeNode, chain: EthereumChain) -> None:
    seen = replays(node, lambda _, block: refuse(3, f"execution reverted: at {block}")())
    assert chain.revert_reason(transaction()) == "at 99"
    assert seen[0] == ("0x65", 99)


def test_own_block_shows_what_came_before_in_it(node: FakeNode, chain: EthereumChain) -> None:
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


def test_replay_that_succeeds_is_reported(node: FakeNode, chain: EthereumChain) -> None:
    replays(node, lambda *_: "0x")
    assert chain.revert_reason(transaction()) == "unknown: it succeeds when it is replayed"


def test_gas_all_used_is_reported(node: FakeNode, chain: EthereumChain) -> None:
    replays(node, lambda *_: "0x", gas_used=100_000)
    assert chain.revert_reason(transaction()).endswith("; it used all of its 100000 gas")


def test_node_without_old_state_is_reported(node: FakeNode, chain: EthereumChain) -> None:
    replays(node, lambda *_: refuse(-32000, "missing trie node")())
    assert chain.revert_reason(transaction()) == "unknown: missing trie node (code -32000)"


def test_a_reverted_transaction_whose_block_was_reorged_out_is_reported(
    node: FakeNode, chain: EthereumChain
) -> None:
    node.methods["eth_getTransactionReceipt"] = lambda _: None
    assert "reorged out" in chain.revert_reason(transaction())
