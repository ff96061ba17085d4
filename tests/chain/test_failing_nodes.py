"""The whole way of orders while nodes before the chains fail, lag and lie."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from mmbot_pipelines.devnet.deploy import environment
from tests.chain.scene import Scene, played
from tests.chaos.faulty_rpc import Fault, FaultyRpc
from tests.cli.command import caller
from tests.devnet.bridge import Devnet

TIMEOUTS = {"connect_seconds": 0.5, "read_seconds": 0.5}
FAILING = [f for f in Fault if f not in (Fault.NONE, Fault.LIE)]


@dataclass
class Nodes:
    """Two nodes before each chain, the primary first."""

    l1: list[FaultyRpc]
    l2: list[FaultyRpc]

    def fail(self, place: int, fault: Fault) -> None:
        self.l1[place].fail(fault)
        self.l2[place].fail(fault)


@contextmanager
def playing(devnet: Devnet, database_url: str, quorum: int) -> Iterator[tuple[Scene, Nodes]]:
    with ExitStack() as stack:
        urls = devnet.deployment.l1.rpc_url, devnet.deployment.zksync.rpc_url
        l1, l2 = ([stack.enter_context(FaultyRpc(u, seed=i)) for i in (1, 2)] for u in urls)
        scene = stack.enter_context(
            played(
                devnet,
                database_url,
                l1_urls=[n.url for n in l1],
                l2_urls=[n.url for n in l2],
                quorum=quorum,
                **TIMEOUTS,
            )
        )
        yield scene, Nodes(l1, l2)


def completed(count: int) -> dict[int, str]:
    return dict.fromkeys(range(count), "COMPLETED")


@pytest.mark.parametrize("fault", FAILING)
@pytest.mark.parametrize("place", [0, 1])
def test_one_failing_node_stops_nothing(
    scenery: Devnet, database_url: str, fault: Fault, place: int
) -> None:
    with playing(scenery, database_url, quorum=1) as (scene, nodes):
        scene.stage.set_orders(2)
        scene.finish(rounds=1)
        nodes.fail(place, fault)
        scene.stage.set_orders(3)
        # A node that stays at its block makes nothing older of the other's word.
        scene.finish(rounds=2)
        nodes.fail(place, Fault.NONE)
        scene.finish(rounds=1)
        assert scene.statuses() == completed(5)
        assert set(scene.payments().values()) == {1}


def test_outage_of_all_nodes_is_over_when_they_are_back(scenery: Devnet, database_url: str) -> None:
    with playing(scenery, database_url, quorum=1) as (scene, nodes):
        scene.stage.set_orders(2)
        scene.detect()
        for place in (0, 1):
            nodes.fail(place, Fault.DROP)
        for _ in range(3):
            scene.transfer()
        assert all("no RPC node of L1 answered" in line for line in scene.failed)
        assert not any(o.failed for o in scene.orders())  # an outage is nobody's fault
        for place in (0, 1):
            nodes.fail(place, Fault.NONE)
        scene.finish(rounds=2)
        assert scene.statuses() == completed(2)


@pytest.mark.parametrize("liar", [0, 1])
def test_lying_node_can_delay_but_not_pay(scenery: Devnet, database_url: str, liar: int) -> None:
    with playing(scenery, database_url, quorum=2) as (scene, nodes):
        # What one node alone is asked, such as a balance, may still delay an order often.
        scene.rules(max_attempts=1000)
        scene.stage.set_orders(3)
        scene.detect()
        nodes.fail(liar, Fault.LIE)
        scene.finish(rounds=6)
        differ = ("disagree about", "has another block")
        assert any(words in line for words in differ for line in scene.failed), scene.failed
        assert all(count == 1 for count in scene.payments().values())
        nodes.fail(liar, Fault.NONE)
        for _ in range(4):
            scene.finish(rounds=1)
        assert set(scene.payments().values()) == {1}
        assert not any(o.failed and not o.parked for o in scene.orders())
        assert scene.statuses() == completed(3)


def test_too_few_nodes_pay_nothing(scenery: Devnet, database_url: str) -> None:
    with playing(scenery, database_url, quorum=2) as (scene, nodes):
        scene.stage.set_orders(2)
        scene.detect()
        nodes.fail(1, Fault.DROP)
        scene.transfer()
        assert scene.payments() == {}
        assert any("MMBOT_RPC_QUORUM asks for" in line for line in scene.failed)
        nodes.fail(1, Fault.NONE)
        scene.finish(rounds=2)
        assert scene.statuses() == completed(2)


def test_doctor_says_whether_enough_nodes_agree(
    scenery: Devnet,
    database_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with playing(scenery, database_url, quorum=2) as (_, nodes):
        environ = environment(scenery.deployment) | {
            "MMBOT_DATABASE_URL": database_url,
            "MMBOT_RPC_QUORUM": "2",
            "MMBOT_L1_RPC_URLS": ",".join(n.url for n in nodes.l1),
            "MMBOT_ZKSYNC_RPC_URLS": ",".join(n.url for n in nodes.l2),
        }
        mmbot = caller(environ, capsys, monkeypatch)
        assert "ok    L1 quorum: 2 nodes have the same block" in mmbot("doctor").out
        nodes.l1[1].fail(Fault.ERROR)
        assert "fault L1 quorum: only 1 of the 2 nodes of L1" in mmbot("doctor").out
