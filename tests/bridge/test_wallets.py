"""Several wallets: which one pays an order, and that the order stays in its lane until decided."""

from dataclasses import replace

import pytest

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.failures import BATCH_SIZE
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.policy import Caps
from mmbot_pipelines.bridge.ports.accounts import REPAY, TRANSFER
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.safety import State
from tests.bridge.guard_steps import state
from tests.bridge.harness import BridgeHarness
from tests.bridge.wallets import paid_once, second_wallet, stuck_first_wallet, transfers
from tests.ports.chain_memory import ETH, WALLET
from tests.ports.wallet_memory import SECOND


def test_a_burst_goes_out_in_slices_from_both_lanes(harness: BridgeHarness) -> None:
    second_wallet(harness)
    keys = harness.set_and_detect(4 * BATCH_SIZE)
    harness.transfer(keys)
    for wallet in (WALLET, SECOND):
        assert [row.nonce for row in transfers(harness, wallet)] == list(range(2 * BATCH_SIZE))
    harness.mine()
    paid_once(harness, keys)


def test_a_single_order_goes_to_the_wallet_with_more_eth(harness: BridgeHarness) -> None:
    second_wallet(harness)
    for balance in (10_000, 8_000, 10_000):
        harness.chain.endowment = balance * ETH
        harness.transfer(harness.set_and_detect(1))
        harness.mine()
    assert [len(transfers(harness, wallet)) for wallet in (WALLET, SECOND)] == [2, 1]


def test_what_a_stuck_wallet_holds_stays_with_it_and_the_other_one_goes_on(
    harness: BridgeHarness,
) -> None:
    second_wallet(harness)
    (stuck,) = stuck_first_wallet(harness)
    keys = harness.set_and_detect(30)
    harness.transfer([stuck, *keys])
    harness.chain.wallets[1].mine()
    steps.process_receipts(harness.bridge, harness.run)
    paid_once(harness, keys)
    assert (len(transfers(harness, WALLET)), len(transfers(harness, SECOND))) == (1, 30)
    harness.replace_stuck()
    harness.mine()
    paid_once(harness, [stuck])
    assert {row.wallet for row in harness.store.outbox.of(stuck)} == {WALLET}


def test_an_order_whose_transfer_is_undecided_in_one_lane_is_signed_in_no_other(
    harness: BridgeHarness,
) -> None:
    """Not even one that stands as unpaid: its transfer was mined, reverted, and reorged out."""
    second = second_wallet(harness)
    (key,) = harness.set_and_detect(1)
    harness.transfer([key])
    (row,) = transfers(harness, WALLET)
    unpaid = harness.order(key)
    harness.put(replace(unpaid, status=Status.PROCESSING))
    harness.chain.endowment = 0  # so that the other wallet would be asked
    harness.transfer([key])
    assert harness.transactions() == [row]
    assert second.pool == {}


def test_a_cancelled_transfer_frees_its_order_for_the_other_wallet(harness: BridgeHarness) -> None:
    second_wallet(harness)
    (key,) = stuck_first_wallet(harness)
    harness.chain.base_fee *= 1000  # nothing that the fee pays for helps
    harness.replace_stuck()
    assert [row.purpose for row in harness.store.outbox.of(key)] == ["transfer", "cancel"]
    harness.transfer([key])
    assert transfers(harness, SECOND) == []  # its nonce is not decided yet
    harness.mine()
    assert harness.order(key).status is Status.PROCESSING
    harness.chain.base_fee //= 1000
    harness.chain.endowment = 0
    harness.transfer([key])
    harness.mine()
    paid_once(harness, [key])
    assert len(transfers(harness, SECOND)) == 1


def test_the_wallet_that_has_the_eth_pays(harness: BridgeHarness) -> None:
    second_wallet(harness)
    harness.chain.endowment = 0
    keys = harness.set_and_detect(30)
    harness.transfer(keys)
    harness.mine()
    paid_once(harness, keys)
    assert transfers(harness, WALLET) == []


def test_what_one_wallet_cannot_pay_of_a_slice_the_other_one_pays(harness: BridgeHarness) -> None:
    second = second_wallet(harness)
    keys = harness.set_and_detect(10)
    amount = harness.order(keys[0]).amount
    harness.chain.endowment = second.endowment = 7 * amount
    harness.transfer(keys)
    harness.mine()
    paid_once(harness, keys)
    assert min(len(transfers(harness, wallet)) for wallet in (WALLET, SECOND)) >= 3


def test_a_wallet_whose_signer_is_away_leaves_its_orders_to_the_other_one(
    harness: BridgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_wallet(harness)

    def away(*_: object, **__: object) -> None:
        raise RpcUnavailable("KMS is away")

    monkeypatch.setattr(harness.chain, "sign", away)
    keys = harness.set_and_detect(3)
    harness.transfer(keys)
    harness.mine()
    paid_once(harness, keys)
    assert transfers(harness, WALLET) == []


def test_a_wallet_that_the_registry_refuses_is_left_out_and_halts_nothing(
    harness: BridgeHarness,
) -> None:
    second_wallet(harness)
    paid = harness.set_and_detect(2)
    harness.transfer(paid)
    harness.registry.market_maker = SECOND  # while transfers of the first are in flight
    harness.mine()
    assert {harness.order(key).status for key in paid} == {Status.PROCESSING}
    keys = harness.set_and_detect(2)
    harness.later(120)
    harness.transfer([*paid, *keys])
    harness.mine()
    paid_once(harness, [*paid, *keys])
    assert state(harness) is State.NORMAL
    assert len(transfers(harness, SECOND)) == 4


def test_claims_are_made_by_any_wallet_and_behind_transfers_by_their_own(
    harness: BridgeHarness,
) -> None:
    second_wallet(harness)
    keys = harness.set_and_detect(2)
    harness.transfer(keys)
    harness.mine()
    stuck_first_wallet(harness)
    harness.repay(keys)
    claims = [row for row in harness.transactions() if row.purpose == REPAY]
    assert {row.wallet for row in claims} == {SECOND}
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.PROVED}
    harness.rules(claim_with_transfer=True)
    harness.chain.endowment = 0
    (last,) = harness.set_and_detect(1)
    harness.transfer([last])
    pair = harness.store.outbox.of(last)
    assert [(row.wallet, row.purpose) for row in pair] == [(SECOND, TRANSFER), (SECOND, REPAY)]
    assert pair[1].nonce == pair[0].nonce + 1


@pytest.mark.parametrize("keep", [True, False])
def test_reorgs_of_both_lanes_pay_every_order_once(harness: BridgeHarness, keep: bool) -> None:
    second_wallet(harness)
    keys = harness.set_and_detect(60)
    harness.transfer(keys)
    harness.mine()
    harness.repay(keys)
    harness.mine()
    harness.chain.reorg(2, keep=keep)
    harness.look()
    assert {harness.order(key).status for key in keys} == {Status.TRANSFERRING}
    for _ in range(3):
        harness.later(70)
        harness.look()
        harness.mine()
        harness.repay([k for k in keys if harness.order(k).status is Status.FULFILLED])
    harness.mine()
    assert {harness.order(key).status for key in keys} == {Status.PROVED}
    assert [harness.paid(key) for key in keys] == [1] * len(keys)


def test_limits_count_what_all_wallets_pay(harness: BridgeHarness) -> None:
    second_wallet(harness)
    keys = harness.set_and_detect(60)
    amount = harness.order(keys[0]).amount
    harness.rules(caps=Caps(exposure=Wei(40 * amount)))
    harness.transfer(keys)
    assert len([*transfers(harness, WALLET), *transfers(harness, SECOND)]) == 40
