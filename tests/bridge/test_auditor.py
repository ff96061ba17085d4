"""The audit of a running bot: green beside its work, and each check red for its own fault."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, update

from mmbot_pipelines.adapters.db.bridge.audit import PgAuditRecords
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.tables.orders import order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import transactions
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.auditor.findings import (
    OF_ORIGIN,
    OF_WALLET,
    Auditor,
    Check,
    Finding,
    Mark,
)
from mmbot_pipelines.bridge.auditor.run import audit
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.policy import Caps
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call
from tests.bridge.harness import BridgeHarness
from tests.bridge.wallets import second_wallet, transfers

FINALITY = 3
ETH = 10**18


class AuditHarness:
    """A bridge that has completed two orders, whose blocks are final, and audits itself."""

    def __init__(self) -> None:
        self.harness = harness = BridgeHarness()
        harness.rules(l1_finality_blocks=FINALITY)
        self.mark: Mark | None = None
        self.look()  # before the first order
        self.keys = harness.set_and_detect(2)
        harness.transfer(self.keys)
        harness.mine()
        harness.repay(self.keys)
        harness.mine()
        harness.l2.deliver()
        harness.settle()
        harness.chain.mine(FINALITY)
        harness.l2.mine(harness.l2.accepted_depth)
        steps.backfill(harness.bridge, harness.run)
        harness.detect()
        harness.later(3600)

    def look(self, **changes: Any) -> dict[tuple[Check, str], Finding]:
        """Audit as the schedule does, each time with what the last audit saw."""
        harness = self.harness
        auditor = Auditor(
            bridge=harness.bridge,
            records=PgAuditRecords(harness.engine),
            payments=harness.registry,
            reports=PgReports(harness.engine),
            blocks=1000,
        )
        findings, self.mark = audit(replace(auditor, **changes), self.mark)
        return {(finding.check, finding.scope): finding for finding in findings}

    def problems(self, **changes: Any) -> dict[str, list[str]]:
        """Return what is wrong, by check."""
        found = self.look(**changes).values()
        return {str(f.check): list(f.problems) for f in found if f.problems}

    def write(self, statement: Any) -> None:
        with self.harness.engine.begin() as connection:
            connection.execute(statement)


@pytest.fixture
def audited() -> AuditHarness:
    return AuditHarness()


def test_all_is_well(audited: AuditHarness) -> None:
    found = audited.look()
    assert set(found) == {(check, "zksync") for check in OF_ORIGIN} | {
        (check, "global") for check in OF_WALLET
    }
    assert [f.problems for f in found.values() if f.problems] == []
    counted = {check: finding.checked for (check, _), finding in found.items()}
    assert counted[Check.STORED] == 2
    assert counted[Check.CONTIGUOUS] == 2
    assert counted[Check.PAYMENTS] == 2
    assert counted[Check.HISTORY] == 2
    assert counted[Check.OUTBOX] == 4
    assert counted[Check.NONCES] == 4
    assert counted[Check.BALANCE] == 4
    assert found[Check.BALANCE, "global"].note.startswith("compared since block")


def lose_an_order(audited: AuditHarness) -> None:
    audited.write(delete(order_events).where(order_events.c.key == "zksync:0"))
    audited.write(delete(orders).where(orders.c.number == 0))


def change_a_recipient(audited: AuditHarness) -> None:
    theirs = "0x14dC79964da2C08b23698B3D3cc7Ca32193d9956"
    audited.write(update(orders).where(orders.c.number == 1).values(recipient=theirs))


def take_a_step_twice(audited: AuditHarness) -> None:
    audited.write(delete(order_events).where(order_events.c.after == "FULFILLED"))


def change_the_gas(audited: AuditHarness) -> None:
    audited.write(update(transactions).where(transactions.c.nonce == 1).values(gas_used=1))


def lose_a_row(audited: AuditHarness) -> None:
    audited.write(delete(transactions).where(transactions.c.nonce == 1))


@pytest.mark.parametrize(
    ("fault", "check", "named"),
    [
        (lose_an_order, Check.STORED, "zksync:0 locks 0.01 ETH (10000000000000000 wei)"),
        (lose_an_order, Check.PAYMENTS, "was paid for zksync:0, which is not in the database"),
        (change_a_recipient, Check.STORED, "zksync:1 locks"),
        (change_a_recipient, Check.PAYMENTS, "zksync:1 locks"),
        (take_a_step_twice, Check.HISTORY, "zksync:0 was TRANSFERRING, and then left FULFILLED"),
        (change_the_gas, Check.OUTBOX, "wei of gas"),
        (lose_a_row, Check.NONCES, "nonce 1 is used on chain, and 0 rows are decided for it"),
    ],
)
def test_what_the_chains_deny(
    audited: AuditHarness, fault: Callable[[AuditHarness], None], check: Check, named: str
) -> None:
    audited.look()
    fault(audited)
    problems = audited.problems()
    assert any(named in problem for problem in problems[check])


def test_a_gap_in_the_numbers_is_named_unless_its_order_was_refused(audited: AuditHarness) -> None:
    harness = audited.harness
    harness.set_and_detect(3)
    gone = audited.harness.order("zksync:3")
    assert Check.CONTIGUOUS not in audited.problems()
    audited.write(delete(order_events).where(order_events.c.key == gone.key))
    audited.write(delete(orders).where(orders.c.number == gone.number))
    (problem,) = audited.problems()[Check.CONTIGUOUS]
    assert problem == "zksync:3 is missing between zksync:2 and zksync:4"
    fault = Fault(subject=gone.key, step="detect", kind="Malformed", message="no recipient")
    with harness.store.begin() as uow:
        uow.errors.add([fault], at=harness.now, run_id="r")
    assert Check.CONTIGUOUS not in audited.problems()


def test_a_cursor_that_stands_is_behind_at_the_next_audit(audited: AuditHarness) -> None:
    audited.look()
    audited.harness.l2.mine(7)
    assert Check.CURSORS not in audited.problems()  # the sensor may read them yet
    audited.harness.later(3600)
    assert Check.CURSORS not in audited.problems()
    audited.harness.later(3600)
    found = audited.look()[Check.CURSORS, "zksync"]
    assert found.is_grave
    assert "the latest cursor of zksync is at block" in found.problems[0]
    assert "7 blocks behind" in found.problems[0]
    audited.harness.detect()
    steps.backfill(audited.harness.bridge, audited.harness.run)
    assert Check.CURSORS not in audited.problems()


def test_an_order_that_waits_for_too_long_is_a_warning(audited: AuditHarness) -> None:
    harness = audited.harness
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    assert Check.PUNCTUAL not in audited.problems()
    harness.later(harness.bridge.rules.undelivered_after_seconds + 1)
    found = audited.look()[Check.PUNCTUAL, "zksync"]
    assert not found.is_grave
    assert f"{key} (0.01 ETH (10000000000000000 wei)) has been TRANSFERRING" in found.problems[0]


def test_wei_that_left_or_came_by_nobodys_order(audited: AuditHarness) -> None:
    harness = audited.harness
    audited.look()
    harness.chain.endowment -= 7
    lost = audited.look()[Check.BALANCE, "global"]
    assert lost.is_grave
    assert lost.problems[0].startswith("0.000000000000000007 ETH (7 wei) left the wallet 0xf39F")
    assert Check.BALANCE not in audited.problems()  # of the next hour
    harness.chain.endowment += 9
    came = audited.look()[Check.BALANCE, "global"]
    assert not came.is_grave
    assert "(9 wei) came into the wallet" in came.problems[0]


def test_what_another_program_spent_left_the_wallet(audited: AuditHarness) -> None:
    audited.look()
    call = Call(to=audited.harness.chain.wallet, data=b"", value=Wei(0))
    audited.harness.chain.elsewhere(call)
    (problem,) = audited.problems()[Check.BALANCE]
    assert "left the wallet" in problem


def test_a_receipt_that_is_not_read_yet_is_compared_later(audited: AuditHarness) -> None:
    audited.look()
    (key,) = audited.harness.set_and_detect()
    audited.harness.transfer([key])
    audited.harness.chain.mine()
    found = audited.look()[Check.BALANCE, "global"]
    assert (list(found.problems), found.note) == (
        [],
        "a receipt is not read yet: the next audit compares",
    )
    audited.harness.mine()
    assert audited.look()[Check.BALANCE, "global"].checked == 1


def test_exposure_above_its_limit_and_a_wallet_that_runs_dry(audited: AuditHarness) -> None:
    harness = audited.harness
    harness.set_and_detect(2, amount=ETH // 100)
    keys = [key for key, status in harness.statuses().items() if status is Status.PENDING]
    harness.transfer(keys)
    harness.rules(caps=Caps(exposure=Wei(1)))
    harness.mine()
    harness.chain.endowment = harness.chain.endowment - harness.chain.balance() + ETH // 1000
    problems = audited.problems()
    assert "more than the 0.000000000000000001 ETH (1 wei)" in problems[Check.EXPOSURE][0]
    assert "hours at the" in problems[Check.FUNDS][0]


def test_every_wallet_is_audited(audited: AuditHarness) -> None:
    harness = audited.harness
    first, second = harness.chain.wallet, second_wallet(harness)
    audited.look()
    for key in (keys := harness.set_and_detect(2)):
        harness.transfer([key])  # each from the wallet with the fewest in flight
    harness.mine()
    harness.repay(keys)
    harness.mine()
    harness.l2.deliver()
    harness.settle()
    harness.chain.mine(FINALITY)
    assert len(transfers(harness, second.wallet)) == 1
    found = audited.look()
    assert [f.problems for f in found.values() if f.problems] == []
    assert found[Check.PAYMENTS, "zksync"].checked == 4
    assert found[Check.OUTBOX, "global"].checked == 8
    assert {f"balance, {first}", f"balance, {second.wallet}"} == set(
        found[Check.BALANCE, "global"].amounts
    )
    second.endowment -= 7
    (problem,) = audited.look()[Check.BALANCE, "global"].problems
    assert f"(7 wei) left the wallet {second.wallet} " in problem
    audited.write(
        update(transactions).where(transactions.c.wallet == second.wallet).values(gas_used=1)
    )
    assert Check.OUTBOX in audited.problems()


def test_a_silent_chain_is_a_warning_and_the_rest_is_checked(audited: AuditHarness) -> None:
    audited.harness.chain.fault = RpcUnavailable("no node of L1 answers")
    found = audited.look()
    silent = {check for (check, _), f in found.items() if f.problems}
    assert silent == {Check.OUTBOX, Check.NONCES, Check.PAYMENTS, Check.HISTORY, Check.BALANCE}
    assert not any(f.is_grave for f in found.values() if f.problems)
    assert found[Check.OUTBOX, "global"].problems == ["not checked: no node of L1 answers"]
    assert found[Check.STORED, "zksync"].checked == 2


def test_an_audit_reads_no_more_than_its_window(audited: AuditHarness) -> None:
    """Orders outside of it cost nothing, however many there are."""
    lose_an_order(audited)
    head = audited.harness.bridge.store.orders.cursor("zksync", Cursor.ACCEPTED)
    assert head is not None
    audited.harness.l2.mine(30)
    audited.harness.chain.mine(30)
    steps.backfill(audited.harness.bridge, audited.harness.run)
    audited.harness.detect()
    assert audited.problems(blocks=5) == {}
