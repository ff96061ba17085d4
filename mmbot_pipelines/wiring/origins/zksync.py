"""zkSync's settings become its adapter."""

from collections.abc import Sequence

from mmbot_pipelines.adapters.bridge.zksync import refunds
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.evm import history
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcCall
from mmbot_pipelines.adapters.rpc.nodes import Nodes
from mmbot_pipelines.bridge.ports.chains import Origin
from mmbot_pipelines.settings import L1
from mmbot_pipelines.settings.bridge import zksync
from mmbot_pipelines.wiring.origins import NEW_HEADS, Shared, watched_on_evm


def origin(section: zksync.ZkSync, shared: Shared) -> Origin:
    """Plug the origin together; our first wallet on L1 is paid unless the settings name another."""
    return ZkSyncOrigin(
        Rpc(
            section.urls,
            chain=ZkSyncOrigin.name,
            chain_id=section.chain_id,
            quorum=shared.settings.quorum(section),
        ),
        shared.l1,
        shared.registry.address,
        escrow=section.escrow_address,
        diamond=section.diamond_address,
        abi=shared.registry.abi,
        wallet=section.wallet_address or shared.wallets[0],
        refunds_to=shared.wallets,
        start=section.start_block,
        accepted=section.accepted,
        claim_gas_limit=section.claim_gas_limit,
    )


def watched_nodes(section: zksync.ZkSync, *, quorum: int) -> Nodes:
    """Return its nodes for who watches them."""
    return watched_on_evm(ZkSyncOrigin.name, section, section.chain_id, quorum)


def block_time(section: zksync.ZkSync, number: int) -> int:
    """Return when a block was made, in seconds since 1970."""
    rpc = Rpc(section.urls, chain=ZkSyncOrigin.name, chain_id=section.chain_id)
    return history.time_of(rpc, number)[1]


def stranded_refunds(section: zksync.ZkSync, rpc: Rpc, l1: L1) -> str | None:
    """Return why messages of an account with code on L1 would be refunded to nobody."""
    if not refunds.go_to_alias(
        rpc,
        diamond=section.diamond_address,
        registry=l1.registry_address,
        escrow=section.escrow_address,
        claim_gas_limit=section.claim_gas_limit,
    ):
        return None
    return (
        f"zkSync's diamond {section.diamond_address} refunds the messages of an account with "
        "code at an address that nobody has the key of: no delegation (EIP-7702) while "
        "MMBOT_ORIGINS names zksync"
    )


def subscriptions(section: zksync.ZkSync) -> Sequence[RpcCall]:
    """Return how its nodes are asked to announce new blocks, and what the escrow logs."""
    return [NEW_HEADS, ("eth_subscribe", ["logs", {"address": section.escrow_address}])]
