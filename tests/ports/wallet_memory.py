"""A further wallet on a chain in memory: the port `Chain`, scriptable."""

from typing import Any

from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import Block, Call
from tests.ports.chain_blocks import Executed
from tests.ports.chain_memory import ETH, ChainMemory

SECOND = Address("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65")
THIRD = Address("0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc")


class WalletMemory(ChainMemory):
    """Its own balance, nonces and pool; all else is the chain's, until it is set here."""

    def __init__(
        self, chain: ChainMemory, wallet: Address = SECOND, *, balance: int = 10_000 * ETH
    ) -> None:
        self._chain = chain
        self.wallet = wallet
        self.endowment = balance
        self.pool: dict[int, Executed] = {}
        chain.wallets.append(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    def mine(self, blocks: int = 1) -> Block:
        return self._chain.mine(blocks)

    def _revert(self, call: Call, *, foreseen: bool) -> str | None:
        self._chain.sender = self.wallet
        try:
            return super()._revert(call, foreseen=foreseen)
        finally:
            self._chain.sender = self._chain.wallet
