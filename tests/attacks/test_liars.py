"""Nodes that lie about one thing, in front of a real chain: alone, as a spare, one of three."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Status
from tests.chain.chain_harness import ChainHarness, played
from tests.chaos.faulty_rpc import FaultyRpc
from tests.devnet.bridge import Devnet, rolled_back, running

Lie = Callable[[Any], Any]

NO_GAS = ["0x0", hex(16_000), hex(2**24 + 1)]


def always(answer: Any) -> Lie:
    return lambda _: answer


def flipped(receipt: Any) -> Any:
    return receipt and receipt | {"status": "0x0" if receipt["status"] == "0x1" else "0x1"}


def another_hash(block: Any) -> Any:
    return block and block | {"hash": "0x" + "66" * 32}


LIES: dict[str, dict[str, Lie]] = {
    "gas too low": {"eth_estimateGas": always("0x5208")},
    "gas too high": {"eth_estimateGas": always(hex(16_000_000))},
    "no gas": {"eth_estimateGas": always("0x0")},
    "empty wallet": {"eth_getBalance": always("0x0")},
    "rich wallet": {"eth_getBalance": always(hex(2**200))},
    "no state": {"eth_call": always("0x" + "00" * 128)},
    "garbage state": {"eth_call": always(17)},
    "nonce too low": {"eth_getTransactionCount": always("0x0")},
    "nonce too high": {"eth_getTransactionCount": always(hex(10**6))},
    "no receipts": {"eth_getTransactionReceipt": always(None)},
    "reverts": {"eth_getTransactionReceipt": flipped},
    "no receipt at all": {"eth_getTransactionReceipt": always("x")},
    "another fork": {"eth_getBlockByNumber": another_hash},
    "no blocks": {"eth_getBlockByNumber": always(None)},
    "ahead": {"eth_blockNumber": always(hex(10**9))},
    "far behind": {"eth_blockNumber": always("0x0")},
    "huge base fee": {"eth_getBlockByNumber": lambda b: b and b | {"baseFeePerGas": hex(10**14)}},
    "huge tip": {"eth_maxPriorityFeePerGas": always(hex(10**18))},
    "no tip": {"eth_maxPriorityFeePerGas": always("0x0")},
    "garbage tip": {"eth_maxPriorityFeePerGas": always([])},
}


@pytest.fixture(scope="module")
def chains() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@contextmanager
def behind(
    devnet: Devnet, url: str, *lies: dict[str, Lie], quorum: int = 1
) -> Iterator[ChainHarness]:
    """Yield a chain behind nodes with these wrong answers, the primary first."""
    with ExitStack() as stack:
        stack.enter_context(rolled_back(devnet))
        nodes = [stack.enter_context(FaultyRpc(devnet.deployment.l1.rpc_url)) for _ in lies]
        for node, reported in zip(nodes, lies, strict=True):
            node.lies = dict(reported)
        yield stack.enter_context(
            played(
                devnet,
                url,
                l1_urls=[node.url for node in nodes],
                l2_urls=[devnet.deployment.zksync.rpc_url] * quorum,
                quorum=quorum,
            )
        )


def go_on(chain_harness: ChainHarness, rounds: int = 2) -> None:
    """Take orders as far as they go, without the L2's part."""
    for _ in range(rounds):
        chain_harness.transfer()
        chain_harness.settle()
        chain_harness.repay()
        chain_harness.settle()


@pytest.mark.parametrize(("place", "name"), list(enumerate(LIES)))
def test_one_liar_of_three_stops_nothing_and_moves_no_money(
    chains: Devnet, database_url: str, place: int, name: str
) -> None:
    lies: list[dict[str, Lie]] = [{}, {}, {}]
    lies[place % 2] = LIES[name]  # of those that are asked first
    with behind(chains, database_url, *lies, quorum=2) as chain_harness:
        before = chain_harness.ports.chain.balance()
        orders = chain_harness.ports.set_orders(2)
        chain_harness.detect()
        go_on(chain_harness)
        assert chain_harness.failed == []
        assert {o.status for o in chain_harness.orders()} == {Status.PROVED}
        assert chain_harness.payments() == {order.number: 1 for order in orders}
        transactions = [t for o in orders for t in chain_harness.bridge.store.outbox.of(o.key)]
        assert len(transactions) == 2 * len(orders)
        assert all(21_000 < t.gas < 400_000 for t in transactions)
        spent = before - chain_harness.ports.chain.balance() - sum(o.amount for o in orders)
        assert spent < 10**16


