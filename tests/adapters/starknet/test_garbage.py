"""Whatever a Starknet node answers is an answer or a fault."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbot_pipelines.core.errors import RpcUnavailable
from tests.adapters.starknet.starknet_fakes import StarknetFake, newest


def test_an_answer_without_end_is_cut_off(node: StarknetFake) -> None:
    node.node.body = b" " * 100_000
    with pytest.raises(RpcUnavailable, match="answered more than 5000 bytes"):
        newest(node, max_bytes=5_000)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
        ),
        max_leaves=6,
    )
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_result_is_a_block_or_one_clear_line(node: StarknetFake, result: Any) -> None:
    node.node.methods["starknet_blockHashAndNumber"] = lambda: result
    logged = ""
    try:
        newest(node)
    except RpcUnavailable as e:
        logged = str(e)
    assert "\n" not in logged
