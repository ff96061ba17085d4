"""The outbox in Postgres: the ports `OutboxReads`, `Outbox` and `Lane`, whose docstrings hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    any_,
    bindparam,
    func,
    insert,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.engine import Rows, rows_within
from mmbot_pipelines.adapters.db.outbox_rows import (
    STORED,
    part_values,
    receipt_values,
    transaction_of,
    transaction_values,
)
from mmbot_pipelines.adapters.db.tables.outbox import (
    may_claim,
    origin_of_transaction,
    transaction_parts,
    transactions,
)
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import DELEGATE, Outcome, Receipt, Transaction, TxState

_STORED = transactions.c.state == TxState.STORED.value
_UNDECIDED = update(transactions).where(transactions.c.hash == bindparam("was"), _STORED)
# The others that are undecided at a nonce.
_RIVALS = update(transactions).where(
    transactions.c.chain_id == bindparam("on"),
    transactions.c.wallet == bindparam("of"),
    transactions.c.nonce == bindparam("at"),
    transactions.c.subject == bindparam("for"),
    _STORED,
)
_FAILED_PARTS = (
    update(transaction_parts)
    .where(
        transaction_parts.c.transaction_id
        == select(transactions.c.id)
        .where(transactions.c.hash == bindparam("mined"))
        .scalar_subquery()
    )
    .values(failed=transaction_parts.c.position == any_(bindparam("bad", type_=ARRAY(Integer))))
)
_BY_NONCE = (transactions.c.nonce, transactions.c.bump, transactions.c.id)


class PgOutboxReads:
    """Questions about transactions."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def of(self, subject: str) -> list[Transaction]:
        # each half has an index of its own: an OR of both would read every row
        named = union_all(
            select(transactions.c.id).where(transactions.c.subject == subject),
            select(transaction_parts.c.transaction_id).where(
                transaction_parts.c.subject == subject
            ),
        )
        served = transactions.c.id.in_(named)
        return self._transactions(STORED.where(served).order_by(transactions.c.id))

    def in_flight(self) -> list[Transaction]:
        return self._transactions(STORED.where(_STORED).order_by(*_BY_NONCE))

    def mined_since(self, block: int) -> list[Transaction]:
        since = transactions.c.block_number >= block
        return self._transactions(STORED.where(since).order_by(*_BY_NONCE))

    def unrefunded(self, origin: str, *, at: datetime, max_rows: int) -> list[Transaction]:
        due = and_(
            transactions.c.state == TxState.MINED.value,
            may_claim,
            transactions.c.refund.is_(None),
            origin_of_transaction == origin,
            transactions.c.refund_due_at <= at,
        )
        turn = transactions.c.refund_due_at, transactions.c.id
        return self._transactions(STORED.where(due).order_by(*turn).limit(max_rows))

    def _transactions(self, query: Select[Any]) -> list[Transaction]:
        return [transaction_of(row) for row in self._rows(query)]


