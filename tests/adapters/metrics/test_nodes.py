"""Nodes are queried one by one, and only the host of their URLs is shown."""

from mmbot_pipelines.adapters.metrics.collector import node_health
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from tests.adapters.rpc.fake_node import fake_node
from tests.adapters.starknet.starknet_fakes import SN_MAIN, starknet_fake


def test_a_good_node_shows_its_height() -> None:
    with fake_node(5, eth_blockNumber=lambda: "0x10") as node:
        (record,) = node_health([Rpc([f"{node.url}/s3cret"], chain="L1", chain_id=5)])
    assert record.head is not None
    assert (record.chain, record.head.height) == ("L1", 16)
    assert record.seconds is not None
    assert node.url.endswith(record.host)
    assert "s3cret" not in repr(record)
    assert len(node.requests) == 1


def test_another_chain_is_down() -> None:
    with fake_node(5, eth_blockNumber=lambda: "0x10") as node:
        (record,) = node_health([Rpc([node.url], chain="L1", chain_id=6)])
    assert record.head is None


def test_nonsense_is_down_and_may_recover() -> None:
    with fake_node(5, eth_blockNumber=lambda: "0x10") as node:
        rpc = Rpc([node.url], chain="L1", chain_id=5)
        for body in (b"<html>", b'{"jsonrpc": "2.0", "id": 1, "result": "x"}') * 2:
            node.body = body
            assert node_health([rpc])[0].head is None
        node.body = None
        node.status = 503
        assert node_health([rpc])[0].head is None
        node.status = 200  # whether its circuit is open or not
        assert node_health([rpc])[0].head is not None


def test_starknet_counts_blocks_in_decimals() -> None:
    with starknet_fake() as node:
        (record,) = node_health([StarknetRpc([node.url], chain_id=SN_MAIN)])
    assert record.head is not None
    assert (record.chain, record.head.height) == ("starknet", 100)


def test_two_nodes_at_one_host_are_distinct() -> None:
    with fake_node(5, eth_blockNumber=lambda: "0x10") as node:
        urls = [f"{node.url}/{key}" for key in ("a", "b")]
        first, second = node_health([Rpc(urls, chain="L1", chain_id=5)])
    assert second.host == f"{first.host}#2"


def test_no_nodes_are_no_trouble() -> None:
    assert node_health([]) == []
