"""The registry's owner and its market maker both pay, each with its own nonces."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from mmbot_pipelines import settings
from mmbot_pipelines.adapters.evm.chain import EthereumChain
from mmbot_pipelines.adapters.evm.signing import LocalSigner, WatchOnlyWallet
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.cli.doctor import chains as chain_checks
from mmbot_pipelines.cli.doctor.findings import CheckStatus
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.accounts import OWNER, account
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.deploy import environment
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.wiring import bridge as wiring
from tests.chain.anvil_bridge import AnvilBridge

OWNERS = Address(account(OWNER).address)
STUCK = timedelta(seconds=70)


@pytest.fixture
def both(anvil_bridge: AnvilBridge) -> AnvilBridge:
    """Return the bridge with the owner's wallet beside the market maker's."""
    l1 = anvil_bridge.ports.l1
    owner = EthereumChain(l1, LocalSigner(account(OWNER).key.hex()))
    anvil_bridge.bridge = replace(
        anvil_bridge.bridge,
        wallets=(anvil_bridge.ports.chain, owner),
        keyless=lambda address: EthereumChain(l1, WatchOnlyWallet(address)),
    )
    return anvil_bridge


def senders(bridge: AnvilBridge, keys: list[str]) -> Counter[Address]:
    """Count the wallets of the orders' transfers."""
    return Counter(row.wallet for key in keys for row in bridge.store.outbox.of(key)[:1])


def lose_from_pool(bridge: AnvilBridge, key: str) -> None:
    """Make the node forget an order's transfer, as it does with one that pays too little."""
    bridge.ports.drop(bridge.store.outbox.of(key)[0].hash)


def test_both_lanes_pay_a_burst_and_are_repaid(both: AnvilBridge) -> None:
    keys = both.find(100)
    both.transfer(keys)
    assert senders(both, keys) == {both.wallet: 50, OWNERS: 50}
    both.mine()
    assert [both.paid(key) for key in keys] == [1] * 100
    both.repay(keys)
    both.mine()
    assert {both.order(key).status for key in keys} == {Status.PROVED}
    both.settle()
    assert {both.order(key).status for key in keys} == {Status.COMPLETED}


def test_a_stuck_lane_stops_no_order_of_the_other_one(both: AnvilBridge) -> None:
    """Of a burst of 50 all are in the next block, but for the one that holds its lane up."""
    (stuck,) = both.find(1)
    both.transfer([stuck])
    (held_by,) = senders(both, [stuck])
    lose_from_pool(both, stuck)
    both.now += STUCK
    keys = both.find(50)
    both.transfer(keys)
    assert held_by not in senders(both, keys)
    both.ports.mine()
    assert [both.paid(key) for key in keys] == [1] * 50
    both.look()
    both.replace_stuck()
    both.mine()
    assert both.paid(stuck) == 1
    assert {row.wallet for row in both.store.outbox.of(stuck)} == {held_by}


def test_with_a_single_wallet_all_wait_for_the_stuck_nonce(anvil_bridge: AnvilBridge) -> None:
    """What the second wallet is for: the figure beside that of the test before."""
    (stuck,) = anvil_bridge.find(1)
    anvil_bridge.transfer([stuck])
    lose_from_pool(anvil_bridge, stuck)
    keys = anvil_bridge.find(50)
    anvil_bridge.transfer(keys)
    anvil_bridge.ports.mine()
    assert [anvil_bridge.paid(key) for key in keys] == [0] * 50


def test_an_order_is_not_paid_from_the_other_lane_while_the_first_may_be_mined(
    both: AnvilBridge,
) -> None:
    (key,) = both.find(1)
    both.transfer([key])
    (row,) = both.store.outbox.of(key)
    lose_from_pool(both, key)
    ask(both.ports.devnet.l1, "anvil_setBalance", row.wallet, hex(0))
    both.now += STUCK
    both.transfer([key])
    assert both.store.outbox.of(key) == [row]
    both.replace_stuck()  # what an empty wallet cannot pay is cancelled, at the same nonce
    both.transfer([key])
    assert [t.purpose for t in both.store.outbox.of(key)] == ["transfer", "cancel"]
    ask(both.ports.devnet.l1, "anvil_setBalance", row.wallet, hex(10**20))
    both.look()
    both.mine()
    assert (both.order(key).status, both.paid(key)) == (Status.PROCESSING, 0)
    both.transfer([key])
    both.mine()
    assert both.paid(key) == 1
    assert both.store.outbox.of(key)[-1].wallet != row.wallet


