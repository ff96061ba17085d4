"""What the wallet makes of receipts, also of those that cannot be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.evm.chain import EthereumChain, receipt
from mmbot_pipelines.adapters.rpc.decoding import InvalidResponse
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.outbox import Block
from tests.adapters.evm.wallet_answers import BLOCK, TX, reported
from tests.adapters.rpc.any_json import JSON
from tests.adapters.rpc.fake_node import FakeNode, refuse


def test_receipt_is_read(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_getTransactionReceipt"] = lambda _: reported(status="0x0")
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
    node.methods["eth_getTransactionReceipt"] = lambda _: reported(**lie)
    with pytest.raises(InvalidResponse):
        chain.receipts([TX])


@given(st.dictionaries(st.sampled_from(sorted(reported())), JSON) | JSON)
def test_no_json_breaks_the_reading_of_receipts(changes: Any) -> None:
    try:
        found = receipt(TX, reported(**changes) if isinstance(changes, dict) else changes)
    except InvalidResponse:
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
    assert chain.known_by_node([TX]) == [False]