class PgOutbox(PgOutboxReads):
    """The transactions within one transaction of the database."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(rows_within(connection))
        self._connection = connection

    def lock_lane(self, chain_id: int, wallet: Address) -> "PgLane":
        key = lock_key(chain_id, wallet)
        self._connection.execute(select(func.pg_advisory_xact_lock(key)))
        return PgLane(self._connection, chain_id, wallet)

    def decide(self, decided: Sequence[Outcome]) -> None:
        rows = [
            {"was": o.transaction.hash, "state": o.state.value} | receipt_values(o.receipt)
            for o in decided
        ]
        # First, for triggers count what a transaction did when its state is written.
        self._write_parts([o.transaction for o in decided if o.state is TxState.MINED])
        if self._connection.execute(_UNDECIDED, rows).rowcount != len(rows):
            subjects = ", ".join(o.transaction.subject for o in decided)
            raise ConcurrentUpdate(f"{subjects}: a transaction was decided by somebody else")
        # Only now: a replacement that was stored at the same moment is seen by this update.
        lost = [o for o in decided if o.state is TxState.LOST]
        others = [_nonce_values(o.transaction) for o in decided if o.state is not TxState.LOST]
        if others:
            self._connection.execute(_RIVALS.values(state=TxState.REPLACED.value), others)
        for outcome in lost:
            row = outcome.transaction
            rivals = self._connection.scalars(
                _RIVALS.values(state=TxState.LOST.value).returning(transactions.c.hash),
                _nonce_values(row),
            )
            if outcome.misses_any_of(rivals):
                raise ConcurrentUpdate(f"{row.subject}: nonce {row.nonce} was replaced meanwhile")

    def reopen_nonce(self, row: Transaction, *, at: datetime) -> None:
        undecided = {"state": TxState.STORED.value, "stored_at": at} | receipt_values(None)
        self._write(row, _as_read(row), undecided)
        self._connection.execute(update(transactions).where(_of_nonce(row)).values(**undecided))
        of_nonce = select(transactions.c.id).where(_of_nonce(row))
        self._connection.execute(
            update(transaction_parts)
            .where(transaction_parts.c.transaction_id.in_(of_nonce), transaction_parts.c.failed)
            .values(failed=False)
        )

    def move_to_block(self, mined: Transaction, receipt: Receipt) -> None:
        self._write(mined, _as_read(mined), receipt_values(receipt))

    def set_refund(self, mined: Transaction, refund: Wei) -> None:
        unknown = and_(_as_read(mined), transactions.c.refund.is_(None))
        self._write(mined, unknown, {"refund": refund})

    def postpone_refunds(self, due: Mapping[TxHash, datetime]) -> None:
        if not due:
            return
        unknown = transactions.c.hash == bindparam("mined"), transactions.c.refund.is_(None)
        rows = [{"mined": tx, "due": at} for tx, at in sorted(due.items())]
        self._connection.execute(
            update(transactions).where(*unknown).values(refund_due_at=bindparam("due")), rows
        )

    def _write_parts(self, mined: Sequence[Transaction]) -> None:
        rows = [
            {"mined": row.hash, "bad": [i for i, part in enumerate(row.batch) if part.failed]}
            for row in mined
            if row.batch
        ]
        if rows:
            self._connection.execute(_FAILED_PARTS, rows)

    def _write(
        self, row: Transaction, only: ColumnElement[bool], values: dict[str, object]
    ) -> None:
        written = self._connection.scalar(
            update(transactions)
            .where(transactions.c.hash == row.hash, only)
            .values(**values)
            .returning(transactions.c.id)
        )
        if written is None:
            raise ConcurrentUpdate(
                f"{row.subject}: transaction {row.hash} was decided by somebody else"
            )


@dataclass(frozen=True, slots=True)
class PgLane:
    """A wallet's nonces, held until the transaction ends."""

    connection: Connection
    chain_id: int
    wallet: Address

    def next_nonce(self, chain_nonce: int) -> int:
        newest = self.connection.execute(
            select(transactions.c.nonce, transactions.c.purpose)
            .where(self._ours())
            .order_by(transactions.c.nonce.desc(), transactions.c.bump.desc())
            .limit(1)
        ).first()
        if newest is None:
            return chain_nonce
        used = 2 if newest.purpose == DELEGATE else 1
        return max(chain_nonce, int(newest.nonce) + used)

    def next_bump(self, nonce: int) -> int:
        of_nonce = and_(self._ours(), transactions.c.nonce == nonce)
        subjects = select(transactions.c.subject).where(of_nonce)
        # two questions, each with an index of its own: an OR of both would read every row
        alternatives = (of_nonce, transactions.c.subject.in_(subjects))
        highest = [
            self.connection.scalar(select(func.max(transactions.c.bump)).where(rows))
            for rows in alternatives
        ]
        return max((bump + 1 for bump in highest if bump is not None), default=0)

    def in_flight(self) -> list[Transaction]:
        rows = self.connection.execute(
            STORED.where(self._ours(), _STORED).order_by(transactions.c.nonce, transactions.c.bump)
        )
        return [transaction_of(row) for row in rows]

    def add(self, *sent: Transaction) -> None:
        for row in sent:
            if (row.chain_id, row.wallet) != (self.chain_id, self.wallet):
                raise ValueError(f"{row.subject}: not a transaction of this lane's wallet")
        rows = self.connection.execute(
            postgresql.insert(transactions)
            .on_conflict_do_nothing()
            .returning(transactions.c.hash, transactions.c.id),
            [transaction_values(row) for row in sent],
        )
        stored = {row.hash: row.id for row in rows}
        for row in sent:
            if row.hash not in stored:
                raise ConcurrentUpdate(
                    f"{row.subject}: {row.purpose} {row.attempt} or nonce {row.nonce} has a "
                    "transaction already"
                )
        if parts := [values for row in sent for values in part_values(stored[row.hash], row)]:
            self.connection.execute(insert(transaction_parts), parts)

    def add_replacement(self, transaction: Transaction) -> None:
        # locked: what is decided at this moment waits, and decides about this one too
        rows = self.connection.execute(
            select(transactions.c.subject, transactions.c.state)
            .where(self._ours(), transactions.c.nonce == transaction.nonce)
            .with_for_update()
        ).all()
        open_ = {True: TxState.STORED.value, False: TxState.LOST.value}
        if any(row.state != open_[row.subject == transaction.subject] for row in rows):
            raise ConcurrentUpdate(f"{transaction.subject}: nonce {transaction.nonce} is decided")
        self.add(transaction)

    def _ours(self) -> ColumnElement[bool]:
        return and_(transactions.c.chain_id == self.chain_id, transactions.c.wallet == self.wallet)


def lock_key(chain_id: int, wallet: Address) -> int:
    """Return the advisory lock's key of a wallet's lane."""
    # pg_advisory_xact_lock takes a signed 64-bit number (Postgres manual, 9.28.10)
    name = f"{chain_id}:{wallet.lower()}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), signed=True)


def _as_read(row: Transaction) -> ColumnElement[bool]:
    return and_(
        transactions.c.state == row.state.value,
        transactions.c.block_hash == (row.block and row.block.hash),
    )


def _nonce_values(row: Transaction) -> dict[str, object]:
    return {"on": row.chain_id, "of": row.wallet, "at": row.nonce, "for": row.subject}


def _of_nonce(row: Transaction) -> ColumnElement[bool]:
    return and_(
        transactions.c.chain_id == row.chain_id,
        transactions.c.wallet == row.wallet,
        transactions.c.nonce == row.nonce,
        transactions.c.subject == row.subject,
    )
