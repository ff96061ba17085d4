"""Answers of Starknet that count only when several nodes agree."""

from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.bridge.orders.escrow_errors import EscrowMismatch
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.errors import Malformed, RpcUnavailable
from mmbot_pipelines.core.money import TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from tests.adapters.bridge.starknet.starknet_origin import origin, payment
from tests.adapters.rpc.fake_node import NOBODY
from tests.adapters.starknet.starknet_fakes import ORDER, StarknetFake, data_of

PAID = Settlement(TxHash(word(0x99)), Block(60, word(60)))


def differ(*nodes: StarknetFake) -> bool:
    (seen,) = origin(*nodes, quorum=2).settled([ORDER])
    return isinstance(seen, RpcDisagrees)


def test_every_witness_must_hold_the_order(node: StarknetFake, spare: StarknetFake) -> None:
    assert origin(node, spare, quorum=2).check([ORDER]) == [None]
    spare.views[abi.GET_ORDER] = data_of(replace(ORDER, amount=Wei(1)))[2:]
    assert origin(node, spare).check([ORDER]) == [None]
    (failure,) = origin(node, spare, quorum=2).check([ORDER])
    assert isinstance(failure, RpcDisagrees)  # one of them lies, or is behind: no one is parked
    assert "different things against starknet:7: nothing; EscrowMismatch: the" in str(failure)
    node.views[abi.GET_ORDER] = spare.views[abi.GET_ORDER]
    (failure,) = origin(node, spare, quorum=2).check([ORDER])
    assert isinstance(failure, EscrowMismatch)


def test_a_witness_alone_neither_parks_nor_fails_an_order(
    node: StarknetFake, spare: StarknetFake
) -> None:
    node.views[abi.GET_ORDER_PENDING] = spare.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = spare.pages = [[payment(7, 0xA11, 1000)]]
    truth, spare.views[abi.GET_ORDER] = spare.views[abi.GET_ORDER], [2**160, 0, 0, 0, 0]
    with pytest.raises(RpcDisagrees, match="1 answered, others: get_order"):
        origin(node, spare, quorum=2).settled([ORDER])
    node.views[abi.GET_ORDER] = spare.views[abi.GET_ORDER]
    with pytest.raises(Malformed):
        origin(node, spare, quorum=2).settled([ORDER])
    node.views[abi.GET_ORDER] = spare.views[abi.GET_ORDER] = truth
    assert origin(node, spare, quorum=2).settled([ORDER]) == [PAID]


def test_a_witness_that_is_away_is_replaced_or_missed(
    node: StarknetFake, spare: StarknetFake
) -> None:
    assert origin(node, NOBODY, spare, quorum=2).check([ORDER]) == [None]
    with pytest.raises(RpcUnavailable, match="1 of the 2 nodes of starknet that MMBOT_RPC_QUORUM"):
        origin(node, NOBODY, quorum=2).check([ORDER])
    with pytest.raises(RpcUnavailable, match="1 of the 2 nodes"):
        origin(node, node, quorum=2).check([ORDER])  # one node is one witness


def test_every_witness_must_have_seen_the_payment(node: StarknetFake, spare: StarknetFake) -> None:
    node.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = [[payment(7, 0xA11, 1000)]]
    assert origin(node, spare).settled([ORDER]) == [PAID]
    assert differ(node, spare)
    spare.views[abi.GET_ORDER_PENDING] = [0]
    spare.pages = [[payment(7, 0xA11, 1000) | {"transaction_hash": "0x98"}]]
    assert differ(node, spare)
    spare.pages = node.pages
    assert origin(node, spare, quorum=2).settled([ORDER]) == [PAID]
