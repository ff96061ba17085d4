"""Plans of orders, and users who place them."""

from collections import Counter

import pytest

from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import ask, connect
from mmbot_pipelines.devnet.deploy import deploy_all
from mmbot_pipelines.devnet.orders import (
    CAP,
    GOOD_FEE,
    MILLI,
    OrderKind,
    OrderSpec,
    burst,
    place,
    place_many,
    plan,
)
from tests.devnet.bridge import Devnet


def stored(devnet: Devnet, order_id: int) -> tuple[str, int, int]:
    recipient, amount, fee = devnet.escrow.functions.get_order(order_id).call()
    return recipient, amount, fee


def wished(order: OrderSpec) -> tuple[str, int, int]:
    return order.recipient, order.amount, order.fee


@pytest.mark.parametrize("count", [4, 5, 12, 40])
def test_a_plan_has_one_order_of_each_bad_kind(devnet: Devnet, count: int) -> None:
    kinds = Counter(order.kind for order in plan(devnet.deployment, count, seed=count))
    assert kinds == {
        OrderKind.GOOD: count - 3,
        OrderKind.LOW_FEE: 1,
        OrderKind.ABOVE_CAP: 1,
        OrderKind.REJECTING: 1,
    }


def test_a_plan_smaller_than_its_kinds_is_refused(devnet: Devnet) -> None:
    with pytest.raises(ValueError, match="4 orders or more"):
        plan(devnet.deployment, 3, seed=1)


def test_a_seed_gives_the_same_plan_and_another_one_another(devnet: Devnet) -> None:
    one, again, other = (plan(devnet.deployment, 20, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_orders_of_a_plan_match_their_kind(devnet: Devnet) -> None:
    rejecting = devnet.deployment.l1.rejecting_recipient
    for order in plan(devnet.deployment, 60, seed=7):
        good = 10 * MILLI <= order.amount <= 50 * MILLI
        assert good is (order.kind is not OrderKind.ABOVE_CAP)
        assert (order.amount > CAP) is (order.kind is OrderKind.ABOVE_CAP)
        assert (order.fee == GOOD_FEE) is (order.kind is not OrderKind.LOW_FEE)
        assert (order.fee == 1) is (order.kind is OrderKind.LOW_FEE)
        assert (order.recipient == rejecting) is (order.kind is OrderKind.REJECTING)
        assert order.delay >= 0


def test_a_plan_mixes_origins(devnet: Devnet) -> None:
    for seed in range(5):
        both = plan(devnet.deployment, 12, seed=seed, origins=("zksync", "starknet"))
        assert Counter(order.origin for order in both) == {"zksync": 6, "starknet": 6}
        bad = [order.origin for order in both if order.kind is not OrderKind.GOOD]
        assert set(bad) == {"zksync", "starknet"}
        assert [order.origin for order in both] != sorted(order.origin for order in both)


def test_every_kind_of_order_is_taken_by_the_escrow(devnet: Devnet) -> None:
    orders = plan(devnet.deployment, 5, seed=3)
    ids = [place(devnet.deployment.zksync, order) for order in orders]
    assert ids == [0, 1, 2, 3, 4]
    assert [stored(devnet, order_id) for order_id in ids] == list(map(wished, orders))
    assert all(devnet.is_pending(order_id) for order_id in ids)


def test_thirty_orders_in_one_block(devnet: Devnet) -> None:
    orders = burst(devnet.deployment, 30)
    before = devnet.l2.eth.block_number
    ids = place_many(devnet.deployment.zksync, orders)
    assert devnet.l2.eth.block_number == before + 1
    assert len(devnet.l2.eth.get_block("latest")["transactions"]) == 30
    assert sorted(ids) == list(range(30))
    assert [stored(devnet, order_id) for order_id in ids] == list(map(wished, orders))
    assert ask(devnet.l2, "anvil_getAutomine")


def test_a_burst_leaves_a_chains_block_time_as_it_was() -> None:
    with Anvil(chain_id=1) as l1, Anvil(chain_id=2, block_time=3600) as l2:
        deployment = deploy_all(l1.url, l2.url)
        assert sorted(place_many(deployment.zksync, burst(deployment, 3))) == [0, 1, 2]
        assert ask(connect(l2.url), "anvil_getIntervalMining") == 3600


def test_a_burst_needs_whole_seconds() -> None:
    with Anvil(chain_id=1) as l1, Anvil(chain_id=2, block_time=0.5) as l2:
        deployment = deploy_all(l1.url, l2.url)
        with pytest.raises(ValueError, match="whole seconds"):
            place_many(deployment.zksync, burst(deployment, 2))


def test_an_escrow_that_refuses_is_reported(devnet: Devnet) -> None:
    owner = devnet.deployment.zksync.owner
    devnet.escrow.functions.pause().transact({"from": owner})
    with pytest.raises(RuntimeError, match="refused the order of 0x"):
        place(devnet.deployment.zksync, burst(devnet.deployment, 1)[0])
