"""A node that cannot report where the registry sends claims, and a contract that is no registry."""

from collections.abc import Iterator
from typing import Any

import pytest

from mmbot_pipelines.adapters.bridge.starknet.messages import ByMessage
from mmbot_pipelines.bridge.orders.escrow_errors import ClaimsGoElsewhere
from mmbot_pipelines.core.errors import RpcUnavailable
from tests.adapters.rpc.fake_node import FakeNode, fake_node, refuse, rpc
from tests.adapters.starknet.starknet_fakes import ESCROW, REGISTRY, StarknetFake, client
from tests.adapters.starknet.starknet_fakes import starknet_fake as fake


@pytest.fixture
def starknet() -> Iterator[StarknetFake]:
    with fake() as node:
        yield node


@pytest.fixture
def l1() -> Iterator[FakeNode]:
    with fake_node() as node:
        yield node


def elsewhere(l1: FakeNode, starknet: StarknetFake, answer: Any) -> Any:
    l1.methods["eth_call"] = answer
    read = rpc(l1)
    message = ByMessage(
        client(starknet), read, REGISTRY, escrow=ESCROW, messaging=REGISTRY, margin_percent=0
    )
    return message.elsewhere()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-32000, "context deadline exceeded"),
        (-32000, "request blocked"),
        (-32601, "the method eth_call does not exist"),
        (-32001, "resource not found"),
    ],
)
def test_a_node_that_refuses_a_view_halts_nothing(
    code: int, message: str, l1: FakeNode, starknet: StarknetFake
) -> None:
    with pytest.raises(RpcUnavailable, match="cannot be read"):
        elsewhere(l1, starknet, refuse(code, message))


def test_a_registry_without_starknet_is_one_halt_and_parks_no_order(
    l1: FakeNode, starknet: StarknetFake
) -> None:
    for answer in (lambda *_: "0x", lambda *_: "0x" + "00" * 33, refuse(3, "execution reverted")):
        found = elsewhere(l1, starknet, answer)
        assert isinstance(found, ClaimsGoElsewhere)