@pytest.mark.parametrize("gas", NO_GAS)
def test_an_estimate_that_cannot_be_is_asked_of_the_next_node(
    chains: Devnet, database_url: str, gas: str
) -> None:
    with behind(chains, database_url, {"eth_estimateGas": always(gas)}, {}) as chain_harness:
        chain_harness.ports.set_orders(1)
        chain_harness.detect()
        go_on(chain_harness, 1)
        assert chain_harness.failed == []
        assert {o.status for o in chain_harness.orders()} == {Status.PROVED}


@pytest.mark.parametrize("gas", NO_GAS)
def test_an_estimate_that_cannot_be_of_the_only_node_is_an_outage(
    chains: Devnet, database_url: str, gas: str
) -> None:
    with ExitStack() as stack:
        stack.enter_context(rolled_back(chains))
        node = stack.enter_context(FaultyRpc(chains.deployment.l1.rpc_url))
        chain_harness = stack.enter_context(played(chains, database_url, l1_urls=[node.url]))
        chain_harness.ports.set_orders(2)
        chain_harness.detect()
        node.lies["eth_estimateGas"] = always(gas)
        for _ in range(5):  # for the transfer
            chain_harness.transfer()
        assert all("InvalidResponse" in failed for failed in chain_harness.failed)
        assert chain_harness.bridge.store.outbox.in_flight() == []
        assert not any(order.failed for order in chain_harness.orders())
        node.lies.clear()
        chain_harness.transfer()
        chain_harness.settle()
        node.lies["eth_estimateGas"] = always(gas)
        for _ in range(5):  # and for the claim
            chain_harness.repay()
        assert not any(order.failed for order in chain_harness.orders())
        node.lies.clear()
        chain_harness.repay()
        chain_harness.settle()
        assert {o.status for o in chain_harness.orders()} == {Status.PROVED}


def an_hour_ago(block: Any) -> Any:
    return block and block | {"timestamp": hex(int(block["timestamp"], 16) - 3600)}


@pytest.mark.parametrize("truth", [{}, {"eth_getBlockByNumber": an_hour_ago}])
def test_a_spare_that_lies_about_its_height_is_not_preferred(
    chains: Devnet, database_url: str, truth: dict[str, Lie]
) -> None:
    """It called the honest primary behind, and was asked alone from then on.

    truth: of both nodes: on a chain that stands still all blocks are old.
    """
    ahead = truth | LIES["ahead"] | {"eth_call": always("0x" + "00" * 128)}
    with behind(chains, database_url, truth, ahead) as chain_harness:
        (order,) = chain_harness.ports.set_orders(1)
        chain_harness.detect()
        go_on(chain_harness, 1)
        assert chain_harness.failed == []
        assert chain_harness.order(order.number).status is Status.PROVED
        assert chain_harness.bridge.registry.used([order]) == [True]
        rpc = chain_harness.bridge.registry._rpc  # type: ignore[attr-defined]
        rpc.poll_health()
        assert rpc.health()[0].lag == 0
        assert chain_harness.bridge.registry.used([order]) == [True]


def test_a_height_of_one_node_is_no_floor_for_the_others(chains: Devnet, database_url: str) -> None:
    with behind(chains, database_url, LIES["ahead"], {}) as chain_harness:
        chain = chain_harness.bridge.chain
        first = chain.nonce(pending=False)  # of the liar, who is the primary
        rpc = chain_harness.bridge.registry._rpc  # type: ignore[attr-defined]
        assert rpc._floor.height < 10**9
        poll = rpc._ask(rpc.members[1], [("eth_chainId", ())], fresh=True)
        assert poll.height < 10**9
        assert chain.nonce(pending=False) == first
