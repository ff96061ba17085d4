"""The twin of `PgInvokes` in memory."""

from collections.abc import Sequence
from dataclasses import replace

from mmbot_pipelines.core.errors import LostRace
from mmbot_pipelines.core.invokes import Invoke
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.outbox import TxState


class InvokesMemory:
    """The port `Invokes`; `rows` are in the order in which they were stored."""

    def __init__(self) -> None:
        self.rows: list[Invoke] = []

    def undecided(self, chain_id: int, wallet: Address) -> list[Invoke]:
        rows = [r for r in self._of(chain_id, wallet) if r.state is TxState.STORED]
        return sorted(rows, key=lambda r: (r.nonce, r.bump))

    def newest(self, chain_id: int, wallet: Address) -> Invoke | None:
        rows = self._of(chain_id, wallet)
        return max(rows, key=lambda r: (r.nonce, r.bump), default=None)

    def reverted(self, subjects: Sequence[str]) -> list[Invoke]:
        wanted = set(subjects)
        return [
            r for r in self.rows if r.state is TxState.REVERTED and wanted.intersection(r.subjects)
        ]

    def store(self, invoke: Invoke) -> None:
        rows = [
            r
            for r in self._of(invoke.chain_id, invoke.wallet)
            if r.nonce >= invoke.nonce or r.state is TxState.STORED
        ]
        stored = (invoke.nonce, TxState.STORED)
        if any((r.nonce, r.state) != stored or r.bump == invoke.bump for r in rows):
            raise LostRace(f"nonce {invoke.nonce} of {invoke.wallet} cannot be given out now")
        self.rows.append(invoke)

    def decide(self, invoke: Invoke, state: TxState) -> None:
        others = TxState.LOST if state is TxState.LOST else TxState.REPLACED
        row = next(r for r in self.rows if r.hash == invoke.hash)
        if row.state is not TxState.STORED:
            raise LostRace(f"{invoke.hash} was decided by somebody else")
        for rival in self._of(invoke.chain_id, invoke.wallet):
            if rival.nonce == invoke.nonce and rival.state is TxState.STORED:
                self._set(rival, state if rival.hash == invoke.hash else others)

    def reopen(self, chain_id: int, wallet: Address, nonce: int) -> None:
        for row in self._of(chain_id, wallet):
            if row.nonce >= nonce:
                self._set(row, TxState.STORED)

    def _of(self, chain_id: int, wallet: Address) -> list[Invoke]:
        return [r for r in self.rows if (r.chain_id, r.wallet) == (chain_id, wallet)]

    def _set(self, row: Invoke, state: TxState) -> None:
        self.rows[self.rows.index(row)] = replace(row, state=state)
