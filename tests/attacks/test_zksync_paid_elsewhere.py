"""zkSync's escrow gets another wallet from its owner while our claim is on its way."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.escrow_faults import is_paid_elsewhere
from mmbot_pipelines.bridge.failures import OrdersFailed
from mmbot_pipelines.devnet.accounts import account
from tests.chain.lane import Lane
from tests.devnet.bridge import running
from tests.ports.stages import on_anvil


@pytest.fixture
def engine(database_url: str) -> Engine:
    return connect(database_url)


def test_a_retry_spends_no_message_on_money_that_went_to_another_wallet(engine: Engine) -> None:
    with running() as devnet, on_anvil(devnet) as stage:
        lane = Lane(stage, engine)
        (key,) = lane.find()
        lane.transfer([key])
        lane.mine()
        lane.repay([key])
        lane.mine()
        stage.pay_elsewhere()
        lane.settle()
        order = lane.order(key)
        assert order.parked
        assert is_paid_elsewhere(order)
        assert order.reason is not None
        for wallet in (account(5).address, lane.wallet):
            assert wallet in order.reason

        spent = lane.balance_of(lane.wallet)
        for _ in range(3):
            lane.now += timedelta(hours=2)
            with pytest.raises(OrdersFailed, match="PaidElsewhere"):
                steps.reprocess(lane.bridge, [key], lane.run)
            lane.mine()
        assert [purpose for purpose, _ in lane.ends(key)] == ["transfer", "repay"]
        assert lane.balance_of(lane.wallet) == spent
        assert lane.order(key).parked
