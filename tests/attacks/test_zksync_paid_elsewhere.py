"""zkSync's escrow gets another wallet from its owner while our claim is on its way."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.escrow_errors import is_paid_to_other_wallet
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.devnet.accounts import account
from tests.chain.anvil_bridge import AnvilBridge
from tests.devnet.bridge import running
from tests.ports.port_harness import on_anvil


@pytest.fixture
def engine(database_url: str) -> Engine:
    return connect(database_url)


def test_a_retry_spends_no_message_on_money_that_went_to_another_wallet(engine: Engine) -> None:
    with running() as devnet, on_anvil(devnet) as ports:
        anvil_bridge = AnvilBridge(ports, engine)
        (key,) = anvil_bridge.find()
        anvil_bridge.transfer([key])
        anvil_bridge.mine()
        anvil_bridge.repay([key])
        anvil_bridge.mine()
        ports.pay_elsewhere()
        anvil_bridge.settle()
        order = anvil_bridge.order(key)
        assert order.is_parked
        assert is_paid_to_other_wallet(order)
        assert order.reason is not None
        for wallet in (account(5).address, anvil_bridge.wallet):
            assert wallet in order.reason

        spent = anvil_bridge.balance_of(anvil_bridge.wallet)
        for _ in range(3):
            anvil_bridge.now += timedelta(hours=2)
            with pytest.raises(OrdersFailed, match="PaidElsewhere"):
                steps.reprocess(anvil_bridge.bridge, [key], anvil_bridge.run)
            anvil_bridge.mine()
        assert [purpose for purpose, _ in anvil_bridge.ends(key)] == ["transfer", "repay"]
        assert anvil_bridge.balance_of(anvil_bridge.wallet) == spent
        assert anvil_bridge.order(key).is_parked
