"""What several nodes must agree on, with honest ones at different heads and lying ones."""

from collections.abc import Iterator
from typing import Any

import pytest

from mmbot_pipelines.adapters.ethereum import quorum
from mmbot_pipelines.adapters.ethereum.blocks import NodeBehind
from mmbot_pipelines.adapters.ethereum.quorum import BlockReplaced, RpcDisagrees
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.adapters.ethereum.wallet import EthereumChain, LocalSigner
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Block
from tests.adapters.ethereum.fake_node import FakeNode, Refusal, fake_node
from tests.adapters.ethereum.faulty_nodes import Clock, fail, rpc

TX = TxHash("0x" + "ab" * 32)


def word(number: int) -> str:
    return f"0x{number:064x}"


class ChainNode:
    """A fake node of a chain whose state at block n is n."""

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.fork = 0  # part of the hashes
        self.mined = 97  # the block of the transaction
        self.status = "0x1"
        self.hides = False  # that the transaction is mined
        self.pending = 7
        self.base_fee = "0x7"
        node.methods |= {
            "eth_getBlockByNumber": self.block,
            "eth_call": lambda _, at: word(int(at, 16)),
            "eth_getTransactionCount": self.count,
            "eth_getTransactionReceipt": self.receipt,
        }

    def block(self, tag: str, full: bool) -> Any:
        number = self.node.height if tag == "latest" else int(tag, 16)
        if number > self.node.height:
            return None
        fields = {"number": hex(number), "gasLimit": "0x1c9c380", "baseFeePerGas": self.base_fee}
        return fields | {"hash": word(self.fork * 10**9 + number)}

    def count(self, wallet: str, tag: str) -> str:
        return hex(self.pending if tag == "pending" else int(tag, 16))

    def receipt(self, tx: str) -> Any:
        if self.hides or self.mined > self.node.height:
            return None
        return {
            "transactionHash": tx,
            "status": self.status,
            "blockNumber": hex(self.mined),
            "blockHash": word(self.mined),
            "gasUsed": "0x5208",
            "effectiveGasPrice": "0x65",
        }


@pytest.fixture
def first(node: FakeNode) -> ChainNode:
    return ChainNode(node)


@pytest.fixture
def second(spare: FakeNode) -> ChainNode:
    return ChainNode(spare)


@pytest.fixture
def third() -> Iterator[ChainNode]:
    with fake_node() as node:
        yield ChainNode(node)


@pytest.fixture
def both(first: ChainNode, second: ChainNode) -> Rpc:
    return rpc(first.node, second.node, quorum=2, clock=Clock())


def state(client: Rpc, block: Block) -> list[Any]:
    return quorum.read(client, [("eth_call", ({}, hex(block.number)))], block)


def hosts(*nodes: ChainNode) -> list[str]:
    return [n.node.url.removeprefix("http://") for n in nodes]


def test_newest_is_the_highest_block_that_all_have(both: Rpc, second: ChainNode) -> None:
    second.node.height = 98
    assert quorum.newest(both) == Block(98, word(98))


def test_state_is_read_from_all_at_one_block(
    both: Rpc, first: ChainNode, second: ChainNode
) -> None:
    second.node.height = 98
    block = quorum.newest(both)
    assert state(both, block) == [word(98)]
    assert "eth_call" in first.node.asked
    assert "eth_call" in second.node.asked


@pytest.mark.parametrize("liar", [0, 1])
def test_liar_is_found_and_both_are_named(
    both: Rpc, first: ChainNode, second: ChainNode, liar: int
) -> None:
    block = quorum.newest(both)
    (first, second)[liar].node.methods["eth_call"] = lambda *_: word(10**30)
    with pytest.raises(RpcDisagrees) as raised:
        state(both, block)
    assert all(host in str(raised.value) for host in hosts(first, second))
    assert "the state at block 100 of L1: nothing is paid" in str(raised.value)
    assert "MMBOT_L1_RPC_URLS" in str(raised.value)


def test_one_that_reverts_where_the_other_does_not_disagrees(both: Rpc, second: ChainNode) -> None:
    def revert(*_: Any) -> None:
        raise Refusal(3, "execution reverted")

    block = quorum.newest(both)
    second.node.methods["eth_call"] = revert
    with pytest.raises(RpcDisagrees):
        state(both, block)


def test_clients_may_word_one_revert_differently(
    both: Rpc, first: ChainNode, second: ChainNode
) -> None:
    def revert(code: int, message: str) -> Any:
        def method(*_: Any) -> None:
            raise Refusal(code, message)

        return method

    block = quorum.newest(both)
    first.node.methods["eth_call"] = revert(3, "execution reverted: Transfer not found.")
    second.node.methods["eth_call"] = revert(-32015, "VM execution error: reverted")
    assert "revert" in str(state(both, block)[0])  # of whoever answers first


def test_other_chain_of_the_same_height_disagrees(both: Rpc, second: ChainNode) -> None:
    second.fork = 1
    with pytest.raises(RpcDisagrees, match="different things about block 100 of L1"):
        quorum.newest(both)


