"""A local Starknet whose L1 is late, away, or holds messages from before."""

import signal
import subprocess

from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.deploy import deploy_l1
from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet.delivery import L1Link
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging, describe, node_command
from mmbot_pipelines.devnet.starknet.felt import felt
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


def test_the_process_reports_its_address_and_ends_cleanly(l1: L1) -> None:
    deployed = deploy_l1(l1.url, MAKER)
    messaging = deploy_messaging(deployed)
    command = node_command(deployed, messaging, block_time=0.05)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            url = process.stdout.readline().decode().strip()
            rpc = Rpc(url)
            origin = describe(url, messaging)
            assert origin.settings()["MMBOT_STARKNET_ESCROW_ADDRESS"] == felt(ESCROW_ADDRESS)
            until(lambda: rpc("blockNumber") > 2)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stdout.read() == b""
        assert process.stderr.read() == b""
