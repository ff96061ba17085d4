"""Several wallets: one that is taken away, alerted to, emptied, has a gap, or whose run dies."""

from collections.abc import Sequence

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import BATCH_SIZE
from mmbot_pipelines.bridge.sending.lane import for_each_wallet
from mmbot_pipelines.bridge.sending.nonces import gap_subject
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.alerts import Severity
from mmbot_pipelines.core.errors import Failure, RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call, Transaction, TxState
from mmbot_pipelines.core.readings import SafetyThresholds
from mmbot_pipelines.core.safety import State
from tests.bridge.guard_steps import state
from tests.bridge.harness import BridgeHarness
from tests.bridge.wallets import (
    paid_once,
    second_wallet,
    stuck_first_wallet,
    transfers,
    use_wallets,
)
from tests.ports.chain_memory import ETH, WALLET
from tests.ports.wallet_memory import SECOND


def test_a_wallet_taken_out_of_the_settings_is_followed_to_its_end(harness: BridgeHarness) -> None:
    second = second_wallet(harness)
    (stuck,) = stuck_first_wallet(harness)
    use_wallets(harness, second)
    keys = harness.set_and_detect(2)
    harness.transfer([stuck, *keys])
    harness.mine()
    paid_once(harness, keys)
    harness.replace_stuck()
    assert [row.bump for row in harness.store.outbox.of(stuck)] == [0]  # its key is gone
    harness.later(900)
    (alert,) = [a for a in harness.alerts().alerts if a.key.startswith("wallet-stuck")]
    assert alert.key == f"wallet-stuck {WALLET}"
    assert "MMBOT_L1_MORE_WALLETS" in alert.text
    harness.look()  # the stored bytes need no key
    harness.mine()
    paid_once(harness, [stuck])


@pytest.mark.parametrize(
    ("failure", "looked_at"),
    [(RpcUnavailable("away"), [WALLET, SECOND]), (StoreUnavailable("away"), [WALLET])],
)
def test_what_fails_for_one_wallet_keeps_no_other_waiting(
    harness: BridgeHarness, failure: Failure, looked_at: list[Address]
) -> None:
    second_wallet(harness)
    seen = []

    def work(lane: Bridge, _: Sequence[Transaction]) -> None:
        seen.append(lane.chain.wallet)
        if lane.chain.wallet == WALLET:
            raise failure

    with pytest.raises(type(failure)):
        for_each_wallet(harness.bridge, {WALLET: [], SECOND: []}, work)
    assert seen == looked_at


def test_each_wallet_has_its_own_alerts(harness: BridgeHarness) -> None:
    second = second_wallet(harness)
    second.endowment = 0
    (alert,) = harness.alerts(min_balance=Wei(ETH)).alerts
    assert (alert.key, alert.severity) == (f"wallet-floor {SECOND}", Severity.HIGH)
    assert f"(1000000000000000000 wei) to {SECOND} on L1" in alert.text
    harness.chain.endowment = 0
    found = harness.alerts(min_balance=Wei(ETH)).alerts
    assert {a.key for a in found} == {f"wallet-floor {w}" for w in (WALLET, SECOND)}
    assert {a.severity for a in found} == {Severity.CRITICAL}


def test_a_fall_of_the_second_wallet_under_the_floor_halts_by_its_name(
    harness: BridgeHarness,
) -> None:
    second = second_wallet(harness)
    harness.rules(thresholds=SafetyThresholds(min_balance=Wei(ETH)))
    steps.guard(harness.bridge, harness.run)
    second.endowment = 1
    for _ in range(2):
        steps.guard(harness.bridge, harness.run)
        harness.later(6)
    assert state(harness) is State.HALTED
    (halted,) = [s for s in harness.store.safety.scope_states() if s.state is State.HALTED]
    assert SECOND in halted.why


def test_gaps_of_both_lanes_are_filled_each_by_its_own_wallet(harness: BridgeHarness) -> None:
    second = second_wallet(harness)
    keys = harness.set_and_detect(2 * BATCH_SIZE)
    harness.transfer(keys)
    harness.mine()
    for lane in (harness.chain, second):
        lane.elsewhere(Call(to=lane.wallet, data=b"", value=Wei(1)))
    more = harness.set_and_detect(2 * BATCH_SIZE)
    harness.transfer(more)
    harness.chain.reorg(2, keep=False)  # takes the other program's back, ours wait above its nonce
    harness.look()
    harness.later(61)
    harness.replace_stuck()
    fillers = [row for row in harness.transactions() if row.subject.startswith("nonce:")]
    assert [(row.subject, row.nonce) for row in fillers] == [
        (gap_subject(wallet, BATCH_SIZE), BATCH_SIZE) for wallet in (WALLET, SECOND)
    ]
    for _ in range(3):
        harness.mine()
    paid_once(harness, [*keys, *more])


class _Killed(BaseException):
    """The process has died at a failpoint."""


@pytest.mark.parametrize("point", ["signed", "transfer-stored", "transfer-broadcast"])
def test_a_process_that_dies_leaves_its_orders_in_their_lane(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    second_wallet(harness)
    keys = harness.set_and_detect(5)

    def die(reached: failpoints.Point) -> None:
        if reached == point:
            raise _Killed

    with monkeypatch.context() as dying:
        dying.setattr(failpoints, "failpoint", die)
        with pytest.raises(_Killed):
            harness.transfer(keys)
    stored = point != "signed"
    assert len(transfers(harness, WALLET)) == (5 if stored else 0)
    harness.chain.endowment -= 9_999 * ETH  # the other wallet is the better one by now
    harness.later(70)
    harness.transfer(keys)
    assert len(transfers(harness, SECOND)) == (0 if stored else 5)
    harness.look()
    harness.mine()
    paid_once(harness, keys)
    assert {row.state for row in harness.transactions()} == {TxState.MINED}
