"""One node reports a claim as consumed, failed or without a message: the claim is not given up."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet.message_status import L1_TO_L2_MESSAGES
from mmbot_pipelines.adapters.bridge.starknet.messages import ByMessage
from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.bridge.orders.escrow_errors import MessageMissing
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Progress
from mmbot_pipelines.core.errors import Undelivered
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.starknet.delivery import L1Link
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.attacks.liar import Liar
from tests.chain.starknet.claims import held, named, proved
from tests.devnet.bridge import Devnet, running
from tests.polling import until
from tests.ports.starknet_ports import StarknetPorts, on_starknet

FINALITY = 66  # blocks of anvil's L1, and two more

NOTHING = [Progress()]


@pytest.fixture(scope="module")
def fresh() -> Iterator[tuple[Devnet, ChecksumAddress]]:
    with running() as devnet:
        yield devnet, deploy_messaging(devnet.deployment.l1)


@pytest.fixture
def ports(fresh: tuple[Devnet, ChecksumAddress]) -> Iterator[StarknetPorts]:
    devnet, messaging = fresh
    link = L1Link(rpc_url=devnet.deployment.l1.rpc_url, messaging=messaging, poll=0.02)
    with on_starknet(devnet, messaging, link) as ports:
        yield ports


@pytest.fixture
def nodes() -> Iterator[ExitStack]:
    with ExitStack() as nodes:
        yield nodes


def origin(ports: StarknetPorts, l1: list[str], l2: list[str], quorum: int) -> StarknetOrigin:
    """Return the origin as it sees these nodes."""
    on_l1 = Rpc(l1, chain="L1", chain_id=ports.l1.chain_id, quorum=quorum)
    on_l2 = StarknetRpc(l2, chain_id=ports.l2.chain_id, quorum=quorum)
    claims = ByMessage(
        on_l2,
        on_l1,
        ports.registry.address,
        escrow=Address(ports.deployed.escrow),
        messaging=Address(ports.deployed.messaging),
        margin_percent=20,
        poll_seconds=0,
    )
    return ports.starknet(on_l2, claims)


def on_its_way(ports: StarknetPorts, mode: str) -> Order:
    """Return an order whose claim is mined and named; `mode` is what becomes of its message."""
    ports.node.inbox.mode = mode
    (order,) = named(ports, proved(ports, ports.set_orders(1)))
    assert order.claim_ref is not None
    if mode != "withhold":
        until(lambda: held(ports, order.claim_ref) == 0, ports.mine)
        ports.mine_l2(1)
    return order


def finalize(ports: StarknetPorts) -> None:
    ask(ports.devnet.l1, "anvil_mine", hex(FINALITY))


def all_consumed(params: Any, result: Any) -> Any:
    """Answer that L1 holds no message any more."""
    asked = params[0].get("data", "").startswith("0x" + L1_TO_L2_MESSAGES.selector.hex())
    return "0x" + bytes(32).hex() if asked else result


def all_failed(params: Any, result: Any) -> Any:
    reported = {"finality_status": "ACCEPTED_ON_L2", "execution_status": "REVERTED"}
    return [{"transaction_hash": "0x1", **reported}]


def all_pending(params: Any, result: Any) -> Any:
    asked = int(params["request"]["entry_point_selector"], 16) == abi.GET_ORDER_PENDING
    return ["0x1"] if asked else result


def test_one_answer_that_a_message_is_consumed_loses_no_claim(
    ports: StarknetPorts, nodes: ExitStack
) -> None:
    order = on_its_way(ports, "withhold")
    finalize(ports)
    l1 = ports.devnet.deployment.l1.rpc_url
    l2 = [ports.node.url, f"{ports.node.url}/2"]
    liar = nodes.enter_context(Liar(l1, eth_call=all_consumed))
    assert origin(ports, [liar.url], l2, 1).progress([order]) == NOTHING
    with pytest.raises(RpcDisagrees):
        origin(ports, [liar.url, l1], l2, 2).progress([order])


def test_a_consumption_counts_when_its_block_is_final(ports: StarknetPorts) -> None:
    order = on_its_way(ports, "fail")
    assert held(ports, order.claim_ref) == 0
    assert ports.origin.progress([order]) == NOTHING
    finalize(ports)
    (seen,) = ports.origin.progress([order])
    assert isinstance(seen.lost, Undelivered)
    assert "its execution on Starknet failed: Out of gas" in str(seen.lost)


def test_a_node_of_two_that_calls_a_delivered_claim_failed_is_not_believed(
    ports: StarknetPorts, nodes: ExitStack
) -> None:
    order = on_its_way(ports, "deliver")
    finalize(ports)
    liar = nodes.enter_context(
        Liar(
            ports.node.url,
            starknet_call=all_pending,
            starknet_getMessagesStatus=all_failed,
        )
    )
    l1 = ports.devnet.deployment.l1.rpc_url
    second = nodes.enter_context(Liar(l1)).url
    both = origin(ports, [l1, second], [liar.url, ports.node.url], 2)
    assert both.progress([order]) == NOTHING
    alone = origin(ports, [l1], [liar.url], 1)
    (seen,) = alone.progress([order])
    assert isinstance(seen.lost, Undelivered)  # a quorum of 1 trusts every node named


def test_a_stale_node_of_two_that_still_shows_the_order_pending_loses_no_claim(
    ports: StarknetPorts, nodes: ExitStack
) -> None:
    order = on_its_way(ports, "deliver")
    finalize(ports)
    stale = nodes.enter_context(Liar(ports.node.url, starknet_call=all_pending))
    l1 = ports.devnet.deployment.l1.rpc_url
    second = nodes.enter_context(Liar(l1)).url
    for quorum in (1, 2):
        l2 = [stale.url, ports.node.url][:quorum]
        assert origin(ports, [l1, second], l2, quorum).progress([order]) == NOTHING


def test_a_node_of_two_that_hides_a_claims_message_is_not_believed(
    ports: StarknetPorts, nodes: ExitStack
) -> None:
    ports.node.inbox.mode = "withhold"
    (order,) = proved(ports, ports.set_orders(1))
    l1 = ports.devnet.deployment.l1.rpc_url
    hides = {"eth_getTransactionReceipt": lambda _, result: result and result | {"logs": []}}
    liar = nodes.enter_context(Liar(l1, **hides))
    l2 = [ports.node.url, f"{ports.node.url}/2"]
    assert origin(ports, [liar.url, l1], l2, 2).progress([order]) == NOTHING
    (seen,) = origin(ports, [liar.url], l2, 1).progress([order])
    assert isinstance(seen.lost, MessageMissing)
