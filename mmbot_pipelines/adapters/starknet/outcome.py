"""What is known of a transaction of our Starknet account. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.starknet.invokes import Invoke
from mmbot_pipelines.adapters.starknet.wallet import TxStatus, at_most, prices
from mmbot_pipelines.core.outbox import TxState

# Starknet JSON-RPC specification, errors: the sequencer has not taken the transaction
_PRICE_TOO_LOW = (53, 65)
_BALANCE_TOO_LOW = 54


@dataclass(frozen=True, slots=True)
class InFlightInvoke:
    """A transaction whose outcome is open."""

    invoke: Invoke
    refused: RpcError | None = None  # by the sequencer; it may be replaced at its nonce

    @property
    def why(self) -> str:
        """Return one line: why it was refused, and what fixes that."""
        if self.refused is not None and self.refused.code == _BALANCE_TOO_LOW:
            need = f"{at_most(self.invoke.raw) / 10**18:.6f} STRK"
            return f"waiting: fund our Starknet account {self.invoke.wallet}, it needs {need}"
        return f"waiting: Starknet refuses our transaction {self.invoke.hash} ({self.refused})"


def outcome(status: TxStatus | None) -> str:
    """Return what makes two nodes' answers about a transaction alike."""
    return "" if status is None else f"{status.accepted} {status.reverted is not None}"


def decided(seen: Sequence[TxStatus | None]) -> TxState | None:
    """Return what became of a transaction, where all of these agree; else None."""
    if not all(status is not None and status.accepted for status in seen):
        return None
    failed = {status.reverted is not None for status in seen if status is not None}
    if len(failed) > 1:
        return None
    return TxState.REVERTED if True in failed else TxState.MINED


def helps(raw: bytes, over: InFlightInvoke) -> bool:
    """Return whether a new transaction fixes what an earlier one was refused for."""
    code = over.refused.code if over.refused else None
    if code in _PRICE_TOO_LOW:
        return any(new > old for new, old in zip(prices(raw), prices(over.invoke.raw), strict=True))
    if code == _BALANCE_TOO_LOW:
        return at_most(raw) < at_most(over.invoke.raw)
    return True
