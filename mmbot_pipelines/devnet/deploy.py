"""The bridge's contracts on the local chains, wired to each other."""

from dataclasses import dataclass, field

from eth_typing import ChecksumAddress
from web3 import Web3

from mmbot_pipelines.devnet import accounts
from mmbot_pipelines.devnet.artifacts import (
    contract,
    deploy,
    deploy_behind_proxy,
    deploy_diamond,
    send,
)
from mmbot_pipelines.devnet.chain import connect

REGISTRIES = {"v1": "PaymentRegistry", "v2": "PaymentRegistryV2"}  # contracts, by ABI

ALIAS_OFFSET = 0x1111000000000000000000000000000000001111


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Deployment:
    """What is deployed on L1."""

    rpc_url: str
    chain_id: int
    start_block: int  # nothing of ours happened before it
    owner: ChecksumAddress  # of the registry; this chain signs for it
    registry: ChecksumAddress
    registry_abi: str  # "v1" or "v2"
    rejecting_recipient: ChecksumAddress  # reverts with "no thanks"
    gas_burning_recipient: ChecksumAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class ZkSyncDeployment:
    """What the zkSync origin consists of."""

    rpc_url: str
    chain_id: int
    start_block: int
    owner: ChecksumAddress  # of the escrow
    escrow: ChecksumAddress
    diamond: ChecksumAddress  # on L1
    aliased_registry: ChecksumAddress  # who claims on this chain
    wallet: ChecksumAddress  # where the escrow pays the market maker

    def settings(self) -> dict[str, str]:
        """Return the product's MMBOT_ZKSYNC_ settings."""
        return {
            "MMBOT_ZKSYNC_RPC_URLS": self.rpc_url,
            "MMBOT_ZKSYNC_WS_URLS": self.rpc_url.replace("http", "ws", 1),
            "MMBOT_ZKSYNC_CHAIN_ID": str(self.chain_id),
            "MMBOT_ZKSYNC_ESCROW_ADDRESS": self.escrow,
            "MMBOT_ZKSYNC_START_BLOCK": str(self.start_block),
            "MMBOT_ZKSYNC_WALLET_ADDRESS": self.wallet,
            "MMBOT_ZKSYNC_DIAMOND_ADDRESS": self.diamond,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything deployed on the local chains."""

    market_maker: ChecksumAddress
    private_key: str = field(repr=False)  # the market maker's, 0x and 64 hex digits
    l1: L1Deployment
    zksync: ZkSyncDeployment


def aliased(address: ChecksumAddress) -> ChecksumAddress:
    """Return the address under which zkSync shows a contract of L1.

    Source: zkSync AddressAliasHelper, L1 address + 0x1111…1111 modulo 2^160.
    """
    shown = (int(address, 16) + ALIAS_OFFSET) % 2**160
    return Web3.to_checksum_address(f"0x{shown:040x}")


def deploy_l1(
    rpc_url: str, market_maker: ChecksumAddress, registry_abi: str = "v1"
) -> L1Deployment:
    """Deploy the registry and the odd recipients; origins add themselves later."""
    w3 = connect(rpc_url)
    owner = accounts.account(accounts.OWNER).address
    start_block = w3.eth.block_number + 1
    return L1Deployment(
        rpc_url=rpc_url,
        chain_id=w3.eth.chain_id,
        start_block=start_block,
        owner=owner,
        registry=deploy_behind_proxy(
            w3, REGISTRIES[registry_abi], owner, market_maker, sender=owner
        ).address,
        registry_abi=registry_abi,
        rejecting_recipient=deploy(w3, "RejectingRecipient", sender=owner).address,
        gas_burning_recipient=deploy(w3, "GasBurningRecipient", sender=owner).address,
    )


def deploy_zksync(rpc_url: str, l1: L1Deployment, wallet: ChecksumAddress) -> ZkSyncDeployment:
    """Deploy escrow and diamond, and set their addresses in the registry."""
    on_l1, on_l2 = connect(l1.rpc_url), connect(rpc_url)
    owner = accounts.account(accounts.ORIGIN_OWNER).address
    start_block = on_l2.eth.block_number + 1
    claimer = aliased(l1.registry)
    diamond = deploy_diamond(on_l1, sender=l1.owner).address
    escrow = deploy_behind_proxy(on_l2, "Escrow", claimer, wallet, sender=owner).address
    registry = contract(on_l1, REGISTRIES[l1.registry_abi], l1.registry)
    send(registry.functions.setZKSync(diamond, escrow), sender=l1.owner)
    return ZkSyncDeployment(
        rpc_url=rpc_url,
        chain_id=on_l2.eth.chain_id,
        start_block=start_block,
        owner=owner,
        escrow=escrow,
        diamond=diamond,
        aliased_registry=claimer,
        wallet=wallet,
    )


def deploy_all(l1_rpc_url: str, zksync_rpc_url: str, *, registry_abi: str = "v1") -> Deployment:
    """Deploy and wire everything, with anvil's second account as the market maker."""
    maker = accounts.account(accounts.MARKET_MAKER)
    l1 = deploy_l1(l1_rpc_url, maker.address, registry_abi)
    return Deployment(
        market_maker=maker.address,
        private_key=Web3.to_hex(maker.key),
        l1=l1,
        zksync=deploy_zksync(zksync_rpc_url, l1, maker.address),
    )


def environment(deployment: Deployment) -> dict[str, str]:
    """Return the settings that point the product at these chains."""
    l1 = deployment.l1
    return {
        "MMBOT_L1_RPC_URLS": l1.rpc_url,
        "MMBOT_L1_WS_URLS": l1.rpc_url.replace("http", "ws", 1),  # anvil serves both on one port
        "MMBOT_L1_CHAIN_ID": str(l1.chain_id),
        "MMBOT_L1_REGISTRY_ADDRESS": l1.registry,
        "MMBOT_MIN_MARGIN_BPS": "10",  # so that a fee of next to nothing is refused at any price
        "MMBOT_MIN_TRANSFER_WEI": "1",  # gas costs next to nothing here
        "MMBOT_L1_REGISTRY_ABI": l1.registry_abi,
        "MMBOT_L1_PRIVATE_KEY": deployment.private_key,
        "MMBOT_L1_WALLET_ADDRESS": deployment.market_maker,
        "MMBOT_ORIGINS": "zksync",
        **deployment.zksync.settings(),
    }
