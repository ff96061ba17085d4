"""The Starknet origin on the local chains: its L1 side deployed, its node as a process."""

import sys
from dataclasses import dataclass
from pathlib import Path

from eth_typing import ChecksumAddress

from mmbot_pipelines.devnet.artifacts import contract, deploy, send
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deploy import REGISTRIES, L1Deployment
from mmbot_pipelines.devnet.local_chain import LocalChain
from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet.felt import felt, selector_of
from mmbot_pipelines.devnet.starknet.sequencer import CHAIN_ID, MARKET_MAKER


@dataclass(frozen=True, slots=True, kw_only=True)
class StarknetDeployment:
    """What the Starknet origin consists of; L2 addresses are felts in hex."""

    rpc_url: str
    messaging: ChecksumAddress  # on L1
    chain_id: str = felt(CHAIN_ID)
    escrow: str = felt(ESCROW_ADDRESS)
    wallet: str = felt(MARKET_MAKER.address)  # where the escrow pays the market maker
    start_block: int = 0

    def settings(self) -> dict[str, str]:
        """Return the product's MMBOT_STARKNET_ settings."""
        return {
            "MMBOT_STARKNET_RPC_URLS": self.rpc_url,
            "MMBOT_STARKNET_CHAIN_ID": self.chain_id,
            "MMBOT_STARKNET_ESCROW_ADDRESS": self.escrow,
            "MMBOT_STARKNET_START_BLOCK": str(self.start_block),
            "MMBOT_STARKNET_WALLET_ADDRESS": self.wallet,
            "MMBOT_STARKNET_MESSAGING_ADDRESS": self.messaging,
            # a chain of our own, whose money is worth nothing
            "MMBOT_CONFIRMATIONS": "none",
            "MMBOT_MAX_EXPOSURE_WEI": "none",
        }


def deploy_messaging(l1: L1Deployment) -> ChecksumAddress:
    """Deploy the messaging contract on L1, and set it and the escrow in the registry."""
    w3 = connect(l1.rpc_url)
    messaging = deploy(w3, "StarknetMessaging", sender=l1.owner).address
    registry = contract(w3, REGISTRIES[l1.registry_abi], l1.registry)
    claim = selector_of("claim_payment")
    send(registry.functions.setStarknet(messaging, ESCROW_ADDRESS, claim), sender=l1.owner)
    if l1.registry_abi == "v2":
        batch = registry.functions.setStarknetClaimPaymentBatchSelector
        send(batch(selector_of("claim_payment_batch")), sender=l1.owner)
    return messaging


class StarknetProcess(LocalChain):
    """Run the node of a deployment, as a context manager."""

    def __init__(
        self,
        l1: L1Deployment,
        messaging: ChecksumAddress,
        *,
        block_time: float,
        log: Path | None = None,
    ) -> None:
        """Describe the node. block_time: seconds between two blocks."""
        super().__init__("the local Starknet", log=log)
        self._args = [
            *("--block-time", str(block_time)),
            *("--registry", l1.registry),
            *("--l1-rpc", l1.rpc_url),
            *("--messaging", messaging),
        ]

    def command(self) -> list[str]:
        return [sys.executable, "-m", "mmbot_pipelines.devnet.starknet.node", *self._args]
