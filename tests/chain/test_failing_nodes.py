"""The whole way of orders while nodes before the chains fail, lag and lie."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import Node
from mmbot_pipelines.devnet.deploy import environment
from tests.adapters.rpc.faulty_nodes import waited_for_briefly
from tests.attacks.liar import Liar, Lie
from tests.chain.chain_harness import ChainHarness, played
from tests.chaos.faulty_rpc import Fault
from tests.cli.command import caller
from tests.devnet.bridge import Devnet

FAILING = [f for f in Fault if f not in (Fault.NONE, Fault.LIE)]


@dataclass
class Nodes:
    """Two nodes before each chain, the primary first."""

    l1: list[Liar]
    l2: list[Liar]
    clients: tuple[Rpc, Rpc]

    def fail(self, place: int, fault: Fault) -> None:
        self.l1[place].fail(fault)
        self.l2[place].fail(fault)

    def members(self, place: int) -> list[Node]:
        return [client.members[place] for client in self.clients]


@contextmanager
def playing(devnet: Devnet, database_url: str, quorum: int) -> Iterator[tuple[ChainHarness, Nodes]]:
    with ExitStack() as stack:
        urls = devnet.deployment.l1.rpc_url, devnet.deployment.zksync.rpc_url
        l1, l2 = ([stack.enter_context(Liar(u, seed=i)) for i in (1, 2)] for u in urls)
        chain_harness = stack.enter_context(
            played(
                devnet,
                database_url,
                l1_urls=[n.url for n in l1],
                l2_urls=[n.url for n in l2],
                quorum=quorum,
            )
        )
        yield chain_harness, Nodes(l1, l2, chain_harness.clients)


def completed(count: int) -> dict[int, str]:
    return dict.fromkeys(range(count), "COMPLETED")


@pytest.mark.parametrize("fault", FAILING)
@pytest.mark.parametrize("place", [0, 1])
def test_one_failing_node_stops_nothing(
    harness_chains: Devnet, database_url: str, fault: Fault, place: int
) -> None:
    with playing(harness_chains, database_url, quorum=1) as (chain_harness, nodes):
        chain_harness.ports.set_orders(2)
        chain_harness.finish(rounds=1)
        nodes.fail(place, fault)
        chain_harness.ports.set_orders(3)
        # A node that stays at its block makes nothing older of the other's word.
        with waited_for_briefly(*nodes.members(place)):
            chain_harness.finish(rounds=2)
        nodes.fail(place, Fault.NONE)
        chain_harness.finish(rounds=1)
        assert chain_harness.statuses() == completed(5)
        assert set(chain_harness.payments().values()) == {1}


def test_outage_of_all_nodes_is_over_when_they_are_back(
    harness_chains: Devnet, database_url: str
) -> None:
    with playing(harness_chains, database_url, quorum=1) as (chain_harness, nodes):
        chain_harness.ports.set_orders(2)
        chain_harness.detect()
        for place in (0, 1):
            nodes.fail(place, Fault.DROP)
        for _ in range(3):
            chain_harness.transfer()
        assert all("no RPC node of L1 answered" in line for line in chain_harness.failed)
        assert not any(o.failed for o in chain_harness.orders())  # an outage is nobody's fault
        for place in (0, 1):
            nodes.fail(place, Fault.NONE)
        chain_harness.finish(rounds=2)
        assert chain_harness.statuses() == completed(2)


def by_number_alone(params: Any, block: Any) -> Any:
    """Lie about a block only where it is read again by its number."""
    return another_hash(params, block) if params[0].startswith("0x") else block


def another_hash(_: Any, block: Any) -> Any:
    return block and block | {"hash": "0x" + "66" * 32}


def another_base_fee(_: Any, block: Any) -> Any:
    return block and block | {"baseFeePerGas": hex(3 * int(block["baseFeePerGas"], 16))}


def ones(_: Any, answer: Any) -> Any:
    return "0x" + f"{1:064x}" * (len(answer) // 64)


def zeros(_: Any, answer: Any) -> Any:
    return "0x" + "00" * (len(answer) // 2 - 1)


def flipped(_: Any, receipt: Any) -> Any:
    return receipt and receipt | {"status": hex(1 - int(receipt["status"], 16))}


def nothing(_: Any, logs: Any) -> Any:
    return []


def fourfold(_: Any, gas: Any) -> Any:
    return hex(4 * int(gas, 16))


# chain, method, lie, the message of every failed run, whether the recipients are paid
CONTRADICTIONS = [
    ("L1", "eth_getBlockByNumber", another_hash, r"disagree about block \d+ of L1", False),
    ("L1", "eth_getBlockByNumber", by_number_alone, r"has another block \d+ of L1 than", False),
    ("L1", "eth_getBlockByNumber", another_base_fee, r"disagree about the base fee of", False),
    ("L1", "eth_call", ones, r"disagree about the state at block \d+ of L1", False),
    ("L1", "eth_estimateGas", fourfold, "estimate the gas of a call to .* too differently", False),
    ("L1", "eth_getTransactionReceipt", flipped, "disagree about the receipt of 0x", True),
    ("zksync", "eth_call", zeros, r"disagree about the state at block \d+ of zksync", False),
    ("zksync", "eth_getLogs", nothing, "nodes of zksync show different logs", True),
]


@pytest.mark.parametrize(
    ("place", "chain", "method", "lie", "words", "paid"),
    [(number % 2, *case) for number, case in enumerate(CONTRADICTIONS)],
)
def test_lying_node_can_delay_but_not_pay(
    harness_chains: Devnet,
    database_url: str,
    chain: str,
    method: str,
    lie: Lie,
    words: str,
    paid: bool,
    place: int,
) -> None:
    with playing(harness_chains, database_url, quorum=2) as (chain_harness, nodes):
        orders = chain_harness.ports.set_orders(2)
        chain_harness.detect()
        liar = (nodes.l1 if chain == "L1" else nodes.l2)[place]
        liar.lies[method] = lie
        chain_harness.go_on()
        assert chain_harness.failed
        assert [line for line in chain_harness.failed if not re.search(words, line)] == []
        assert chain_harness.payments() == ({order.number: 1 for order in orders} if paid else {})
        liar.lies.clear()
        chain_harness.passed += timedelta(hours=1)
        chain_harness.finish(rounds=2)
        assert chain_harness.statuses() == completed(2)
        assert set(chain_harness.payments().values()) == {1}


@pytest.mark.parametrize("liar", [0, 1])
def test_node_that_lies_about_all_can_delay_but_not_pay(
    harness_chains: Devnet, database_url: str, liar: int
) -> None:
    with playing(harness_chains, database_url, quorum=2) as (chain_harness, nodes):
        # What one node alone is asked, such as a balance, may still delay an order often.
        chain_harness.rules(max_attempts=1000)
        chain_harness.ports.set_orders(3)
        chain_harness.detect()
        nodes.fail(liar, Fault.LIE)
        chain_harness.finish(rounds=6)
        assert all(count == 1 for count in chain_harness.payments().values())
        nodes.fail(liar, Fault.NONE)
        for _ in range(4):
            chain_harness.finish(rounds=1)
        assert set(chain_harness.payments().values()) == {1}
        assert not any(o.failed and not o.is_parked for o in chain_harness.orders())
        assert chain_harness.statuses() == completed(3)


def test_too_few_nodes_pay_nothing(harness_chains: Devnet, database_url: str) -> None:
    with playing(harness_chains, database_url, quorum=2) as (chain_harness, nodes):
        chain_harness.ports.set_orders(2)
        chain_harness.detect()
        nodes.fail(1, Fault.DROP)
        chain_harness.transfer()
        assert chain_harness.payments() == {}
        assert any("MMBOT_RPC_QUORUM asks for" in line for line in chain_harness.failed)
        nodes.fail(1, Fault.NONE)
        chain_harness.finish(rounds=2)
        assert chain_harness.statuses() == completed(2)


def test_doctor_reports_whether_enough_nodes_agree(
    harness_chains: Devnet,
    database_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with playing(harness_chains, database_url, quorum=2) as (_, nodes):
        environ = environment(harness_chains.deployment) | {
            "MMBOT_DATABASE_URL": database_url,
            "MMBOT_RPC_QUORUM": "2",
            "MMBOT_L1_RPC_URLS": ",".join(n.url for n in nodes.l1),
            "MMBOT_ZKSYNC_RPC_URLS": ",".join(n.url for n in nodes.l2),
        }
        mmbot = caller(environ, capsys, monkeypatch)
        seen = mmbot("doctor").out
        assert re.search("^ok +L1 quorum: 2 nodes have the same block", seen, re.MULTILINE)
        nodes.l1[1].fail(Fault.ERROR)
        seen = mmbot("doctor").out
        assert re.search("^fault +L1 quorum: only 1 of the 2 nodes of L1", seen, re.MULTILINE)
