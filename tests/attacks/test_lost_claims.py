"""One node says that a claim is used up, has failed, or sent no message: it is not lost by that."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.adapters.ethereum.quorum import RpcDisagrees
from mmbot_pipelines.adapters.ethereum.registry import RegistryV1
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.adapters.origins import starknet_escrow as abi
from mmbot_pipelines.adapters.origins.starknet import Starknet
from mmbot_pipelines.adapters.origins.starknet_message_status import L1_TO_L2_MESSAGES
from mmbot_pipelines.adapters.origins.starknet_messages import ByMessage
from mmbot_pipelines.adapters.origins.starknet_rpc import StarknetRpc
from mmbot_pipelines.bridge.chain_ports import Progress
from mmbot_pipelines.bridge.escrow_faults import MessageMissing
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.errors import Undelivered
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.starknet.delivery import L1Link
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.attacks.liar import Liar
from tests.awaiting import until
from tests.chain.starknet.claims import held, named, proved
from tests.devnet.bridge import Devnet, running
from tests.ports.starknet_stage import StarknetStage, on_starknet

FINALITY = 66  # blocks of anvil's L1, and two more

NOTHING = [Progress()]


@pytest.fixture(scope="module")
def fresh() -> Iterator[tuple[Devnet, ChecksumAddress]]:
    with running() as devnet:
        yield devnet, deploy_messaging(devnet.deployment.l1)


@pytest.fixture
def stage(fresh: tuple[Devnet, ChecksumAddress]) -> Iterator[StarknetStage]:
    devnet, messaging = fresh
    link = L1Link(rpc_url=devnet.deployment.l1.rpc_url, messaging=messaging, poll=0.02)
    with on_starknet(devnet, messaging, link) as stage:
        yield stage


@pytest.fixture
def nodes() -> Iterator[ExitStack]:
    with ExitStack() as nodes:
        yield nodes


def origin(stage: StarknetStage, l1: list[str], l2: list[str], quorum: int) -> Starknet:
    """Return the origin as it sees these nodes."""
    on_l1 = Rpc(l1, chain="L1", chain_id=stage.l1.chain_id, quorum=quorum)
    on_l2 = StarknetRpc(l2, chain_id=stage.l2.chain_id, quorum=quorum)
    claims = ByMessage(
        on_l2,
        on_l1,
        RegistryV1(on_l1, stage.registry.address, start_block=0),
        escrow=Address(stage.deployed.escrow),
        messaging=Address(stage.deployed.messaging),
        margin_percent=20,
        look_seconds=0,
    )
    return stage.starknet(on_l2, claims)


def on_its_way(stage: StarknetStage, mode: str) -> Order:
    """Return an order whose claim is mined and named; `mode` is what becomes of its message."""
    stage.node.devnet("setDelivery", mode=mode)
    (order,) = named(stage, proved(stage, stage.set_orders(1)))
    assert order.claim_ref is not None
    if mode != "withhold":
        until(lambda: held(stage, order.claim_ref) == 0, stage.mine)
        stage.mine_l2(1)
    return order


def finalize(stage: StarknetStage) -> None:
    ask(stage.devnet.l1, "anvil_mine", hex(FINALITY))


def all_consumed(params: Any, result: Any) -> Any:
    """Say that L1 keeps no message any more."""
    asked = params[0].get("data", "").startswith("0x" + L1_TO_L2_MESSAGES.selector.hex())
    return "0x" + bytes(32).hex() if asked else result


def all_failed(params: Any, result: Any) -> Any:
    told = {"finality_status": "ACCEPTED_ON_L2", "execution_status": "REVERTED"}
    return [{"transaction_hash": "0x1", **told}]


def all_pending(params: Any, result: Any) -> Any:
    asked = int(params["request"]["entry_point_selector"], 16) == abi.GET_ORDER_PENDING
    return ["0x1"] if asked else result


def test_one_answer_that_a_message_is_consumed_loses_no_claim(
    stage: StarknetStage, nodes: ExitStack
) -> None:
    order = on_its_way(stage, "withhold")
    finalize(stage)
    l1 = stage.devnet.deployment.l1.rpc_url
    l2 = [stage.node.url, f"{stage.node.url}/2"]
    liar = nodes.enter_context(Liar(l1, eth_call=all_consumed))
    assert origin(stage, [liar.url], l2, 1).progress([order]) == NOTHING
    with pytest.raises(RpcDisagrees):
        origin(stage, [liar.url, l1], l2, 2).progress([order])


def test_a_consumption_counts_when_its_block_is_final(stage: StarknetStage) -> None:
    order = on_its_way(stage, "fail")
    assert held(stage, order.claim_ref) == 0
    assert stage.origin.progress([order]) == NOTHING
    finalize(stage)
    (seen,) = stage.origin.progress([order])
    assert isinstance(seen.lost, Undelivered)
    assert "its execution on Starknet failed: Out of gas" in str(seen.lost)


def test_a_node_of_two_that_calls_a_delivered_claim_failed_is_not_believed(
    stage: StarknetStage, nodes: ExitStack
) -> None:
    order = on_its_way(stage, "deliver")
    finalize(stage)
    liar = nodes.enter_context(
        Liar(
            stage.node.url,
            starknet_call=all_pending,
            starknet_getMessagesStatus=all_failed,
        )
    )
    l1 = stage.devnet.deployment.l1.rpc_url
    second = nodes.enter_context(Liar(l1)).url
    both = origin(stage, [l1, second], [liar.url, stage.node.url], 2)
    assert both.progress([order]) == NOTHING
    alone = origin(stage, [l1], [liar.url], 1)
    (seen,) = alone.progress([order])
    assert isinstance(seen.lost, Undelivered)  # a quorum of 1 trusts every node named


def test_a_stale_node_of_two_that_still_shows_the_order_pending_loses_no_claim(
    stage: StarknetStage, nodes: ExitStack
) -> None:
    order = on_its_way(stage, "deliver")
    finalize(stage)
    stale = nodes.enter_context(Liar(stage.node.url, starknet_call=all_pending))
    l1 = stage.devnet.deployment.l1.rpc_url
    second = nodes.enter_context(Liar(l1)).url
    for quorum in (1, 2):
        l2 = [stale.url, stage.node.url][:quorum]
        assert origin(stage, [l1, second], l2, quorum).progress([order]) == NOTHING


def test_a_node_of_two_that_hides_a_claims_message_is_not_believed(
    stage: StarknetStage, nodes: ExitStack
) -> None:
    stage.node.devnet("setDelivery", mode="withhold")
    (order,) = proved(stage, stage.set_orders(1))
    l1 = stage.devnet.deployment.l1.rpc_url
    hides = {"eth_getTransactionReceipt": lambda _, result: result and result | {"logs": []}}
    liar = nodes.enter_context(Liar(l1, **hides))
    l2 = [stage.node.url, f"{stage.node.url}/2"]
    assert origin(stage, [liar.url, l1], l2, 2).progress([order]) == NOTHING
    (seen,) = origin(stage, [liar.url], l2, 1).progress([order])
    assert isinstance(seen.lost, MessageMissing)
