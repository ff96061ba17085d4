"""Nodes are queried one by one, and only the host of their URLs is shown."""

from mmbot_pipelines.adapters.metrics.nodes import Probe, ask_all
from mmbot_pipelines.wiring.origins import starknet
from tests.adapters.rpc.fake_node import fake_node


def test_a_good_node_reports_its_height() -> None:
    with fake_node(5, eth_blockNumber=lambda: "0x10") as node:
        probe = Probe("L1", 5, f"{node.url}/s3cret")
        health = probe.ask()
        assert probe.ask().up
    assert (health.chain, health.up, health.height) == ("L1", True, 16)
    assert node.url.endswith(health.host)
    assert "s3cret" not in repr(health)
    assert [r["method"] for r in node.requests] == [
        "eth_chainId",
        "eth_blockNumber",
        "eth_blockNumber",
    ]


def test_another_chain_is_down() -> None:
    with fake_node(5, eth_blockNumber=lambda: "0x10") as node:
        assert not Probe("L1", 6, node.url).ask().up


def test_nonsense_is_down_and_may_recover() -> None:
    with fake_node(5, eth_blockNumber=lambda: "0x10") as node:
        probe = Probe("L1", 5, node.url)
        for body in (b"<html>", b'{"jsonrpc": "2.0", "id": 1, "result": "x"}'):
            node.body = body
            assert not probe.ask().up
        node.body = None
        node.status = 503
        assert not probe.ask().up
        node.status = 200
        assert probe.ask().up


def test_starknet_counts_blocks_in_decimals() -> None:
    with fake_node(
        starknet_chainId=lambda: "0x534e5f4d41494e", starknet_blockNumber=lambda: 77
    ) as node:
        health = Probe("starknet", 0x534E5F4D41494E, node.url, starknet.DIALECT).ask()
    assert (health.up, health.height) == (True, 77)


def test_two_nodes_at_one_host_are_distinguished() -> None:
    with fake_node(5, eth_blockNumber=lambda: "0x10") as node:
        first, second = ask_all([Probe("L1", 5, f"{node.url}/{key}") for key in ("a", "b")])
    assert second.host == f"{first.host}#2"


def test_no_nodes_are_no_trouble() -> None:
    assert ask_all([]) == []
