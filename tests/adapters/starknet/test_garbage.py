"""Whatever a Starknet node answers is an answer or a fault."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbot_pipelines.core.errors import RpcUnavailable
from tests.adapters.starknet.starknet_fakes import StarknetFake, newest


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
