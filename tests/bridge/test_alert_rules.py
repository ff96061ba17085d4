"""Which alerts hold in which state."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core import safety
from mmbot_pipelines.core.alerts import Alert, AlertSnapshot, Severity
from mmbot_pipelines.core.delegation import AccountCode, Delegation
from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call
from tests.bridge.delegated import BatchContractMemory
from tests.bridge.harness import BridgeHarness
from tests.ports.chain_memory import ETH
from tests.ports.store_writes import change, change_state, decided


def found(harness: BridgeHarness, **thresholds: object) -> dict[str, Severity]:
    return {alert.key: alert.severity for alert in harness.alerts(**thresholds).alerts}


def only(harness: BridgeHarness) -> Alert:
    (alert,) = harness.alerts().alerts
    return alert


def park(harness: BridgeHarness, key: str, why: str = "no") -> None:
    order = harness.order(key)
    parked = order.with_failure(why, failed=True, next_attempt_at=None)
    change(harness.store, order, parked, run_id="r", at=harness.now)


def proved(harness: BridgeHarness) -> str:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    harness.repay([key])
    harness.mine()
    assert harness.order(key).status is Status.PROVED
    return key


def test_a_healthy_bridge_is_silent(harness: BridgeHarness) -> None:
    proved(harness)
    assert harness.alerts() == AlertSnapshot(alerts=[], unknown=frozenset())


def test_an_unpaid_parked_order_is_high(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    park(harness, key)
    assert found(harness) == {f"parked {key}": Severity.HIGH}


def test_many_parked_orders_are_one_more_alert(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(60)
    for key in keys[:50]:
        park(harness, key)
    first = {f"parked {key}" for key in keys[:50]}
    assert set(found(harness)) == first
    harness.later(1)
    for key in keys[50:]:
        park(harness, key)
    assert set(found(harness)) == first | {"parked-many"}  # no alert of the first ones is over
    (many,) = (alert for alert in harness.alerts().alerts if alert.key == "parked-many")
    assert many.title == "60 orders are parked"


def test_many_claims_that_do_not_arrive_are_one_more_alert(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(60)
    for key in keys:
        claimed = replace(harness.order(key), status=Status.PROVED, changed_at=harness.now)
        harness.put(claimed)
    harness.later(3601)
    first = {f"undelivered {key}" for key in keys[:50]}
    assert set(found(harness)) == first | {"undelivered-many"}
    (many,) = (alert for alert in harness.alerts().alerts if alert.key == "undelivered-many")
    assert many.title == "60 claims do not arrive"


def test_a_parked_order_reports_whether_it_is_paid(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    park(harness, key)
    assert ", not paid. Parked at PENDING" in only(harness).text
    steps.reprocess(harness.bridge, [key], harness.run)
    park(harness, key, "OrderOrphaned: its block was reorged out")
    tx = harness.order(key).transfer_tx
    assert f", paid if {tx} is mined before its cancellation. Parked at" in only(harness).text


def test_a_paid_parked_order_is_critical(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.mine()
    park(harness, key)
    assert found(harness) == {f"unrepaid {key}": Severity.CRITICAL}


def test_an_order_that_is_tried_again_is_none(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    order = harness.order(key)
    failed = order.with_failure("no", failed=True, next_attempt_at=harness.now)
    change(harness.store, order, failed, run_id="r", at=harness.now)
    assert found(harness) == {}


def test_text_from_a_contract_does_nothing(harness: BridgeHarness) -> None:
    (key,) = harness.set_and_detect()
    park(harness, key, "@everyone\n<b>[click](https://evil.example)\x1b[2J" + "x" * 5000)
    alert = only(harness)
    assert not set("@<>[]\x1b") & set(alert.text)
    assert "://" not in alert.text
    assert len(alert.text) < 600
    assert len(alert.text.splitlines()) == 2


def test_every_alert_ends_with_its_action(harness: BridgeHarness) -> None:
    key = proved(harness)
    harness.later(7200)
    park(harness, harness.set_and_detect()[0])
    harness.l2.fault = RpcUnavailable("no RPC node of zksync answered")
    harness.chain.endowment = 0
    alerts = harness.alerts(max_exposure=Wei(1), min_balance=Wei(1)).alerts
    assert {a.key.split()[0] for a in alerts} == {
        "parked",
        "undelivered",
        "exposure",
        "wallet-floor",
        "rpc",
    }
    for alert in alerts:
        assert alert.text.splitlines()[-1].startswith("To do: ")
    assert any(key in alert.title for alert in alerts)


def test_a_message_is_undelivered_after_its_time(harness: BridgeHarness) -> None:
    key = proved(harness)
    harness.later(3600)
    assert found(harness) == {}
    harness.later(1)
    assert found(harness) == {f"undelivered {key}": Severity.HIGH}


def test_a_transaction_in_no_block_is_stuck_after_its_time(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(2)
    harness.transfer(keys)
    harness.later(900)
    assert found(harness) == {}
    harness.later(1)
    assert found(harness) == {"wallet-stuck": Severity.HIGH}
    assert f"transfer of {keys[0]}" in only(harness).text
    harness.mine()
    assert found(harness) == {}


def test_exposure_counts_what_is_paid_and_not_repaid(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(4)
    limit = Wei(5 * harness.order(keys[0]).amount)
    less = Wei(limit - 1)
    assert found(harness, max_exposure=less) == {}
    harness.transfer(keys)
    assert found(harness, max_exposure=limit) == {}  # 80 % exactly
    assert found(harness, max_exposure=less) == {"exposure": Severity.MEDIUM}
    assert found(harness) == {}


def test_the_wallets_floor(harness: BridgeHarness) -> None:
    harness.chain.endowment = ETH
    assert found(harness, min_balance=Wei(ETH)) == {}
    assert found(harness, min_balance=Wei(ETH + 1)) == {"wallet-floor": Severity.CRITICAL}


def test_a_silent_chain_is_reported_and_hides_what_only_it_knows(harness: BridgeHarness) -> None:
    harness.chain.fault = RpcUnavailable("no RPC node of L1 answered: one.example unreachable")
    now = harness.alerts(min_balance=Wei(1))
    (alert,) = now.alerts
    assert (alert.key, alert.severity) == ("rpc L1", Severity.HIGH)
    assert "one.example unreachable" in alert.text
    assert now.unknown == {"wallet-floor", "wallet-shared", "wallet-nonce"}


def test_somebody_elses_code_in_our_account(harness: BridgeHarness) -> None:
    codes = iter((AccountCode.FOREIGN, AccountCode.OURS, AccountCode.MISSING, AccountCode.NONE))

    def account_code(account: Address) -> Delegation:
        return Delegation(account=account, code=next(codes))

    harness.replace(account_code=account_code)
    alert = only(harness)
    assert (alert.key, alert.severity) == ("wallet-code", Severity.CRITICAL)
    assert "mmbot delegation remove" in alert.text
    assert [found(harness) for _ in range(3)] == [{}, {}, {}]

    def silent(account: Address) -> Delegation:
        raise RpcUnavailable("no RPC node of L1 answered")

    harness.replace(account_code=silent)
    assert harness.alerts().unknown == {"wallet-code", "wallet-batches"}


def test_batches_that_the_account_cannot_make(harness: BridgeHarness) -> None:
    harness.replace(batch_contract=BatchContractMemory(harness.chain))
    codes = iter((AccountCode.NONE, AccountCode.MISSING, AccountCode.OURS))
    harness.replace(account_code=lambda account: Delegation(account=account, code=next(codes)))
    for _ in range(2):
        alert = only(harness)
        assert (alert.key, alert.severity) == ("wallet-batches", Severity.HIGH)
        assert "`mmbot delegation set`" in alert.text
    assert found(harness) == {}


def test_a_refusal_is_an_answer(harness: BridgeHarness) -> None:
    harness.l2.fault = RpcRefused("method not found")
    assert found(harness) == {}


def another_program_pays(harness: BridgeHarness) -> None:
    to = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")
    harness.chain.elsewhere(Call(to=to, data=b"", value=Wei(1)))


def test_a_wallet_with_a_past_is_ours(harness: BridgeHarness) -> None:
    another_program_pays(harness)
    assert found(harness) == {}


def test_a_nonce_that_we_never_gave_out(harness: BridgeHarness) -> None:
    proved(harness)
    another_program_pays(harness)
    assert found(harness) == {"wallet-shared": Severity.CRITICAL}
    harness.transfer(harness.set_and_detect())
    harness.mine()
    assert found(harness) == {}


def test_a_nonce_that_was_taken_from_us(harness: BridgeHarness) -> None:
    harness.chain.broadcast_fault = RpcUnavailable("down")
    (key,) = harness.set_and_detect()
    harness.transfer([key])
    harness.chain.broadcast_fault = None
    harness.chain.pool.clear()
    another_program_pays(harness)
    assert found(harness) == {}  # the chain's nonce is one we gave out; the loss shows next
    harness.mine()
    assert only(harness).key == "wallet-shared"
    harness.later(86_401)
    assert "wallet-shared" not in found(harness)


def test_a_halt_is_critical_until_a_person_resumes(harness: BridgeHarness) -> None:
    decided(
        safety.halt, harness.store, safety.GLOBAL, by="Ann", reason="odd @claims", at=harness.now
    )
    alert = only(harness)
    assert (alert.key, alert.severity) == ("halted global", Severity.CRITICAL)
    assert "2026-11-20 12:00:00 UTC by Ann: odd ＠claims." in alert.text  # noqa: RUF001
    decided(safety.resume, harness.store, safety.GLOBAL, by="Bob", reason="fine", at=harness.now)
    assert found(harness) == {}


def test_throttled_is_high_per_scope(harness: BridgeHarness) -> None:
    for scope in ("zksync", "starknet"):
        before = safety.ScopeState(scope=scope)
        after = replace(before, state=safety.State.THROTTLED, since=harness.now, why="slow")
        change_state(harness.store, before, after, at=harness.now)
    assert found(harness) == {
        "throttled zksync": Severity.HIGH,
        "throttled starknet": Severity.HIGH,
    }


def test_without_the_store_nothing_is_reported(harness: BridgeHarness) -> None:
    with harness.unreachable(), pytest.raises(StoreUnavailable):
        harness.alerts()


class NoWorkers:
    def fault(self) -> str | None:
        return "the broker redis://db does not answer (ConnectionError)"


def test_no_worker_is_one_alert(harness: BridgeHarness) -> None:
    harness.set_and_detect(3)
    harness.bridge = replace(harness.bridge, workers=NoWorkers())
    alert = only(harness)
    assert (alert.key, alert.severity) == ("workers", Severity.HIGH)
    assert "redis://db does not answer" in alert.text
    assert "`mmbot workers`" in alert.text
