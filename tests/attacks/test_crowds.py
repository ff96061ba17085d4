"""Hundreds of dust orders: at a rate-limited node with anvil and Postgres, and in memory."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from aiohttp import web
from sqlalchemy import func, select

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.tables.orders import errors
from mmbot_pipelines.bridge import steps, taking
from mmbot_pipelines.bridge.failures import BATCH_SIZE
from mmbot_pipelines.bridge.fill import UNPAID
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.policy import Caps
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei
from tests.bridge.guard_steps import throttle
from tests.bridge.harness import BridgeHarness
from tests.chain.chain_harness import ChainHarness, played
from tests.chaos.faulty_rpc import FaultyRpc
from tests.devnet.bridge import Devnet, running
from tests.ports.store_writes import take

DUST, HONEST = 300, 5
IN_A_BLOCK = 100
QUESTIONS = 120  # that the node answers in one tick: far fewer than there are orders


class LimitedRpc(FaultyRpc):
    """A node that answers so many questions and then no more, until it is allowed others."""

    left = 10**9

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        self.left -= len(asked) if isinstance(asked, list) else 1
        if self.left < 0:
            return web.Response(status=429, text="Too Many Requests")
        return await super()._answer(request)


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


def test_dust_on_a_rate_limited_node_keeps_nobody_waiting(
    devnet: Devnet, database_url: str
) -> None:
    with (
        LimitedRpc(devnet.deployment.l1.rpc_url) as node,
        played(devnet, database_url, l1_urls=[node.url]) as chain_harness,
    ):
        for _ in range(DUST // IN_A_BLOCK):  # no price makes these worth it
            chain_harness.ports.set_orders(IN_A_BLOCK, amount=10**16, fee=10**12)
        honest = chain_harness.ports.set_orders(HONEST, fee=10**15)
        chain_harness.detect()
        runs = 0
        while any(chain_harness.order(o.number).status in UNPAID for o in honest):
            runs += 1
            assert runs < 10
            node.left = QUESTIONS
            tick(chain_harness)
            node.left = 10**9
        assert {chain_harness.order(o.number).status for o in honest} == {Status.TRANSFERRING}
        dust = [o for o in chain_harness.orders() if o.fee < 10**15]
        assert all(not o.failed for o in dust)
        for _ in range(DUST // taking.MAX_PER_RUN):  # nor do they fill the table in their turn
            runs += 1
            node.left = QUESTIONS
            tick(chain_harness)
            node.left = 10**9
        assert len(dust) == DUST
        assert error_rows(database_url) <= runs


def error_rows(database_url: str) -> int:
    """Count the errors that are stored, of whatever subject."""
    engine = connect(database_url)
    with engine.connect() as connection:
        count = connection.scalar(select(func.count()).select_from(errors))
    engine.dispose()
    return int(count or 0)


def tick(chain_harness: ChainHarness) -> None:
    """Take orders as the sensor does, and work on them as its run does."""
    taken = take(
        chain_harness.bridge.store,
        UNPAID,
        "zksync",
        at=chain_harness.bridge.clock(),
        retake_after_seconds=0,
        max_orders=taking.MAX_PER_RUN,
    )
    chain_harness._do(
        lambda: steps.transfer(chain_harness.bridge, [o.key for o in taken], chain_harness.run)
    )


def test_what_the_settings_refuse_is_dropped_while_no_node_answers(harness: BridgeHarness) -> None:
    harness.rules(limits=replace(harness.bridge.rules.limits, min_transfer=Wei(10**15)))
    dust = harness.set_and_detect(30, amount=10**14)
    harness.chain.fault = RpcUnavailable("L1: no node answered")
    harness.transfer(dust)  # asks nothing, so that nothing fails
    assert {harness.order(key).status for key in dust} == {Status.DROPPED}


def test_what_is_decided_stays_when_the_next_question_fails(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(4 * BATCH_SIZE)
    check = harness.l2.check
    asked: list[int] = []

    def failing(orders: list[object]) -> object:
        asked.append(len(orders))
        if len(asked) > 1:
            raise RpcUnavailable("zksync: no node answered")
        return check(orders)

    harness.l2.check = failing
    steps.take_orders(harness.bridge, UNPAID, "zksync")
    logged = harness.failing(lambda: harness.transfer(keys))
    assert asked == [BATCH_SIZE, BATCH_SIZE, BATCH_SIZE]
    assert logged.count("RpcUnavailable") == 2  # one line for each part, not for each order
    statuses = [harness.order(key).status for key in keys]
    assert (
        statuses
        == [Status.TRANSFERRING] * BATCH_SIZE
        + [Status.PROCESSING] * 2 * BATCH_SIZE
        + [Status.PENDING] * BATCH_SIZE
    )
    (error,) = harness.errors()  # one row of the run
    assert (error.fault.subject, error.fault.kind) == ("zksync", "RpcUnavailable")
    harness.l2.check = check
    again = [o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")]
    assert again == keys[3 * BATCH_SIZE :]  # what was not looked at is asked for at once


@pytest.mark.parametrize(("max_runs", "most"), [(1, 100), (2, 200), (4, 400), (50, 400)])
def test_one_tick_takes_a_hundred_a_run_and_the_highest_fees_first(
    harness: BridgeHarness, max_runs: int, most: int
) -> None:
    harness.set_and_detect(450, fee=2 * 10**14)
    honest = harness.set_and_detect(5)
    taken = steps.take_orders(harness.bridge, UNPAID, "zksync", max_runs=max_runs)
    assert len(taken) == most
    assert set(honest) <= {o.key for o in taken}


def test_a_throttled_origin_has_one_run_of_a_hundred(harness: BridgeHarness) -> None:
    harness.set_and_detect(150)
    throttle(harness)
    assert steps.is_throttled(harness.bridge, "zksync")
    taken = steps.take_orders(harness.bridge, UNPAID, "zksync", max_runs=4)
    assert len(taken) == taking.MAX_PER_RUN


def test_dust_that_waits_for_a_price_comes_after_all_others_and_ever_less_often(
    harness: BridgeHarness,
) -> None:
    dust = harness.set_and_detect(150, fee=2 * 10**13)
    for _ in range(2):
        harness.transfer([o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")])
    reasons = {harness.order(key).reason for key in dust}
    assert reasons == {"waiting: its fee does not cover the cost at present prices"}
    looks = 0
    for _ in range(360):  # six hours
        harness.later(60)
        asked = steps.take_orders(harness.bridge, UNPAID, "zksync")
        looks += len(asked)
        harness.transfer([o.key for o in asked])
    assert looks / len(dust) < 85  # 432 in steady pauses of 50 s
    honest = harness.set_and_detect(5, fee=10**13 + 10**15)
    harness.later(60)
    assert {*honest} <= {o.key for o in steps.take_orders(harness.bridge, UNPAID, "zksync")}


def test_small_orders_pass_a_large_one_that_waits_for_room(harness: BridgeHarness) -> None:
    harness.rules(caps=Caps(exposure=Wei(10**17)))
    (first,) = harness.set_and_detect(amount=5 * 10**16)
    harness.transfer([first])
    (large,) = harness.set_and_detect(amount=9 * 10**16)
    (small,) = harness.set_and_detect(amount=10**16)
    harness.transfer([large, small])
    assert {harness.order(key).status for key in (large, small)} == {Status.PROCESSING}
    assert any(
        "is kept for orders that waited before it, for 5 minutes" in s for s in harness.logged
    )
    harness.later(301)
    harness.transfer([large, small])
    assert harness.order(small).status is Status.TRANSFERRING
    (late,) = harness.set_and_detect(amount=10**16)
    harness.later(300)  # the room is kept again: the large one has its turn
    harness.transfer([late])
    assert harness.order(late).status is Status.PROCESSING
    for key in (first, small):
        harness.mine()
        harness.repay([key])
        harness.mine()
        harness.l2.deliver()
        harness.settle()
    harness.transfer([large])
    assert harness.order(large).status is Status.TRANSFERRING


def test_a_run_of_many_orders_that_died_is_one_error(harness: BridgeHarness) -> None:
    keys = harness.set_and_detect(100)
    for _ in range(2):  # the sensor looks twice at the same run
        steps.record_run_failure(harness.bridge, keys, harness.run, "killed", step_ended=False)
    (error,) = harness.errors()
    assert error.fault.message == "killed; it had 100 orders"
