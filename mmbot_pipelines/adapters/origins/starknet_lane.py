"""The nonce lane of our Starknet account. Reads chain and store, writes both.

A transaction is stored before it is sent; the same bytes are sent again as long as no node
knows it; and no second nonce is given out before the first is decided by a sealed block.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from starknet_py.net.client_models import Call

from mmbot_pipelines.adapters.ethereum.node import NodeFault, RpcError
from mmbot_pipelines.adapters.ethereum.quorum import RpcDisagrees
from mmbot_pipelines.adapters.origins.starknet_node import StarknetNode
from mmbot_pipelines.adapters.origins.starknet_rpc import StarknetRpc
from mmbot_pipelines.adapters.origins.starknet_wallet import (
    StarknetWallet,
    TxStatus,
    at_most,
    prices,
)
from mmbot_pipelines.core.errors import LostRace
from mmbot_pipelines.core.invokes import Invoke, Invokes
from mmbot_pipelines.core.outbox import TxState

# Starknet JSON-RPC specification, errors: the sequencer has not taken the transaction
_PRICE_TOO_LOW = (53, 65)
_BALANCE_TOO_LOW = 54

# Of one account in the block that is being built; ours has none when a nonce is asked for.
_MOST_PENDING = 50

_Seen = tuple[int, TxStatus | None]  # the account's nonce, and what is known of a transaction


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A transaction whose outcome is open."""

    invoke: Invoke
    refused: RpcError | None = None  # by the sequencer; it may be replaced at its nonce

    @property
    def why(self) -> str:
        """Say in one line why it was refused."""
        if self.refused is not None and self.refused.code == _BALANCE_TOO_LOW:
            need = f"{at_most(self.invoke.raw) / 10**18:.6f} STRK"
            return f"waiting: fund our Starknet account {self.invoke.wallet}, it needs {need}"
        return f"waiting: Starknet refuses our transaction {self.invoke.hash} ({self.refused})"


