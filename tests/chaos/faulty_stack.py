"""The whole product, with nodes that fail on command between it and its chains."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.devnet.stack import Stack, free_port
from mmbot_pipelines.settings.bridge import EIP7702
from tests.chaos.chain_facts import Chains, Origin, StarknetOrigin, ZkSyncOrigin
from tests.chaos.faulty_rpc import FaultyRpc
from tests.devnet.delegated import delegate

MAX_REORG_DEPTH = 2  # blocks
_URLS = re.compile(r"MMBOT_(\w+)_RPC_URLS")

# What takes minutes in production takes seconds here. One node may lie, so two must agree;
# orders are paid when they are deeper than any reorg.
SETTINGS = {
    "MMBOT_RETRY_BACKOFF_SECONDS": "3",
    "MMBOT_MAX_ATTEMPTS": "4",
    "MMBOT_STUCK_AFTER_SECONDS": "20",
    "MMBOT_RPC_QUORUM": "2",
    "MMBOT_CONFIRMATIONS": f"0:{MAX_REORG_DEPTH + 1}",
}


class FaultyStack(Stack):
    """A stack whose settings name faulty nodes for its chains.

    What is not the product, the messenger and the users, asks the chains themselves.
    """

    def __init__(
        self,
        home: Path,
        *,
        origins: Sequence[str] = tuple(ORIGINS),
        nodes: int = 3,
        seed: int = 0,
        chains: Sequence[str] = ("L1", "ZKSYNC", "STARKNET"),
        settings: Mapping[str, str] = SETTINGS,
        log_start: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe the stack.

        nodes: for each chain.
        seed: of the nodes' lies.
        chains: with faulty nodes, as the settings name them.
        """
        super().__init__(
            home,
            origins=origins,
            ui_port=free_port(0),  # several stacks may start at once
            settings=settings,
            log_start=log_start,
        )
        self.nodes: dict[str, list[FaultyRpc]] = {}  # by the chain's name in the settings
        self._chains = chains
        self._count = nodes
        self._seed = seed

    def chains(self) -> Chains:
        """Return the chains as they are read past the bot."""
        origins: list[Origin] = [ZkSyncOrigin(self.deployment.zksync)]
        if self.starknet is not None:
            origins.append(StarknetOrigin(self.starknet))
        return Chains(self.deployment, origins)

    def _environ(self) -> dict[str, str]:
        environ = super()._environ()
        if environ.get("MMBOT_BATCH") == EIP7702:
            delegate(self.deployment)
        for variable, upstream in environ.items():
            if (named := _URLS.fullmatch(variable)) and named[1] in self._chains:
                self.nodes[named[1]] = [
                    self._cleanup.enter_context(FaultyRpc(upstream, seed=self._seed + number))
                    for number in range(self._count)
                ]
        urls = {
            f"MMBOT_{chain}_RPC_URLS": ",".join(node.url for node in nodes)
            for chain, nodes in self.nodes.items()
        }
        return environ | urls
