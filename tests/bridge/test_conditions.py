"""Which alerts hold in which state of the world."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.conditions import Thresholds, picture
from mmbot_pipelines.bridge.facts import look
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.core import safety
from mmbot_pipelines.core.alerts import Alert, Picture, Severity
from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable, StoreUnavailable
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Call
from tests.bridge.world import World
from tests.ports.chain_memory import ETH
from tests.ports.daemons_memory import DaemonsMemory
from tests.ports.records_memory import RecordsMemory

OFF = Thresholds(max_exposure=None, min_balance=Wei(0), undelivered_after_seconds=3600)


def seen(world: World, thresholds: Thresholds = OFF) -> Picture:
    facts = look(world.bridge, RecordsMemory(world.store), DaemonsMemory())
    return picture(facts, thresholds)


def found(world: World, thresholds: Thresholds = OFF) -> dict[str, Severity]:
    return {alert.key: alert.severity for alert in seen(world, thresholds).alerts}


def only(world: World, thresholds: Thresholds = OFF) -> Alert:
    (alert,) = seen(world, thresholds).alerts
    return alert


def park(world: World, key: str, why: str = "no") -> None:
    order = world.order(key)
    parked = order.failing(why, failed=True, next_attempt_at=None)
    world.store.change(order, parked, run_id="r", at=world.now)


def proved(world: World) -> str:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.mine()
    world.repay([key])
    world.mine()
    assert world.order(key).status is Status.PROVED
    return key


def test_a_healthy_bridge_is_silent(world: World) -> None:
    proved(world)
    assert seen(world) == Picture(alerts=[], unknown=frozenset())


def test_an_unpaid_parked_order_is_high(world: World) -> None:
    (key,) = world.set_and_detect()
    park(world, key)
    assert found(world) == {f"parked {key}": Severity.HIGH}


def test_a_crowd_of_parked_orders_is_one_more_alert(world: World) -> None:
    keys = world.set_and_detect(60)
    for key in keys[:50]:
        park(world, key)
    first = {f"parked {key}" for key in keys[:50]}
    assert set(found(world)) == first
    world.later(1)
    for key in keys[50:]:
        park(world, key)
    assert set(found(world)) == first | {"parked-crowd"}  # no alert of the first ones is over
    (crowd,) = (alert for alert in seen(world).alerts if alert.key == "parked-crowd")
    assert crowd.title == "60 orders are parked"


def test_a_crowd_of_claims_that_do_not_arrive_is_one_more_alert(world: World) -> None:
    keys = world.set_and_detect(60)
    for key in keys:
        claimed = replace(world.order(key), status=Status.PROVED, changed_at=world.now)
        world.store.stored[key] = claimed
    world.later(3601)
    first = {f"undelivered {key}" for key in keys[:50]}
    assert set(found(world)) == first | {"undelivered-crowd"}
    (crowd,) = (alert for alert in seen(world).alerts if alert.key == "undelivered-crowd")
    assert crowd.title == "60 claims do not arrive"


def test_a_parked_order_says_whether_it_is_paid(world: World) -> None:
    (key,) = world.set_and_detect()
    park(world, key)
    assert ", not paid. Parked at PENDING" in only(world).text
    steps.reprocess(world.bridge, [key], world.run)
    park(world, key, "NoSuchBlock: its block was taken back")
    tx = world.order(key).transfer_tx
    assert f", paid if {tx} is mined before its cancellation. Parked at" in only(world).text


def test_a_paid_parked_order_is_critical(world: World) -> None:
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.mine()
    park(world, key)
    assert found(world) == {f"unrepaid {key}": Severity.CRITICAL}


def test_an_order_that_is_tried_again_is_none(world: World) -> None:
    (key,) = world.set_and_detect()
    order = world.order(key)
    failed = order.failing("no", failed=True, next_attempt_at=world.now)
    world.store.change(order, failed, run_id="r", at=world.now)
    assert found(world) == {}


def test_text_from_a_contract_does_nothing(world: World) -> None:
    (key,) = world.set_and_detect()
    park(world, key, "@everyone\n<b>[click](https://evil.example)\x1b[2J" + "x" * 5000)
    alert = only(world)
    assert not set("@<>[]\x1b") & set(alert.text)
    assert "://" not in alert.text
    assert len(alert.text) < 600
    assert len(alert.text.splitlines()) == 2


def test_every_alert_ends_with_its_remedy(world: World) -> None:
    key = proved(world)
    world.later(7200)
    park(world, world.set_and_detect()[0])
    world.l2.fault = RpcUnavailable("no RPC node of zksync answered")
    world.chain.endowment = 0
    hungry = replace(OFF, max_exposure=Wei(1), min_balance=Wei(1))
    alerts = seen(world, hungry).alerts
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


def test_a_message_is_undelivered_after_its_time(world: World) -> None:
    key = proved(world)
    world.later(3600)
    assert found(world) == {}
    world.later(1)
    assert found(world) == {f"undelivered {key}": Severity.HIGH}


def test_exposure_counts_what_is_paid_and_not_repaid(world: World) -> None:
    keys = world.set_and_detect(4)
    limit = replace(OFF, max_exposure=Wei(5 * world.order(keys[0]).amount))
    less = replace(limit, max_exposure=Wei(5 * world.order(keys[0]).amount - 1))
    assert found(world, less) == {}
    world.transfer(keys)
    assert found(world, limit) == {}  # 80 % exactly
    assert found(world, less) == {"exposure": Severity.MEDIUM}
    assert found(world) == {}


def test_the_wallets_floor(world: World) -> None:
    world.chain.endowment = ETH
    assert found(world, replace(OFF, min_balance=Wei(ETH))) == {}
    assert found(world, replace(OFF, min_balance=Wei(ETH + 1))) == {
        "wallet-floor": Severity.CRITICAL
    }


def test_a_silent_chain_is_told_and_hides_what_only_it_knows(world: World) -> None:
    world.chain.fault = RpcUnavailable("no RPC node of L1 answered: one.example unreachable")
    now = seen(world, replace(OFF, min_balance=Wei(1)))
    (alert,) = now.alerts
    assert (alert.key, alert.severity) == ("rpc L1", Severity.HIGH)
    assert "one.example unreachable" in alert.text
    assert now.unknown == {"wallet-floor", "wallet-shared", "wallet-nonce"}


def test_a_refusal_is_an_answer(world: World) -> None:
    world.l2.fault = RpcRefused("method not found")
    assert found(world) == {}


def another_program_pays(world: World) -> None:
    to = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")
    world.chain.elsewhere(Call(to=to, data=b"", value=Wei(1)))


def test_a_wallet_with_a_past_is_ours(world: World) -> None:
    another_program_pays(world)
    assert found(world) == {}


def test_a_nonce_that_we_never_gave_out(world: World) -> None:
    proved(world)
    another_program_pays(world)
    assert found(world) == {"wallet-shared": Severity.CRITICAL}
    world.transfer(world.set_and_detect())
    world.mine()
    assert found(world) == {}


def test_a_nonce_that_was_taken_from_us(world: World) -> None:
    world.chain.broadcast_fault = RpcUnavailable("down")
    (key,) = world.set_and_detect()
    world.transfer([key])
    world.chain.broadcast_fault = None
    world.chain.pool.clear()
    another_program_pays(world)
    assert found(world) == {}  # the chain's nonce is one we gave out; the loss shows next
    world.mine()
    assert only(world).key == "wallet-shared"
    world.later(86_401)
    assert "wallet-shared" not in found(world)


def test_a_halt_is_critical_until_a_person_resumes(world: World) -> None:
    safety.halt(world.safety, safety.GLOBAL, by="Ann", reason="odd @claims", at=world.now)
    alert = only(world)
    assert (alert.key, alert.severity) == ("halted global", Severity.CRITICAL)
    assert "2026-11-20 12:00:00 UTC by Ann: odd ＠claims." in alert.text  # noqa: RUF001
    safety.resume(world.safety, safety.GLOBAL, by="Bob", reason="fine", at=world.now)
    assert found(world) == {}


def test_throttled_is_high_per_scope(world: World) -> None:
    for scope in ("zksync", "starknet"):
        before = safety.Standing(scope=scope)
        after = replace(before, state=safety.State.THROTTLED, since=world.now, why="slow")
        world.safety.change(before, after, at=world.now)
    assert found(world) == {
        "throttled zksync": Severity.HIGH,
        "throttled starknet": Severity.HIGH,
    }


def test_without_the_store_nothing_is_said(world: World) -> None:
    world.store.down = True
    with pytest.raises(StoreUnavailable):
        seen(world)