def test_block_replaced_while_it_is_read_is_read_again_later(both: Rpc, second: ChainNode) -> None:
    block = quorum.newest(both)
    second.fork = 1
    with pytest.raises(BlockReplaced, match="read again at the next tick"):
        state(both, block)


def test_one_node_that_replaces_the_block_is_noticed_too(first: ChainNode) -> None:
    client = rpc(first.node)
    block = quorum.newest(client)
    first.fork = 1
    with pytest.raises(BlockReplaced):
        state(client, block)


def test_node_that_lost_the_block_does_not_answer_for_it(first: ChainNode) -> None:
    client = rpc(first.node)
    block = quorum.newest(client)
    first.node.height = 50
    with pytest.raises(NodeBehind):
        state(client, block)


def test_third_node_stands_in(both: Rpc, first: ChainNode, third: ChainNode) -> None:
    client = rpc(first.node, FakeNodeAway(), third.node, quorum=2, clock=Clock())
    assert state(client, quorum.newest(client)) == [word(100)]
    assert "eth_call" in third.node.asked


class FakeNodeAway(FakeNode):
    def __init__(self) -> None:
        super().__init__()
        self.url = "http://127.0.0.1:1"


def test_too_few_nodes_are_an_outage_that_names_the_setting(both: Rpc, second: ChainNode) -> None:
    fail(second.node)
    with pytest.raises(RpcUnavailable, match="only 1 of the 2 nodes of L1 that MMBOT_RPC_QUORUM"):
        quorum.newest(both)


def test_node_far_behind_counts_for_none(both: Rpc, second: ChainNode) -> None:
    quorum.newest(both)
    second.node.height = 40
    with pytest.raises(RpcUnavailable, match="is at block 40, but 100 was seen"):
        quorum.newest(both)


# --- what the wallet makes of it


@pytest.fixture
def chain(both: Rpc) -> EthereumChain:
    return EthereumChain(both, LocalSigner("4c" * 32))


def test_receipt_that_all_have_counts(chain: EthereumChain) -> None:
    (found,) = chain.receipts([TX])
    assert found is not None
    assert found.block == Block(97, word(97))


def test_receipt_is_awaited_from_a_node_that_has_not_come_to_its_block(
    chain: EthereumChain, first: ChainNode, second: ChainNode
) -> None:
    first.mined = second.mined = 100
    second.node.height = 99
    assert chain.receipts([TX]) == [None]
    second.node.height = 100
    assert chain.receipts([TX])[0] is not None


def test_node_that_hides_a_receipt_disagrees(chain: EthereumChain, second: ChainNode) -> None:
    second.hides = True
    with pytest.raises(RpcDisagrees, match="the receipt of 0xab"):
        chain.receipts([TX])


def test_node_that_turns_a_receipt_around_disagrees(
    chain: EthereumChain, second: ChainNode
) -> None:
    second.status = "0x0"
    with pytest.raises(RpcDisagrees):
        chain.receipts([TX])


def test_mined_nonces_are_of_a_block_that_all_have(chain: EthereumChain, second: ChainNode) -> None:
    second.node.height = 98
    assert chain.nonce(pending=False) == 98


def test_node_that_lies_about_the_nonce_disagrees(chain: EthereumChain, second: ChainNode) -> None:
    second.node.methods["eth_getTransactionCount"] = lambda *_: "0x1"
    with pytest.raises(RpcDisagrees):
        chain.nonce(pending=False)


def test_pending_nonce_is_the_lowest_for_a_gap_stops_all(
    chain: EthereumChain, second: ChainNode
) -> None:
    second.pending = 10**9
    assert chain.nonce(pending=True) == 7


def test_nonce_and_receipts_are_never_of_an_older_head_than_before(
    first: ChainNode, second: ChainNode
) -> None:
    """A nonce of one node and receipts of another behind it would make a paid order lost."""
    first.mined = second.mined = 100
    second.node.height = 99
    chain = EthereumChain(rpc(first.node, second.node, clock=Clock()), LocalSigner("4c" * 32))
    first.node.methods["eth_getTransactionCount"] = lambda *_: hex(1)
    assert chain.nonce(pending=False) == 1
    fail(first.node)
    with pytest.raises(RpcUnavailable, match="is at block 99, but 100 was seen"):
        chain.receipts([TX])


def test_a_base_fee_that_one_node_makes_up_drops_no_order(
    first: ChainNode, second: ChainNode, both: Rpc
) -> None:
    chain = EthereumChain(both, LocalSigner("4c" * 32))
    second.node.height -= 1  # an honest node is a block behind
    assert chain.fees().base == 8
    for liar in (first, second):
        liar.base_fee = "0x38d7ea4c68000"
        with pytest.raises(RpcDisagrees, match=r"the base fee of block \d+"):
            chain.fees()
        liar.base_fee = "0x7"


def test_a_block_replaced_while_prices_are_read(
    first: ChainNode, second: ChainNode, both: Rpc
) -> None:
    block = quorum.newest(both)
    first.fork = second.fork = 1
    with pytest.raises(BlockReplaced):
        quorum.base_fee(both, block)