class StarknetLane:
    """The account's transactions. Threads may share it, and so may processes."""

    def __init__(
        self,
        rpc: StarknetRpc,
        wallet: StarknetWallet,
        invokes: Invokes,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.wallet = wallet
        self.invokes = invokes
        self.now = now
        self._rpc = rpc

    def under_way(self) -> UnderWay | None:
        """Decide what is decided, send again what no node knows, return what is open."""
        rows = self.invokes.undecided(self.wallet.chain_id, self.wallet.address)
        while rows:
            group = [row for row in rows if row.nonce == rows[0].nonce]
            rows = rows[len(group) :]
            try:
                if (open_ := self._look(group)) is not None:
                    return open_
            except LostRace:
                continue  # another run has decided it
        return None

    def statuses(self, txs: Sequence[str]) -> list[list[TxStatus | None]]:
        """Return what the quorum knows of these transactions: one list for each of them.

        Where nodes differ, what each node that was asked knows of it.
        """

        async def asked(node: StarknetNode) -> list[TxStatus | None]:
            return await asyncio.gather(*(self.wallet.status(node, tx) for tx in txs))  # type: ignore[arg-type]

        return self._rpc.columns(asked, _outcome)

    def send(
        self, calls: Sequence[Call], subjects: Sequence[str], *, over: UnderWay | None = None
    ) -> UnderWay | None:
        """Sign, store and send one transaction; None where none can be sent now.

        over: what the sequencer refused; the new one takes its nonce.

        Raises:
            CallReverts: the called contract would refuse it.
            RpcRefused: our account does not take our signature.
            RpcDisagrees: nodes differ on our account's next nonce, or on its class.
        """
        if over is not None:
            nonce, bump = over.invoke.nonce, over.invoke.bump + 1
        else:
            nonce, bump = self._next_nonce(), 0
            newest = self.invokes.newest(self.wallet.chain_id, self.wallet.address)
            if newest is not None and nonce <= newest.nonce:
                # A reorg took it back, or a node is behind: the stored bytes go first.
                self.invokes.reopen(self.wallet.chain_id, self.wallet.address, nonce)
                return self.under_way()
        self._agree_on_class()
        signed = self._rpc.ask(lambda node: self.wallet.sign(node, calls, nonce=nonce, bump=bump))
        if over is not None and not _helps(signed.raw, over):
            return over
        invoke = Invoke(
            chain_id=self.wallet.chain_id,
            wallet=self.wallet.address,
            nonce=nonce,
            bump=bump,
            hash=signed.hash,
            raw=signed.raw,
            subjects=tuple(subjects),
            stored_at=self.now(),
        )
        try:
            self.invokes.store(invoke)
        except LostRace:
            return None
        return UnderWay(invoke, self._broadcast(invoke))

    def _agree_on_class(self) -> None:
        """Make sure that calls are encoded as the account's class takes them."""
        if self.wallet.cairo is not None:
            return

        async def asked(node: StarknetNode) -> list[int]:
            return [await self.wallet.class_version(node)]

        (kinds,) = self._rpc.columns(asked, str)
        if len(set(kinds)) != 1:
            raise RpcDisagrees(
                f"nodes of starknet differ on the class of our account {self.wallet.address}: "
                "nothing is signed until they agree"
            )
        self.wallet.cairo = kinds[0]

    def _next_nonce(self) -> int:
        """Return the account's next nonce, as many nodes alike as the quorum asks for say it.

        One that is too high would be stored, could never be executed, and would hold the lane.
        """

        async def asked(node: StarknetNode) -> int:
            used = await self.wallet.nonce(node, "latest")
            following = await self.wallet.nonce(node, "pre_confirmed")
            if not 0 <= following - used <= _MOST_PENDING:
                raise NodeFault(
                    f"answered {following} as our account's next nonce, of which {used} are used"
                )
            return following

        return self._rpc.agreed(asked, _same_nonce)

    def _look(self, group: Sequence[Invoke]) -> UnderWay | None:
        """Decide a nonce if the quorum says how; else make sure that a node has it."""
        nonce = group[-1].nonce

        async def asked(node: StarknetNode) -> list[_Seen]:
            # The nonce first: what is mined between the two questions is not taken for lost.
            used = await self.wallet.nonce(node, "latest")
            return [(used, await self.wallet.status(node, row.hash)) for row in group]

        def meaning(seen: _Seen) -> str:
            used, status = seen
            # Together: one node's nonce and another's missing status prove no loss.
            return f"{_outcome(status)} {used > nonce} {used < nonce}"

        told = self._rpc.columns(asked, meaning)
        known = None
        for row, column in zip(group, told, strict=True):
            seen = [status for _, status in column]
            if (state := _decided(seen)) is not None:
                self.invokes.decide(row, state)
                return None
            known = row if any(seen) else known
        if known is not None:
            return UnderWay(known)
        newest, used = group[-1], [used for used, _ in told[-1]]
        if min(used) > newest.nonce:
            self.invokes.decide(newest, TxState.LOST)
            return None
        if max(used) < newest.nonce and (earlier := self._taken_back(max(used), newest)):
            return self._look(earlier)
        return UnderWay(newest, self._broadcast(newest))

    def _taken_back(self, nonce: int, later: Invoke) -> list[Invoke]:
        """Return what a reorg took back before a transaction: it must be executed first."""
        self.invokes.reopen(self.wallet.chain_id, self.wallet.address, nonce)
        rows = self.invokes.undecided(self.wallet.chain_id, self.wallet.address)
        first = rows[0].nonce
        return [row for row in rows if row.nonce == first < later.nonce]

    def _broadcast(self, invoke: Invoke) -> RpcError | None:
        return self._rpc.ask(lambda node: self.wallet.broadcast(node, invoke.raw))


def _same_nonce(told: Sequence[int], quorum: int) -> int:
    strong = {nonce for nonce in told if told.count(nonce) >= quorum}
    if len(strong) != 1:
        raise RpcDisagrees(
            "nodes of starknet differ on the next nonce of our account "
            f"({', '.join(map(str, sorted(set(told))))}): nothing is signed until they agree"
        )
    return strong.pop()


def _outcome(status: TxStatus | None) -> str:
    return "" if status is None else f"{status.accepted} {status.reverted is not None}"


def _decided(seen: Sequence[TxStatus | None]) -> TxState | None:
    """Return what became of a transaction, if all of these say the same."""
    if not all(status is not None and status.accepted for status in seen):
        return None
    failed = {status.reverted is not None for status in seen if status is not None}
    if len(failed) > 1:
        return None
    return TxState.REVERTED if True in failed else TxState.MINED


def _helps(raw: bytes, over: UnderWay) -> bool:
    """Return whether a new transaction fixes what an earlier one was refused for."""
    code = over.refused.code if over.refused else None
    if code in _PRICE_TOO_LOW:
        return any(new > old for new, old in zip(prices(raw), prices(over.invoke.raw), strict=True))
    if code == _BALANCE_TOO_LOW:
        return at_most(raw) < at_most(over.invoke.raw)
    return True
