"""The Starknet client on the local node and, where one is given, on a real one."""

import os
from collections.abc import Iterator

import pytest
from starknet_py.constants import STRK_FEE_CONTRACT_ADDRESS
from starknet_py.hash.selector import get_selector_from_name

from mmbot_pipelines.adapters.bridge.starknet.events import UNSEALED, EscrowEvents
from mmbot_pipelines.adapters.bridge.starknet.views import lacks_function
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.core.errors import WrongChain
from mmbot_pipelines.devnet.starknet.felt import felt
from tests.devnet.starknet_rpc import Rpc, starknet
from tests.devnet.test_starknet_real_node import VARIABLE

TOKEN = int(STRK_FEE_CONTRACT_ADDRESS, 16)
TRANSFERS = EscrowEvents(TOKEN, get_selector_from_name("Transfer"))


@pytest.fixture(params=["local", pytest.param("real", marks=pytest.mark.starknet_node)])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "real":
        if not (given := os.environ.get(VARIABLE)):
            pytest.skip(f"set {VARIABLE} to the URL of a Starknet node (JSON-RPC 0.10.2)")
        yield given
        return
    with starknet() as node:
        for _ in range(5):
            node.act("transfer", 5, 7, 0, to=TOKEN)
            node.mine()
        node.act("transfer", 5, 7, 0, to=TOKEN)
        yield node.url


@pytest.fixture
def client(url: str) -> StarknetRpc:
    return StarknetRpc([url], chain_id=int(Rpc(url)("chainId"), 16))


def test_blocks_are_equal_by_number_and_tag(client: StarknetRpc) -> None:
    def work(node: StarknetNode) -> None:
        newest = node.newest()
        assert node.block(newest.number) == newest
        assert node.block("l1_accepted").number <= newest.number

    client.ask(work)
    assert client.newest_block().year >= 2024


def test_events_lie_in_their_range_whatever_the_pages(
    client: StarknetRpc, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(node: StarknetNode) -> None:
        newest = node.newest()
        first = max(0, newest.number - 3)
        whole, last = TRANSFERS.scan(node, first, newest.number)
        assert last == newest
        assert whole
        monkeypatch.setattr("mmbot_pipelines.adapters.bridge.starknet.events._PAGE", 2)
        few, _ = TRANSFERS.scan(node, newest.number, newest.number)
        assert few == [event for event in whole if event.block == newest]

    client.ask(work)


def test_what_is_behind_the_newest_block_is_new(client: StarknetRpc) -> None:
    def work(node: StarknetNode) -> None:
        newest = node.newest()
        for event in TRANSFERS.behind(node, newest):
            assert event.block.number > newest.number
            assert event.block.hash == UNSEALED or event.block.hash.startswith("0x")

    client.ask(work)


def test_a_view_answers_at_a_block_and_at_the_one_being_built(client: StarknetRpc) -> None:
    def work(node: StarknetNode) -> None:
        selector = get_selector_from_name("balanceOf")
        for at in (node.newest(), "pre_confirmed"):
            low, high = node.view(TOKEN, selector, [TOKEN], at)
            assert low >= 0
            assert high == 0
        with pytest.raises(RpcError) as refused:
            node.view(TOKEN, get_selector_from_name("no_such_function"), [], "latest")
        assert lacks_function(refused.value)

    client.ask(work)


def test_another_chain_is_refused(client: StarknetRpc, url: str) -> None:
    with pytest.raises(WrongChain, match=felt(client.chain_id)):
        StarknetRpc([url], chain_id=client.chain_id + 1).ask(StarknetNode.newest)
