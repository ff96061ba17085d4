"""The whole product, with nodes that fail on command between it and its chains."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from mmbot_pipelines.devnet.faulty_rpc import FaultyRpc
from mmbot_pipelines.devnet.outside import Outside, Side, ZkSyncSide
from mmbot_pipelines.devnet.stack import Stack

_URLS = re.compile(r"MMBOT_(\w+)_RPC_URLS")

# A retry every few seconds and a run for few orders: all that takes minutes in production.
SETTINGS = {
    "MMBOT_RETRY_BACKOFF_SECONDS": "3",
    "MMBOT_MAX_ATTEMPTS": "8",
}


class FaultyStack(Stack):
    """A stack whose settings name several faulty nodes for each chain.

    What is not the product, the messenger and the users, asks the chains themselves.
    """

    def __init__(
        self,
        home: Path,
        *,
        nodes: int = 3,
        seed: int = 0,
        settings: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe the stack.

        nodes: for each chain.
        seed: of the nodes' lies.
        """
        super().__init__(home, settings=SETTINGS | dict(settings or {}), tell=tell)
        self.nodes: dict[str, list[FaultyRpc]] = {}  # by the chain's name in the settings
        self._count = nodes
        self._seed = seed

    def outside(self) -> Outside:
        """Return both sides of the bridge as they are seen past the bot."""
        sides: list[Side] = [ZkSyncSide(self.deployment.zksync)]
        return Outside(self.deployment, sides)

    def _environ(self) -> dict[str, str]:
        environ = super()._environ()
        for variable, upstream in environ.items():
            if named := _URLS.fullmatch(variable):
                self.nodes[named[1]] = [
                    self._cleanup.enter_context(FaultyRpc(upstream, seed=self._seed + number))
                    for number in range(self._count)
                ]
        urls = {
            f"MMBOT_{chain}_RPC_URLS": ",".join(node.url for node in nodes)
            for chain, nodes in self.nodes.items()
        }
        return environ | urls