def test_a_reorg_of_both_lanes_pays_every_order_once(both: AnvilBridge) -> None:
    keys = both.find(50)
    both.transfer(keys)
    both.mine()
    both.repay(keys)
    both.mine()
    both.ports.reorg_l1(2)
    both.look()
    assert {both.order(key).status for key in keys} == {Status.TRANSFERRING}
    for _ in range(3):
        both.now += STUCK
        both.look()
        both.mine()
        both.repay([key for key in keys if both.order(key).status is Status.FULFILLED])
    both.mine()
    assert [both.paid(key) for key in keys] == [1] * 50
    assert {both.order(key).status for key in keys} == {Status.PROVED}


def test_only_the_owner_and_the_market_maker_are_taken(both: AnvilBridge) -> None:
    stranger = Address(account(5).address)
    assert both.ports.registry.accepts([both.wallet, stranger, OWNERS]) == [True, False, True]


def settings_with(bridge: AnvilBridge, *wallets: int) -> Settings:
    """Return the settings of the bridge with further wallets: w1, w2, of the local accounts."""
    names = [f"W{number}" for number in range(1, len(wallets) + 1)]
    environ = environment(bridge.ports.devnet.deployment)
    environ["MMBOT_L1_MORE_WALLETS"] = ",".join(names).lower()
    for name, index in zip(names, wallets, strict=True):
        environ[f"MMBOT_L1_{name}_WALLET_ADDRESS"] = account(index).address
        environ[f"MMBOT_L1_{name}_PRIVATE_KEY"] = account(index).key.hex()
    return settings.load(environ)


def test_start_and_doctor_refuse_a_third_wallet_by_name(anvil_bridge: AnvilBridge) -> None:
    wiring.refuse_losing_settings(settings_with(anvil_bridge, OWNER))
    read = settings_with(anvil_bridge, OWNER, 5)
    with pytest.raises(InvalidSettings) as refused:
        wiring.refuse_losing_settings(read)
    registry, third = anvil_bridge.ports.registry.address, account(5).address
    assert str(refused.value) == (
        f"the registry {registry} takes transfers and claims from its owner and its market maker "
        f"alone, and the wallet w2, {third}, is neither: take it out of MMBOT_L1_MORE_WALLETS, or "
        "have the owner make it one of them"
    )
    found = [f for f in chain_checks.chains(read) if third in f.text]
    assert [(f.mark, f.subject) for f in found] == [
        (CheckStatus.OK, "wallet w2"),
        (CheckStatus.OK, "wallet"),
        (CheckStatus.OK, "account"),
        (CheckStatus.FAULT, "registry"),
    ]
    owner = [f for f in chain_checks.chains(read) if OWNERS in f.text]
    assert {f.mark for f in owner} >= {CheckStatus.OK}


def test_the_doctor_finds_the_key_of_another_wallet(anvil_bridge: AnvilBridge) -> None:
    environ = environment(anvil_bridge.ports.devnet.deployment) | {
        "MMBOT_L1_MORE_WALLETS": "second",
        "MMBOT_L1_SECOND_WALLET_ADDRESS": OWNERS,
        "MMBOT_L1_SECOND_PRIVATE_KEY": account(5).key.hex(),
    }
    faults = [f for f in chain_checks.chains(settings.load(environ)) if f.mark is CheckStatus.FAULT]
    assert [(f.subject, f.text.split(",")[0]) for f in faults] == [
        ("wallet second", f"MMBOT_L1_SECOND_WALLET_ADDRESS is {OWNERS}")
    ]
