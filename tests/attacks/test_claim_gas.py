"""A claim takes what the deployed contracts take: orders are decided by that, and by receipts."""

from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.sending.gas_estimates import claim_gas, transfer_gas
from mmbot_pipelines.core.money import Gas
from tests.bridge.harness import BridgeHarness

DEPLOYED = 140_400  # measured, into a queue in use; 157.7 k into an empty one


class Receipts(PgAccounts):
    """Accounts whose receipts the test names."""

    def __init__(self, harness: BridgeHarness, *gas: int) -> None:
        super().__init__(harness.engine)
        self.gas = [Gas(g) for g in gas]

    def gas_used(self, purpose: str, origin: str, *, max_count: int) -> list[Gas]:
        assert purpose in ("transfer", "repay")
        assert origin == "zksync"
        return self.gas[:max_count]


@pytest.fixture
def harness() -> BridgeHarness:
    harness = BridgeHarness()
    harness.l2.claim_gas = ZkSyncOrigin.claim_gas
    return harness


def seen(harness: BridgeHarness, *gas: int) -> None:
    harness.bridge = replace(harness.bridge, accounts=Receipts(harness, *gas))


def test_an_order_that_only_an_underrated_claim_pays_for_is_not_filled(
    harness: BridgeHarness,
) -> None:
    harness.rules(limits=replace(harness.bridge.rules.limits, min_margin_bps=0))
    fees = harness.chain.fees()
    probe = harness.l2.set_order(fee=10**18)
    (transfer,) = harness.chain.simulate([harness.registry.transfer(probe)], fees)
    assert isinstance(transfer, int)
    (message,) = harness.l2.message_fee([probe], fees)

    def fee(claim: int) -> int:
        return (transfer + claim) * fees.expected + message

    (costly,) = harness.l2.set_orders(1, fee=fee(80_000))
    (fair,) = harness.l2.set_orders(1, fee=fee(ZkSyncOrigin.claim_gas))
    harness.detect()
    harness.transfer([costly.key, fair.key])
    assert harness.statuses()[costly.key] is not Status.TRANSFERRING
    assert harness.statuses()[fair.key] is Status.TRANSFERRING


def test_receipts_of_claims_decide_with_room_for_an_empty_queue(harness: BridgeHarness) -> None:
    assert claim_gas(harness.bridge, "zksync") == ZkSyncOrigin.claim_gas == 158_000
    seen(harness, DEPLOYED, DEPLOYED + 200, DEPLOYED)
    assert 157_700 <= claim_gas(harness.bridge, "zksync") < 159_000
    seen(harness, *[200_000] * 3)  # the contracts were changed
    assert claim_gas(harness.bridge, "zksync") == 225_000


@pytest.mark.parametrize("lie", [0, 1, 21_000, 10**7, 2**256 - 1])
def test_one_absurd_receipt_changes_no_decision(harness: BridgeHarness, lie: int) -> None:
    seen(harness, lie)
    assert claim_gas(harness.bridge, "zksync") == ZkSyncOrigin.claim_gas
    seen(harness, lie, DEPLOYED)
    assert claim_gas(harness.bridge, "zksync") == DEPLOYED * 9 // 8


def test_a_recipient_that_burns_gas_does_not_make_transfers_expensive(
    harness: BridgeHarness,
) -> None:
    seen(harness, *[111_200] * 10, *[400_000] * 9)
    assert transfer_gas(harness.bridge, "zksync") < 140_000


def test_nothing_is_claimed_on_l1_where_a_prover_claims(harness: BridgeHarness) -> None:
    harness.l2.claim_gas = Gas(0)
    seen(harness, DEPLOYED)  # from before, when messages were sent
    assert claim_gas(harness.bridge, "zksync") == 0
