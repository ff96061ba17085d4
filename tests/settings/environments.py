"""Environments that load, and the faults of those that do not."""

import pytest

from mmbot_pipelines import settings
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.settings.bridge.starknet import Starknet
from mmbot_pipelines.settings.bridge.zksync import ZkSync

REGISTRY = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
SECRET = "ab" * 32
GOOD = {
    "MMBOT_L1_RPC_URLS": "https://user:pass1@one.example/apikey1, http://two.example:8545",
    "MMBOT_L1_CHAIN_ID": "1",
    "MMBOT_L1_REGISTRY_ADDRESS": REGISTRY,
    "MMBOT_L1_PRIVATE_KEY": SECRET,
    "MMBOT_ZKSYNC_RPC_URLS": "http://127.0.0.1:3050",
    "MMBOT_ZKSYNC_CHAIN_ID": "324",
    "MMBOT_ZKSYNC_ESCROW_ADDRESS": "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
    "MMBOT_ZKSYNC_DIAMOND_ADDRESS": REGISTRY,
}
STARKNET = {
    "MMBOT_STARKNET_RPC_URLS": "http://127.0.0.1:5050",
    "MMBOT_STARKNET_CHAIN_ID": "SN_MAIN",
    "MMBOT_STARKNET_ESCROW_ADDRESS": "0xE5C",
    "MMBOT_STARKNET_WALLET_ADDRESS": "0x123",
    "MMBOT_STARKNET_MESSAGING_ADDRESS": REGISTRY,
    "MMBOT_CONFIRMATIONS": "0:1",
    "MMBOT_MAX_EXPOSURE_WEI": "1000000000000000000",
}


def faults(changes: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        settings.load(GOOD | changes)
    return str(caught.value).splitlines()


PROOF = {
    "MMBOT_STARKNET_REPAY": "storage_proof",
    "MMBOT_STARKNET_PROVER_URL": "https://prover.example/v1",
    "MMBOT_STARKNET_PROVER_API_KEY": "hunter2",
    "MMBOT_STARKNET_PRIVATE_KEY": "0xabc1",
    "MMBOT_STARKNET_PROVER_COST_WEI": "5",
}


def zksync_of(read: Settings) -> ZkSync:
    """Return zkSync's section."""
    section = read.origin("zksync")
    assert isinstance(section, ZkSync)
    return section


def starknet_of(read: Settings) -> Starknet:
    """Return Starknet's section."""
    section = read.origin("starknet")
    assert isinstance(section, Starknet)
    return section
