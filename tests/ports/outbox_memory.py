"""The outbox of the store in memory: the port `Outbox`, but for the lane."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from mmbot_pipelines.bridge.journal import Fault
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import TxHash, Wei
from mmbot_pipelines.core.outbox import Outcome, Receipt, Transaction, TxState
from tests.ports.lane_memory import check_step


class OutboxMemory:
    """What became of transactions; orders and errors are the store's."""

    outbox: list[Transaction]
    stored: dict[str, Order]
    refunds_due: dict[TxHash, datetime]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        raise NotImplementedError
        yield

    def wait_for(self, keys: Sequence[str]) -> None:
        raise NotImplementedError

    def write_transition(
        self,
        before: Order,
        after: Order,
        *,
        run_id: str,
        at: datetime,
        tx: TxHash | None,
        fault: Fault | None,
    ) -> Order:
        raise NotImplementedError

    def record_error(self, fault: Fault, *, at: datetime, run_id: str) -> None:
        raise NotImplementedError

    # the port

    def transactions(self, key: str) -> list[Transaction]:
        with self.transaction():
            return [row for row in self.outbox if row.subject == key]

    def in_flight(self) -> list[Transaction]:
        with self.transaction():
            return _sorted(row for row in self.outbox if row.state is TxState.STORED)

    def mined_since(self, block: int) -> list[Transaction]:
        with self.transaction():
            return _sorted(row for row in self.outbox if row.block and row.block.number >= block)

    def decide(
        self,
        outcome: Outcome,
        before: Order | None,
        after: Order | None,
        *,
        run_id: str,
        at: datetime,
        fault: Fault | None = None,
    ) -> None:
        decided = outcome.transaction
        others = TxState.LOST if outcome.state is TxState.LOST else TxState.REPLACED
        with self.transaction():
            rivals = [
                row.hash
                for row in self.outbox
                if _same_nonce(row, decided) and row.state is TxState.STORED
            ]
            if outcome.misses_any_of(tx for tx in rivals if tx != decided.hash):
                raise ConcurrentUpdate(
                    f"{decided.subject}: nonce {decided.nonce} was replaced meanwhile"
                )
            self._step(decided, before, after, run_id=run_id, at=at, fault=fault, undecided=True)
            for i, row in enumerate(self.outbox):
                if row.hash == decided.hash:
                    self.outbox[i] = _mined(replace(row, state=outcome.state), outcome.receipt)
                elif _same_nonce(row, decided) and row.state is TxState.STORED:
                    self.outbox[i] = replace(row, state=others)

    def unrefunded(self, origin: str, *, at: datetime, max_rows: int) -> list[Transaction]:
        with self.transaction():
            rows = [
                row
                for row in self.outbox
                if (row.purpose, row.state, row.refund) == (REPAY, TxState.MINED, None)
                and row.subject.startswith(f"{origin}:")
                and self._due(row) <= at
            ]
            return sorted(rows, key=self._due)[:max_rows]

    def postpone_refunds(self, due: Mapping[TxHash, datetime]) -> None:
        with self.transaction():
            for row in self.outbox:
                if row.hash in due and row.refund is None:
                    self.refunds_due[row.hash] = due[row.hash]

    def _due(self, row: Transaction) -> datetime:
        return self.refunds_due.get(row.hash, datetime.fromtimestamp(0, UTC))

    def refund(self, claim: Transaction, refund: Wei) -> None:
        with self.transaction():
            i = self._place(claim, undecided=False)
            if self.outbox[i].refund is not None:
                raise ConcurrentUpdate(f"{claim.subject}: transaction {claim.hash} has its refund")
            self.outbox[i] = replace(self.outbox[i], refund=refund)

    def move_to_block(self, mined: Transaction, receipt: Receipt) -> None:
        with self.transaction():
            i = self._place(mined, undecided=False)
            self.outbox[i] = _mined(self.outbox[i], receipt)
            self.refunds_due.pop(mined.hash, None)

    def reopen_nonce(
        self,
        mined: Transaction,
        before: Order | None,
        after: Order | None,
        *,
        run_id: str,
        at: datetime,
        fault: Fault | None = None,
    ) -> None:
        with self.transaction():
            self._step(mined, before, after, run_id=run_id, at=at, fault=fault, undecided=False)
            for i, row in enumerate(self.outbox):
                if _same_nonce(row, mined):
                    stored = replace(row, state=TxState.STORED, stored_at=at)
                    self.outbox[i] = _mined(stored, None)
                    self.refunds_due.pop(row.hash, None)

    def _place(self, row: Transaction, *, undecided: bool) -> int:
        for i, now in enumerate(self.outbox):
            as_read = (now.state, now.block) == (row.state, row.block)
            if now.hash == row.hash and (now.state is TxState.STORED if undecided else as_read):
                return i
        raise ConcurrentUpdate(
            f"{row.subject}: transaction {row.hash} was decided by somebody else"
        )

    def _step(
        self,
        row: Transaction,
        before: Order | None,
        after: Order | None,
        *,
        run_id: str,
        at: datetime,
        fault: Fault | None,
        undecided: bool,
    ) -> None:
        if before is None or after is None:
            self._place(row, undecided=undecided)
            if fault is not None:
                self.record_error(fault, at=at, run_id=run_id)
            return
        self.wait_for([before.key])
        self._place(row, undecided=undecided)
        check_step(self.stored.get(before.key), before, after)
        self.write_transition(before, after, run_id=run_id, at=at, tx=row.hash, fault=fault)


def _same_nonce(row: Transaction, other: Transaction) -> bool:
    place = (row.chain_id, row.wallet, row.nonce, row.subject)
    return place == (other.chain_id, other.wallet, other.nonce, other.subject)


def _mined(row: Transaction, receipt: Receipt | None) -> Transaction:
    return replace(
        row,
        block=receipt.block if receipt else None,
        gas_used=receipt.gas_used if receipt else None,
        gas_price=receipt.gas_price if receipt else None,
        refund=None,
    )


def _sorted(rows: Iterator[Transaction]) -> list[Transaction]:
    return sorted(rows, key=lambda row: (row.nonce, row.bump))
