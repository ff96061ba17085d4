"""The process dies between any two effects, is started again, and nothing is wrong."""

import signal
from pathlib import Path

import pytest

from mmbot_pipelines.bridge.audit.facts import StoredFacts
from mmbot_pipelines.core.failpoints import Point
from mmbot_pipelines.devnet.chain import ask
from tests.chaos.invariants import final_states, stored_facts
from tests.crash.kill_harness import DELEGATED, PACKED, KillHarness, assert_invariants

# What beside the orders must happen for a point to be reached.
STUCK = (Point.REPLACEMENT_STORED, Point.REPLACEMENT_BROADCAST)
# Where a claim that goes with its transfer may be lost or doubled in another way than one alone;
# at more points in tests/bridge/test_kills.py.
WITH_TRANSFER = (
    Point.TRANSFER_STORED,
    Point.TRANSFER_BROADCAST,
    Point.RECEIPT_STORED,
    Point.L1_REORG_SEEN,
    Point.L2_REORG_SEEN,
    Point.L2_REORG_REVIEWED,
)
OF_A_SLICE = (Point.SIGNED, Point.TRANSFER_STORED, Point.TRANSFER_BROADCAST)
OF_ITS_CLAIMS = (Point.REPAY_STORED, Point.REPAY_BROADCAST)
OF_ITS_RECEIPTS = (Point.RECEIPT_READ, Point.RECEIPT_STORED)
REORGED_CHAIN = {
    Point.L1_REORG_SEEN: "l1",
    Point.L2_REORG_SEEN: "l2",
    Point.L2_REORG_REVIEWED: "l2",
}


def test_without_a_kill_every_order_reaches_its_final_state(kill_harness: KillHarness) -> None:
    assert kill_harness.run() == 0
    kept = stored_facts(kill_harness.database_url)
    done = 2 + kill_harness.first
    assert final_states(kept) == {"COMPLETED": done, "DROPPED": 1, "PROCESSING parked": 2}
    # The alternating recipient: its own refusal parks it at once, and takes its claim with it.
    reverted = [t.subject for t in kept.transactions if t.state == "REVERTED"]
    sent = [kill_harness.alternating] * (1 + kill_harness.first)
    # Claims behind transfers are mined with them or one block later, so it may refuse money in the
    # block that is simulated already.
    assert reverted in ([sent, []] if kill_harness.first else [sent])
    assert_invariants(kill_harness)


