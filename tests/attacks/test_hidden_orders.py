"""A node that hides orders, or invents some: the backfill asks as many as the quorum has."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.app import Bridge, Rules
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.policy import Limits
from mmbot_pipelines.bridge.ports.chains import Origin, Settlement
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Address, Wei
from tests.attacks.liar import Liar, Lie
from tests.chain.starknet.conftest import fresh
from tests.chain.starknet.conftest import ports as starknet_ports
from tests.devnet.bridge import Devnet, running
from tests.ports.port_harness import AnvilPorts, claim, on_anvil, pay
from tests.ports.starknet_ports import StarknetPorts
from tests.ports.stores import books_on
from tests.postgres import clean_engine

__all__ = ["fresh", "starknet_ports"]  # fixtures

HIDES: dict[str, Lie] = {
    "eth_getLogs": lambda params, result: [],
    "starknet_getEvents": lambda params, result: {"events": []},
}
PLACES = [0, 1]  # of those that are asked first
RUN = Run("run", lambda logged: None)


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def ports(devnet: Devnet) -> Iterator[AnvilPorts]:
    with on_anvil(devnet) as ports:
        yield ports


@pytest.fixture
def nodes() -> Iterator[ExitStack]:
    with ExitStack() as nodes:
        yield nodes


def urls(nodes: ExitStack, url: str, place: int, count: int, lies: dict[str, Lie]) -> list[str]:
    """Return this many nodes' addresses, with a liar at a place."""
    given: list[dict[str, Lie]] = [lies if n == place else {} for n in range(count)]
    return [nodes.enter_context(Liar(url, **reported)).url for reported in given]


def zksync(
    ports: AnvilPorts, nodes: ExitStack, place: int, count: int = 2, **lies: Lie
) -> ZkSyncOrigin:
    zksync = ports.devnet.deployment.zksync
    found = urls(nodes, zksync.rpc_url, place, count, lies)
    l2 = Rpc(found, chain="zksync", chain_id=zksync.chain_id, quorum=2)
    return ZkSyncOrigin(
        l2,
        ports.l1,
        ports.registry.address,
        escrow=Address(zksync.escrow),
        diamond=Address(zksync.diamond),
        wallet=Address(zksync.wallet),
        start=zksync.start_block,
        accepted=1,
    )


def starknet(ports: StarknetPorts, nodes: ExitStack, place: int, **lies: Lie) -> StarknetOrigin:
    found = urls(nodes, ports.node.url, place, 2, lies)
    rpc = StarknetRpc(found, chain_id=int(ports.deployed.chain_id, 16), quorum=2)
    return ports.starknet(rpc, ports.by_message)


def backfilled(ports: Any, origin: Origin) -> list[Order]:
    """Run one backfill and return what it has stored."""
    stores = books_on(clean_engine())
    limits = Limits(min_transfer=Wei(1), max_transfer=Wei(10**17), min_margin_bps=0)
    bridge = Bridge(
        store=stores.store,
        accounts=stores.accounts,
        origins={origin.name: origin},
        registry=ports.registry,
        chain=ports.chain,
        rules=Rules(limits=limits, max_attempts=3, backoff_seconds=60, dry_run=False),
        clock=lambda: datetime.now(UTC),
        draw=lambda: 0.5,
    )
    keys = steps.backfill(bridge, RUN)
    assert stores.store.errors.of(origin.name) == []
    return sorted(stores.store.orders.get(keys), key=lambda order: order.number)


@pytest.mark.parametrize("place", PLACES)
def test_one_node_of_zksync_that_hides_orders_hides_none_from_the_backfill(
    ports: AnvilPorts, nodes: ExitStack, place: int
) -> None:
    orders = ports.set_orders(3)
    ports.mine_l2(2)
    found = backfilled(ports, zksync(ports, nodes, place, **HIDES))
    assert [o.key for o in found] == [o.key for o in orders]


@pytest.mark.parametrize("place", PLACES)
def test_one_node_of_starknet_that_hides_orders_hides_none_from_the_backfill(
    starknet_ports: StarknetPorts, nodes: ExitStack, place: int
) -> None:
    orders = starknet_ports.set_orders(3)
    found = backfilled(starknet_ports, starknet(starknet_ports, nodes, place, **HIDES))
    assert [o.key for o in found] == [o.key for o in orders]


def other_amounts(params: Any, result: Any) -> Any:
    """Show each order with another amount, before it is shown as it is."""
    originals = [log["data"] for log in result]
    changed = [f"{data[:130]}{'7'.rjust(64, '0')}{data[194:]}" for data in originals]
    return [log | {"data": data} for log, data in zip(result, changed, strict=True)]


def other_amounts_on_starknet(params: Any, result: Any) -> Any:
    events = [
        event | {"data": [*event["data"][:3], "0x7", *event["data"][4:]]}
        for event in result["events"]
    ]
    return result | {"events": events}


@pytest.mark.parametrize("place", PLACES)
def test_what_one_node_of_zksync_invents_takes_no_orders_place(
    ports: AnvilPorts, nodes: ExitStack, place: int
) -> None:
    orders = ports.set_orders(2)
    ports.mine_l2(2)
    found = backfilled(ports, zksync(ports, nodes, place, eth_getLogs=other_amounts))
    assert [(o.key, o.amount) for o in found] == [(o.key, o.amount) for o in orders]


@pytest.mark.parametrize("place", PLACES)
def test_what_one_node_of_starknet_invents_takes_no_orders_place(
    starknet_ports: StarknetPorts, nodes: ExitStack, place: int
) -> None:
    orders = starknet_ports.set_orders(2)
    lie = {"starknet_getEvents": other_amounts_on_starknet}
    found = backfilled(starknet_ports, starknet(starknet_ports, nodes, place, **lie))
    assert [(o.key, o.amount) for o in found] == [(o.key, o.amount) for o in orders]


@pytest.mark.parametrize("place", PLACES)
def test_one_node_of_three_hides_no_payment_of_zksync(
    ports: AnvilPorts, nodes: ExitStack, place: int
) -> None:
    orders = ports.set_orders(2)
    pay(ports, orders)
    claim(ports, orders)
    ports.deliver()
    origin = zksync(ports, nodes, place, 3, **HIDES)
    assert all(isinstance(seen, Settlement) for seen in origin.settled(orders))
    # of two nothing is proven, and nothing counts as searched
    alone = zksync(ports, nodes, place, 2, **HIDES)
    with pytest.raises(RpcUnavailable):
        alone.settled(orders)
