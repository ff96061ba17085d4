"""Our wallets on L1: who signs for each, and which the registry takes."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.registry_abi import ABIS
from mmbot_pipelines.adapters.evm.delegation import WalletDelegation
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge.ports.orders import BridgeStore
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import by_wallet
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.wiring import shared

if TYPE_CHECKING:
    from mmbot_pipelines.adapters.evm.signing import Signer

FIRST_WALLET = "main"  # the name of the one that MMBOT_L1_PRIVATE_KEY and its like are of

_log = logging.getLogger(__name__)


def l1_rpc(settings: Settings) -> Rpc:
    """Return the nodes of L1."""
    l1 = settings.l1
    return Rpc(l1.urls, chain="L1", chain_id=l1.chain_id, quorum=settings.quorum(l1))


def signers(settings: Settings) -> dict[str, "Signer"]:
    """Return who signs for each wallet, by its name, the first one first.

    Raises:
        InvalidSettings: a key cannot be read or is none, or two are of one address.
    """
    first = shared.signer(settings.key)
    signers: dict[str, Signer] = {FIRST_WALLET: first}
    for wallet in settings.more_wallets:
        if wallet.address == first.address:
            raise InvalidSettings(
                wallet.named(
                    "MMBOT_L1_WALLET_ADDRESS is the first wallet's: give it one of its own"
                )
            )
        signers[wallet.name] = shared.declared_signer(wallet)
    return signers


def delegating_wallets(settings: Settings) -> dict[str, WalletDelegation]:
    """Return our wallets on L1, by name, as what can be delegated to the batch contract.

    Raises:
        InvalidSettings: a key cannot be read or is none.
    """
    rpc = l1_rpc(settings)
    return {name: WalletDelegation(rpc, signer) for name, signer in signers(settings).items()}


def refused(rpc: Rpc, settings: Settings) -> list[str]:
    """Return a line for each further wallet that the registry lets neither pay nor claim.

    Raises:
        Failure: the registry could not be asked.
    """
    more, l1 = settings.more_wallets, settings.l1
    if not more:
        return []
    registry = PaymentRegistry(
        rpc, l1.registry_address, start_block=l1.start_block, abi=ABIS[l1.registry_abi]
    )
    accepted = registry.accepts([wallet.address for wallet in more])
    return [
        f"the registry {registry.address} takes transfers and claims from its owner and its "
        f"market maker alone, and the wallet {wallet.name}, {wallet.address}, is neither: take it "
        "out of MMBOT_L1_MORE_WALLETS, or have the owner make it one of them"
        for wallet, accepts in zip(more, accepted, strict=True)
        if not accepts
    ]


def log_keyless(store: BridgeStore, ours: Sequence[Address]) -> None:
    """Log which wallets have transactions in flight, but no key in the settings any more."""
    for wallet, rows in by_wallet(store.outbox.in_flight()).items():
        if wallet not in ours:
            _log.warning(
                "%s has %d transactions in flight, and its key is not among the settings: they "
                "are followed to their end, but nothing raises their fees or cancels them; name it "
                "again (MMBOT_L1_MORE_WALLETS) until they are decided",
                wallet,
                len(rows),
            )