@pytest.mark.parametrize(
    ("kill_harness", "point"),
    [
        *(("after_transfer", point) for point in Point),
        *(("with_transfer", point) for point in WITH_TRANSFER),
    ],
    indirect=["kill_harness"],
)
def test_a_kill_at_a_failpoint(point: Point, kill_harness: KillHarness, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch()
    if point in REORGED_CHAIN:
        assert kill_harness.run() == 0
        kill_harness.reorg(REORGED_CHAIN[point])
    if point in STUCK:
        ask(kill_harness.devnet.l1, "evm_setAutomine", False)
    assert kill_harness.run(MMBOT_FAILPOINTS=f"{point}={token}") == -signal.SIGKILL
    assert not token.exists()
    ask(kill_harness.devnet.l1, "evm_setAutomine", True)
    ask(kill_harness.devnet.l1, "evm_mine")
    assert kill_harness.run(hours=1) == 0
    kept = stored_facts(kill_harness.database_url)
    paid = {event.key for event in kept.events if event.after == "FULFILLED"}
    # Mined again after the reorg, it may stand in a block in which its recipient takes money.
    accepted = REORGED_CHAIN.get(point) == "l1" and kill_harness.alternating in paid
    assert final_states(kept) == {
        "COMPLETED": 2 + kill_harness.first + accepted,
        "DROPPED": 1,
        "PROCESSING parked": 2 - accepted,
    }
    assert_invariants(kill_harness)


@pytest.mark.parametrize(
    ("kill_harness", "point"),
    [
        *(
            ("after_transfer" + PACKED, point)
            for point in (Point.DECIDED, *OF_A_SLICE, *OF_ITS_CLAIMS, *OF_ITS_RECEIPTS)
        ),
        *(("with_transfer" + PACKED, point) for point in (*OF_A_SLICE, *OF_ITS_RECEIPTS)),
    ],
    indirect=["kill_harness"],
)
def test_a_kill_in_a_slice(point: Point, kill_harness: KillHarness, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch()
    assert kill_harness.run(MMBOT_FAILPOINTS=f"{point}={token}") == -signal.SIGKILL
    assert not token.exists()
    died = stored_facts(kill_harness.database_url).transactions
    stored = [t for t in died if t.state == "STORED"]
    if point not in OF_ITS_RECEIPTS:  # of which one slice has as many as are mined
        whole = 3 + 3 * kill_harness.first
        assert len(stored) == (0 if point in (Point.DECIDED, Point.SIGNED) else whole)
    assert kill_harness.run(hours=1) == 0
    kept = stored_facts(kill_harness.database_url)
    done = 3 + kill_harness.first
    assert final_states(kept) == {"COMPLETED": done, "DROPPED": 1, "PROCESSING parked": 1}
    assert {t.state for t in kept.transactions} == {"MINED"}
    assert sorted(t.nonce for t in kept.transactions) == list(range(2 * done))
    assert_invariants(kill_harness)


@pytest.mark.parametrize(
    ("kill_harness", "point"),
    [
        ("batched" + PACKED, point)
        for point in (*OF_ITS_CLAIMS, Point.L1_REORG_SEEN, Point.SETTLEMENT_SEEN)
    ],
    indirect=["kill_harness"],
)
def test_a_kill_with_claims_in_a_batch(
    point: Point, kill_harness: KillHarness, tmp_path: Path
) -> None:
    kept = killed_with_a_batch(point, kill_harness, tmp_path / "token")
    # Three transfers, and one claim of all three.
    assert sorted(t.nonce for t in kept.transactions) == [0, 1, 2, 3]
    assert sorted(len(t.serves) for t in kept.transactions) == [1, 1, 1, 3]
    assert_invariants(kill_harness)


@pytest.mark.parametrize(
    ("kill_harness", "point"),
    [
        *(
            ("after_transfer" + DELEGATED + PACKED, point)
            for point in (*OF_A_SLICE, *OF_ITS_CLAIMS, *OF_ITS_RECEIPTS, Point.L1_REORG_SEEN)
        ),
        *(
            ("with_transfer" + DELEGATED + PACKED, point)
            for point in (Point.TRANSFER_STORED, *OF_ITS_RECEIPTS, Point.L1_REORG_SEEN)
        ),
    ],
    indirect=["kill_harness"],
)
def test_a_kill_with_batches_of_our_account(
    point: Point, kill_harness: KillHarness, tmp_path: Path
) -> None:
    kept = killed_with_a_batch(point, kill_harness, tmp_path / "token")
    # One batch of three transfers and one of their claims, or one of both.
    parts = [1, 1, 6] if kill_harness.first else [3, 3]
    assert [len(t.serves) for t in kept.transactions] == parts
    assert_invariants(kill_harness)


def killed_with_a_batch(point: Point, kill_harness: KillHarness, token: Path) -> StoredFacts:
    """Kill the bot at a point, start it again, and return what it stored until all was at rest."""
    token.touch()
    if point in REORGED_CHAIN:
        assert kill_harness.run() == 0
        kill_harness.reorg(REORGED_CHAIN[point])
    assert kill_harness.run(MMBOT_FAILPOINTS=f"{point}={token}") == -signal.SIGKILL
    assert not token.exists()
    assert kill_harness.run(hours=1) == 0
    kept = stored_facts(kill_harness.database_url)
    done = 3 + kill_harness.first
    assert final_states(kept) == {"COMPLETED": done, "DROPPED": 1, "PROCESSING parked": 1}
    assert {t.state for t in kept.transactions} == {"MINED"}
    return kept
