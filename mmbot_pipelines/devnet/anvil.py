"""One local EVM chain: an anvil process."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import requests

from mmbot_pipelines.devnet.local_chain import ChainError, LocalChain

PACKAGE_ROOT = Path(__file__).parents[2]


class Anvil(LocalChain):
    """Run anvil, as a context manager."""

    def __init__(
        self,
        *,
        chain_id: int,
        block_time: float | None = None,
        mining: bool = True,
        port: int = 0,
        log: Path | None = None,
    ) -> None:
        """Describe the chain; `start` runs it.

        block_time: seconds between blocks; absent, every transaction makes a block.
        mining: False makes blocks only on evm_mine.
        port, log: see `LocalChain`.
        """
        super().__init__(f"anvil of chain {chain_id}", port=port, log=log)
        self._args = [
            *("--chain-id", str(chain_id)),
            *(() if block_time is None else ("--block-time", str(block_time))),
            *(() if mining else ("--no-mining",)),
        ]

    def command(self) -> list[str]:
        return [str(find_anvil()), "--port", str(self.port), *self._args]

    def start(self) -> Self:
        super().start()
        # No line per RPC call: nobody reads it, and it fills the disk.
        call = {"jsonrpc": "2.0", "id": 1, "method": "anvil_setLoggingEnabled", "params": [False]}
        requests.post(self.url, json=call, timeout=60).raise_for_status()
        return self


def find_anvil(roots: Sequence[Path] | None = None) -> Path:
    """Return the anvil binary of node_modules, else the one on PATH.

    The platform's own binary comes before npm's wrapper script, whose child
    would outlive it.

    Raises:
        ChainError: there is none.
    """
    for root in (PACKAGE_ROOT, Path.cwd()) if roots is None else roots:
        modules = root / "node_modules"
        for found in (
            *modules.glob("@foundry-rs/anvil-*/bin/anvil*"),
            modules / ".bin" / "anvil",
        ):
            if os.access(found, os.X_OK):
                return found
    on_path = shutil.which("anvil")
    if on_path is None:
        raise ChainError("anvil, the local chain, is not installed: run `make setup`")
    return Path(on_path)
