"""The twin of `PgInvokes` in memory."""

from collections.abc import Sequence
from dataclasses import replace

from mmbot_pipelines.adapters.starknet.invokes import Invoke
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import TxState

EXECUTED = (TxState.MINED, TxState.REVERTED)


class InvokesMemory:
    """The port `Invokes`; `rows` are in the order in which they were stored."""

    def __init__(self) -> None:
        self.rows: list[Invoke] = []

    def undecided(self, chain_id: int, wallet: Address) -> list[Invoke]:
        rows = [r for r in self._of(chain_id, wallet) if r.state is TxState.STORED]
        return sorted(rows, key=lambda r: (r.nonce, r.bump))

    def newest(self, chain_id: int, wallet: Address) -> Invoke | None:
        rows = [r for r in self._of(chain_id, wallet) if r.ahead_of is None]
        return max(rows, key=lambda r: (r.nonce, r.bump), default=None)

    def too_high(self, chain_id: int, wallet: Address) -> list[Invoke]:
        rows = [r for r in self._of(chain_id, wallet) if r.ahead_of is not None]
        return sorted(rows, key=lambda r: (r.nonce, r.bump))

    def lost(self, hashes: Sequence[TxHash]) -> set[TxHash]:
        return {r.hash for r in self.rows if r.hash in hashes and r.state is TxState.LOST}

    def of(self, subjects: Sequence[str]) -> list[Invoke]:
        return [r for r in self.rows if set(subjects).intersection(r.subjects)]

    def reverted(self, subjects: Sequence[str]) -> list[Invoke]:
        wanted = set(subjects)
        return [
            r for r in self.rows if r.state is TxState.REVERTED and wanted.intersection(r.subjects)
        ]

    def store(self, invoke: Invoke) -> None:
        ours = self._of(invoke.chain_id, invoke.wallet)
        again = [r for r in ours if r.ahead_of is not None and r.nonce == invoke.nonce]
        rows = [
            r
            for r in ours
            if r.ahead_of is None and (r.nonce >= invoke.nonce or r.state is TxState.STORED)
        ]
        stored = (invoke.nonce, TxState.STORED)
        taken = [r.bump for r in (*rows, *again)]
        if any((r.nonce, r.state) != stored for r in rows) or invoke.bump in taken:
            raise ConcurrentUpdate(
                f"nonce {invoke.nonce} of {invoke.wallet} cannot be given out now"
            )
        for row in again:
            self._set(row, TxState.STORED)
        self.rows.append(invoke)

    def decide(self, invoke: Invoke, state: TxState, *, ahead_of: int | None = None) -> None:
        others = TxState.LOST if state is TxState.LOST else TxState.REPLACED
        row = next(r for r in self.rows if r.hash == invoke.hash)
        if row.state is not TxState.STORED:
            raise ConcurrentUpdate(f"{invoke.hash} was decided by somebody else")
        for rival in self._of(invoke.chain_id, invoke.wallet):
            if rival.nonce == invoke.nonce and rival.state is TxState.STORED:
                self._set(rival, state if rival.hash == invoke.hash else others, ahead_of)

    def reopen(self, chain_id: int, wallet: Address, nonce: int) -> None:
        for row in self._of(chain_id, wallet):
            if row.nonce >= nonce and row.ahead_of is None:
                self._set(row, TxState.STORED)

    def revive(self, chain_id: int, wallet: Address, below: int) -> None:
        for row in self.too_high(chain_id, wallet):
            if row.nonce < below:
                self._set(row, TxState.STORED)

    def unpriced(self, chain_id: int, wallet: Address, *, max_rows: int) -> list[Invoke]:
        rows = [r for r in self._of(chain_id, wallet) if r.state in EXECUTED and r.fee is None]
        return rows[:max_rows]

    def price(self, invoke: Invoke, fee: int) -> None:
        row = next(r for r in self.rows if r.hash == invoke.hash)
        if row.state not in EXECUTED or row.fee is not None:
            raise ConcurrentUpdate(f"the fee of {invoke.hash} was written by somebody else")
        self.rows[self.rows.index(row)] = replace(row, fee=fee)

    def _of(self, chain_id: int, wallet: Address) -> list[Invoke]:
        return [r for r in self.rows if (r.chain_id, r.wallet) == (chain_id, wallet)]

    def _set(self, row: Invoke, state: TxState, ahead_of: int | None = None) -> None:
        changed = replace(row, state=state, ahead_of=ahead_of, fee=None)
        self.rows[self.rows.index(row)] = changed
