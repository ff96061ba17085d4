"""The bot in a process that can be killed between any two effects, on chains of its own."""

import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest

from mmbot_pipelines.devnet.accounts import USERS, account
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.deploy import environment
from mmbot_pipelines.devnet.messenger import Messenger
from mmbot_pipelines.devnet.orders import GOOD_FEE, LOW_FEE, MILLI, OrderKind, OrderSpec, place_many
from tests.adapters.alerts.sink import Sink
from tests.chaos.chain_facts import Chains, Snapshot, ZkSyncOrigin
from tests.chaos.chain_faults import alternating_recipient, reorg
from tests.chaos.invariants import audited, stored_facts, table
from tests.crash.driver import work
from tests.devnet.bridge import Devnet, rolled_back, running
from tests.devnet.delegated import delegate

PROCESSES = multiprocessing.get_context("forkserver")
# What the wiring imports only where it is used is imported once for all, too.
PROCESSES.set_forkserver_preload(
    [
        "tests.crash.driver",
        "coincurve",
        "mmbot_pipelines.adapters.db.migrate",
        "mmbot_pipelines.adapters.evm.signers",
        "mmbot_pipelines.adapters.evm.web3_contracts",
        "mmbot_pipelines.wiring.origins.zksync",
        "psycopg",
        "sqlalchemy.dialects.postgresql.psycopg",
    ]
)

DELEGATED = ", eip7702"  # our account makes many calls in one transaction
PACKED = ", packed"  # one run has all orders that are due


@dataclass(frozen=True, kw_only=True)
class KillHarness:
    """Two chains with orders on them, a database, and the settings that name both."""

    devnet: Devnet
    sink: Sink
    environ: dict[str, str]
    chains: Chains
    before: Snapshot
    l2_block: int  # before the orders
    expected: int
    first: int = 0  # orders that were done before, whose claims let others' go with transfers
    packed: bool = False  # one run has all orders that are due

    @property
    def database_url(self) -> str:
        return self.environ["MMBOT_DATABASE_URL"]

    @property
    def alternating(self) -> str:
        """Name the order whose recipient takes money in every second block."""
        return f"zksync:{3 + self.first}"

    def run(self, *, hours: int = 0, **more: str) -> int:
        """Run the bot to its end; return the exit code, minus the signal where one ended it."""
        process = PROCESSES.Process(
            target=work, args=(self.environ | more, self.expected, hours, self.packed), daemon=True
        )
        process.start()
        process.join()
        assert process.exitcode is not None
        return process.exitcode

    def reorg(self, chain: str) -> None:
        """Take back all blocks since the test began; on the L2 the orders are set again."""
        if chain == "l1":
            depth = self.devnet.l1.eth.block_number - self.before.block
            ask(self.devnet.l1, "anvil_reorg", depth, [])
        else:
            depth = self.devnet.l2.eth.block_number - self.l2_block
            assert reorg(self.devnet.l2, depth, Random(1), loses=False) == self.expected


@pytest.fixture(scope="module")
def chains() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture(scope="module")
def chains_v2() -> Iterator[Devnet]:
    with running("v2") as devnet:
        yield devnet


@pytest.fixture(params=["after_transfer", "with_transfer"])
def kill_harness(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> Iterator[KillHarness]:
    way, packed = request.param.removesuffix(PACKED), request.param.endswith(PACKED)
    claim, together = way.removesuffix(DELEGATED), way.endswith(DELEGATED)
    chains: Devnet = request.getfixturevalue("chains_v2" if claim == "batched" else "chains")
    with rolled_back(chains) as devnet, Sink() as sink:
        if together:
            delegate(devnet.deployment)
        watched = Chains(devnet.deployment, [ZkSyncOrigin(devnet.deployment.zksync)])
        before, l2_block = watched.snapshot(), devnet.l2.eth.block_number
        order_specs = [
            order_spec(account(4).address),
            order_spec(account(5).address, amount=20 * MILLI),
            order_spec(devnet.deployment.l1.rejecting_recipient),
            # In a slice transfers are mined in the same block or not: nobody knows what it does.
            order_spec(account(8).address if packed else alternating_recipient(devnet.l1)),
            order_spec(account(6).address, fee=LOW_FEE),
        ]
        stop = threading.Event()
        messenger = Messenger(l1=devnet.l1, l2=devnet.l2, diamond=devnet.deployment.zksync.diamond)
        thread = threading.Thread(target=messenger.run, args=(stop,), kwargs={"poll": 0.05})
        thread.start()
        kill_harness = KillHarness(
            devnet=devnet,
            sink=sink,
            environ=environment(devnet.deployment)
            | {
                "MMBOT_DATABASE_URL": database_url,
                "MMBOT_ZKSYNC_START_BLOCK": str(devnet.deployment.zksync.start_block),
                "MMBOT_MAX_ATTEMPTS": "2",
                "MMBOT_RETRY_BACKOFF_SECONDS": "0.1",
                "MMBOT_STUCK_AFTER_SECONDS": "1",
                "MMBOT_ALERT_URLS": sink.url,
                "MMBOT_CLAIM": claim,
                "MMBOT_BATCH": "eip7702" if together else "off",
                "MMBOT_CLAIM_BATCH_ORDERS": "3",
                "MMBOT_CLAIM_BATCH_AGE_SECONDS": "20",
                "DAGSTER_HOME": str(tmp_path),
            },
            chains=watched,
            before=before,
            l2_block=l2_block,
            expected=0,
            packed=packed,
        )
        if claim == "with_transfer":
            place_many(devnet.deployment.zksync, [order_spec(account(7).address)])
            kill_harness = replace(kill_harness, expected=1, first=1)
            assert kill_harness.run() == 0
        place_many(devnet.deployment.zksync, order_specs)
        yield replace(kill_harness, expected=len(order_specs) + kill_harness.first)
        stop.set()
        thread.join()


def order_spec(recipient: str, *, amount: int = 10 * MILLI, fee: int = GOOD_FEE) -> OrderSpec:
    return OrderSpec(
        kind=OrderKind.GOOD,
        origin="zksync",
        user=account(USERS[0]).address,
        recipient=recipient,
        amount=amount,
        fee=fee,
    )


def assert_invariants(kill_harness: KillHarness) -> None:
    results = audited(kill_harness.chains, kill_harness.database_url, kill_harness.before)
    assert not any(result.violations for result in results), "\n" + table(results)
    assert all(result.checked for result in results), "\n" + table(results)
    reported = str(kill_harness.sink.received)
    parked = [o.key for o in stored_facts(kill_harness.database_url).orders if o.failed]
    assert [key for key in parked if f"{key} is parked" in reported] == parked
