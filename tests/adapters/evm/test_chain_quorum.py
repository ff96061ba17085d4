"""What the wallet makes of several nodes: receipts, nonces and prices."""

import pytest

from mmbot_pipelines.adapters.evm import quorum
from mmbot_pipelines.adapters.evm.chain import EthereumChain, LocalSigner
from mmbot_pipelines.adapters.evm.quorum import BlockReplaced, RpcDisagrees
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Block
from tests.adapters.rpc.chain_node import ChainNode
from tests.adapters.rpc.fake_node import rpc, word
from tests.adapters.rpc.faulty_nodes import Clock, fail

TX = TxHash("0x" + "ab" * 32)


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
