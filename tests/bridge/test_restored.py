"""A backup is restored on a new server: the database is older than the chains.

What was signed after the dump is the bot's own, but nothing is stored of it.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mmbot_pipelines.adapters.db.bridge.audit import PgAuditRecords
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.bridge.auditor.findings import Auditor
from mmbot_pipelines.bridge.auditor.run import audit
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.safety import GLOBAL, State
from tests.bridge.guard_steps import halt, state
from tests.bridge.harness import BridgeHarness
from tests.bridge.other_database import begin_again, go_on, made
from tests.bridge.transfers import GWEI
from tests.postgres_dumps import dump, fresh_server, restore

AT_THE_DUMP = {
    "zksync:0": Status.COMPLETED,
    "zksync:1": Status.PROVED,
    "zksync:2": Status.PROVING,
    "zksync:3": Status.FULFILLED,
    "zksync:4": Status.TRANSFERRING,
    **{f"zksync:{number}": Status.PENDING for number in (5, 6, 7)},
}

NEVER_PAID = {"zksync:7", "zksync:16"}
IN_THE_POOL = {"zksync:6", "zksync:15"}  # their transfers, when the backup is restored
ON_ITS_WAY = "zksync:9"  # the message of its claim, then


def until_the_dump(harness: BridgeHarness) -> None:
    """Take an order to each step; 2 and 4 have a transaction in the pool."""
    keys = harness.set_and_detect(8)
    harness.transfer(keys[:4])
    harness.mine()
    harness.repay(keys[:1])
    harness.mine()
    harness.l2.deliver()
    harness.settle()
    harness.repay(keys[1:2])
    harness.mine()
    harness.repay(keys[2:3])
    harness.transfer(keys[4:5])
    assert harness.statuses() == AT_THE_DUMP


def after_the_dump(harness: BridgeHarness, *, replaced: bool) -> None:
    """Do what is lost: an order to each step again, and two transfers left in the pool."""
    if replaced:
        harness.chain.base_fee = 5 * GWEI  # no block takes what was signed
        harness.replace_stuck()
    harness.mine()
    keys = [*AT_THE_DUMP, *harness.set_and_detect(9)]
    harness.transfer([keys[5], *keys[8:15]])
    harness.mine()
    harness.repay([keys[3], keys[8]])
    harness.mine()
    harness.l2.deliver()
    harness.settle()
    harness.repay(keys[9:10])
    harness.mine()  # its message is on its way
    harness.transfer([keys[6], keys[15]])  # in no block yet
    if replaced:
        harness.chain.base_fee = GWEI


def reverted(harness: BridgeHarness) -> list[str]:
    return [t.reason for t in harness.chain.executed() if t.reason]


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with fresh_server(tmp_path_factory.mktemp("restored") / "data") as url:
        yield url


def test_what_is_restored_halted_finds_all_it_paid_before_it_pays_again(
    harness: BridgeHarness, tmp_path: Path, other_server: str
) -> None:
    until_the_dump(harness)
    dump(harness.engine, tmp_path / "03.dump")
    after_the_dump(harness, replaced=True)
    begin_again(harness, restore(tmp_path / "03.dump", other_server, "halted"))
    assert harness.statuses() == AT_THE_DUMP
    halt(harness)
    (shared,) = [a for a in harness.alerts().alerts if a.title.startswith("another program")]
    assert "if you restored a backup" in shared.text
    go_on(harness, turns=5)
    waiting = {key for key, status in harness.statuses().items() if status is Status.PENDING}
    assert waiting == {*NEVER_PAID, *IN_THE_POOL}
    assert harness.store.orders.exposure() == 0
    guard.resume(harness.bridge, GLOBAL, by="Ann", reason="all that was paid is found")
    go_on(harness, turns=3)
    check_end(harness)
    assert reverted(harness) == []
    harness.engine.dispose()


def test_what_is_restored_and_not_halted_loses_gas_alone(
    harness: BridgeHarness, tmp_path: Path, other_server: str
) -> None:
    until_the_dump(harness)
    dump(harness.engine, tmp_path / "03.dump")
    after_the_dump(harness, replaced=False)
    begin_again(harness, restore(tmp_path / "03.dump", other_server, "at_once"))
    assert harness.statuses() == AT_THE_DUMP
    go_on(harness, turns=5)
    check_end(harness)
    assert reverted(harness) == ["Transfer already processed."] * len(IN_THE_POOL)
    assert harness.alerts().alerts == []
    harness.engine.dispose()


def test_what_changed_settings_drop_is_named_by_the_audit_and_claimed_by_a_retry(
    harness: BridgeHarness,
) -> None:
    """It was paid in the lost time, and the limits were lowered before the bot began again."""
    (key,) = harness.set_and_detect()
    harness.chain.elsewhere(harness.registry.transfer(harness.order(key)))
    harness.rules(limits=replace(harness.bridge.rules.limits, max_transfer=Wei(1)))
    harness.transfer([key])
    assert harness.order(key).status is Status.DROPPED
    harness.chain.mine(harness.bridge.rules.l1_finality_blocks)
    auditor = Auditor(
        bridge=harness.bridge,
        records=PgAuditRecords(harness.engine),
        payments=harness.registry,
        reports=PgReports(harness.engine),
        blocks=1000,
    )
    findings, _ = audit(auditor, None)
    problems = [line for found in findings for line in found.problems]
    assert any(f"{key} is DROPPED, but the registry paid" in line for line in problems), problems
    steps.reprocess(harness.bridge, [key], harness.run)
    go_on(harness, turns=1)
    assert harness.order(key).status is Status.COMPLETED
    assert made(harness, "transfer") == {key: 1}


def check_end(harness: BridgeHarness) -> None:
    """Check that each order was paid once and repaid, and what was claimed again."""
    statuses = harness.statuses()
    assert set(statuses.values()) == {Status.COMPLETED}
    assert len(statuses) == len(AT_THE_DUMP) + 9
    assert made(harness, "transfer") == dict.fromkeys(statuses, 1)
    assert made(harness, "claim") == dict.fromkeys(statuses, 1) | {ON_ITS_WAY: 2}
    assert state(harness) is State.NORMAL
