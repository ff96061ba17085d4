"""A local Starknet whose L1 is late, away, or holds messages from before."""

from pathlib import Path

from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.deploy import deploy_l1
from mmbot_pipelines.devnet.starknet.delivery import L1Link
from mmbot_pipelines.devnet.starknet.deployment import (
    StarknetDeployment,
    StarknetProcess,
    deploy_messaging,
)
from tests.devnet.starknet_l1 import L1, MAKER, is_pending, l1_at, link, place
from tests.devnet.starknet_rpc import Rpc, starknet
from tests.polling import until


def test_a_new_node_takes_up_what_l1_still_holds(l1: L1) -> None:
    with starknet(registry=int(l1.registry.address, 16)) as rpc:
        order_id = place(rpc)
    message, _ = l1.pay_and_claim(order_id)
    with starknet(registry=int(l1.registry.address, 16)) as rpc:
        place(rpc)
    with starknet(link(l1), registry=int(l1.registry.address, 16)) as rpc:
        until(lambda: l1.held(message) == 0)


def test_an_l1_that_is_away_is_awaited() -> None:
    with Anvil(chain_id=31337) as anvil:
        port = anvil.port
        deployed = deploy_l1(anvil.url, MAKER)
        messaging = deploy_messaging(deployed)
        there = L1Link(rpc_url=anvil.url, messaging=messaging, poll=0.02)
        anvil.stop()
        with starknet(there, registry=int(deployed.registry, 16)) as rpc:
            order_id = place(rpc)
            with Anvil(chain_id=31337, port=port):
                assert deploy_l1(anvil.url, MAKER).registry == deployed.registry
                assert deploy_messaging(deployed) == messaging
                l1 = l1_at(anvil.url, deployed.registry, messaging)
                message, _ = l1.pay_and_claim(order_id)
                until(lambda: l1.held(message) == 0)
                assert not is_pending(rpc, order_id)


def test_the_process_reports_its_address_and_ends_cleanly(l1: L1, tmp_path: Path) -> None:
    deployed = deploy_l1(l1.url, MAKER)
    messaging = deploy_messaging(deployed)
    with StarknetProcess(deployed, messaging, block_time=0.05, log=tmp_path / "log") as node:
        rpc, pid = Rpc(node.url), node.pid
        assert rpc("chainId") == StarknetDeployment(rpc_url=node.url, messaging=messaging).chain_id
        until(lambda: rpc("blockNumber") > 2)
    assert not Path(f"/proc/{pid}").exists()
    assert (tmp_path / "log").read_text() == ""
