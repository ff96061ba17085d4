"""What the Starknet origin makes of a node that answers what no honest one could."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.starknet import node as starknet_node
from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.outbox import Block
from tests.adapters.bridge.starknet.starknet_origin import origin
from tests.adapters.rpc.faulty_nodes import Clock
from tests.adapters.starknet.starknet_fakes import (
    ORDER,
    StarknetFake,
    client,
    data_of,
    emitted,
)


@pytest.mark.parametrize("number", [2**63, 10**30, 101 + 10**5])
@pytest.mark.parametrize("sealed", [True, False])
def test_an_event_far_behind_the_head_is_none(
    node: StarknetFake, number: int, sealed: bool
) -> None:
    event = emitted(data_of(ORDER), block=number)
    if not sealed:
        del event["block_hash"]
    node.pages = [[event]]
    with pytest.raises(RpcUnavailable, match="not asked for"):
        origin(node).unsealed(Block(100, word(100)))


@pytest.mark.parametrize("number", [-1, 2**63, 10**30])
def test_a_block_of_no_possible_number_is_none(node: StarknetFake, number: int) -> None:
    node.node.methods["starknet_blockHashAndNumber"] = lambda: (
        node.place(0) | {"block_number": number}
    )
    with pytest.raises(RpcUnavailable, match="no possible number"):
        origin(node).head(Cursor.LATEST)


@pytest.mark.parametrize("view", [abi.WALLET, abi.REGISTRY, abi.GET_ORDER])
@pytest.mark.parametrize("felt", [-1, 2**251 + 17 * 2**192 + 1])
def test_what_is_no_felt_is_the_nodes_fault(
    node: StarknetFake, spare: StarknetFake, view: int, felt: int
) -> None:
    node.views[view] = [felt] * len(node.views[view])
    with pytest.raises(RpcUnavailable, match="no felt"):
        origin(node).check([ORDER])
    assert origin(node, spare).check([ORDER]) == [None]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["0x1", "-0x1", "", "x"]),
        lambda inner: (
            st.lists(inner, max_size=6)
            | st.dictionaries(
                st.sampled_from(["events", "continuation_token", *emitted([])]), inner, max_size=7
            )
        ),
        max_leaves=12,
    )
)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_result_is_an_answer_or_one_clear_line(node: StarknetFake, result: Any) -> None:
    node.node.methods["starknet_call"] = lambda **_: result
    node.node.methods["starknet_getEvents"] = lambda **_: result
    l2 = origin(node)
    for ask in (
        lambda: l2.check([ORDER]),
        lambda: l2.scan(40, 90),
        lambda: l2.unsealed(Block(100, word(100))),
        lambda: l2.settled([replace(ORDER, block=Block(99, word(99)))]),
    ):
        logged = ""
        try:
            ask()
        except Failure as e:
            logged = str(e)
        assert "\n" not in logged


def test_a_page_that_comes_again_and_again_ends(
    node: StarknetFake, spare: StarknetFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    page = [emitted(data_of(ORDER))]

    def next_page(**_: Any) -> dict[str, Any]:
        clock.now += 10
        return {"events": page, "continuation_token": str(clock.now)}

    node.node.methods["starknet_getEvents"] = next_page
    spare.pages = [page]
    monkeypatch.setattr(starknet_node, "time", SimpleNamespace(monotonic=clock))
    rpc = client(node, spare)
    assert rpc.ask(StarknetNode.newest).number == 100
    found = origin(node, rpc=rpc).scan(40, 90).orders
    assert [order.number for order in found] == [ORDER.number]
