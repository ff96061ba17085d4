"""The bridge with a second wallet, and what its lanes hold."""

from collections.abc import Sequence
from dataclasses import replace

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.accounts import TRANSFER
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Chain, Transaction
from tests.bridge.harness import BridgeHarness
from tests.ports.chain_memory import ETH
from tests.ports.wallet_memory import SECOND, WalletMemory


def second_wallet(harness: BridgeHarness, *, balance: int = 9_000 * ETH) -> WalletMemory:
    """Give the bridge a further wallet with less ETH, the registry's owner."""
    second = WalletMemory(harness.chain, balance=balance)
    harness.registry.owner = SECOND
    use_wallets(harness, harness.chain, second)
    return second


def use_wallets(harness: BridgeHarness, *chains: Chain) -> None:
    """Let only these wallets sign; the other ones of the chain have no key."""

    def keyless(wallet: Address) -> Chain:
        return next(chain for chain in harness.chain.wallets if chain.wallet == wallet)

    harness.bridge = replace(harness.bridge, chain=chains[0], wallets=chains, keyless=keyless)


def transfers(harness: BridgeHarness, wallet: Address) -> list[Transaction]:
    """Return the stored transfers of a wallet, oldest first."""
    rows = harness.transactions()
    return [row for row in rows if (row.wallet, row.purpose) == (wallet, TRANSFER)]


def paid_once(harness: BridgeHarness, keys: Sequence[str]) -> None:
    """Check that the orders are paid, each by one transfer."""
    assert {harness.order(key).status for key in keys} == {Status.FULFILLED}
    assert [harness.paid(key) for key in keys] == [1] * len(keys)


def stuck_first_wallet(harness: BridgeHarness) -> list[str]:
    """Let a transfer of the first wallet be in no block for too long."""
    keys = harness.set_and_detect(1)
    harness.transfer(keys)
    harness.chain.pool.clear()
    harness.later(61)
    return keys
