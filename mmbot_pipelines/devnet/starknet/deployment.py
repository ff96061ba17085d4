"""The Starknet origin on the local chains: its L1 side deployed, its node as a process."""

import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import requests
from eth_typing import ChecksumAddress

from mmbot_pipelines.devnet.anvil import tied_to_parent
from mmbot_pipelines.devnet.artifacts import contract, deploy, send
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deploy import L1
from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet.felt import selector_of

_STOP_SECONDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Starknet:
    """What the Starknet origin consists of; L2 addresses are felts in hex."""

    rpc_url: str
    chain_id: str
    escrow: str
    wallet: str  # where the escrow pays the market maker
    messaging: ChecksumAddress  # on L1
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


def deploy_messaging(l1: L1) -> ChecksumAddress:
    """Deploy the messaging contract on L1, and set it and the escrow in the registry."""
    w3 = connect(l1.rpc_url)
    messaging = deploy(w3, "StarknetMessaging", sender=l1.owner).address
    registry = contract(w3, "PaymentRegistry", l1.registry)
    claim = selector_of("claim_payment")
    send(registry.functions.setStarknet(messaging, ESCROW_ADDRESS, claim), sender=l1.owner)
    return messaging


def node_command(
    l1: L1, messaging: ChecksumAddress, *, port: int = 0, block_time: float = 2.0
) -> list[str]:
    """Return the command that serves the node of this deployment.

    block_time: seconds between two blocks.
    """
    return [
        *(sys.executable, "-m", "mmbot_pipelines.devnet.starknet.node"),
        *("--port", str(port)),
        *("--block-time", str(block_time)),
        *("--registry", l1.registry),
        *("--l1-rpc", l1.rpc_url),
        *("--messaging", messaging),
    ]


def describe(rpc_url: str, messaging: ChecksumAddress) -> Starknet:
    """Ask a running node what it consists of."""
    request = {"jsonrpc": "2.0", "id": 1, "method": "devnet_config"}
    config = requests.post(rpc_url, json=request, timeout=10).json()["result"]
    return Starknet(
        rpc_url=rpc_url,
        chain_id=config["chain_id"],
        escrow=config["escrow"],
        wallet=config["market_maker"],
        messaging=messaging,
    )


class StarknetProcess:
    """Run the node on a port of 127.0.0.1 that it chooses itself, as a context manager."""

    def __init__(self, l1: L1, messaging: ChecksumAddress, *, block_time: float, log: Path) -> None:
        """Describe the node. block_time: seconds between two blocks."""
        self.url = ""
        self._command = node_command(l1, messaging, block_time=block_time)
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                tied_to_parent(self._command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # the terminal's Ctrl-C is for us to handle
            )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the local Starknet ended before it listened: see {self._log}")
        # Read to its end, or the node would block once the pipe is full.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
