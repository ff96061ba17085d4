"""The outbox in Postgres: what was sent, and what became of it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    and_,
    bindparam,
    literal_column,
    select,
    update,
)

from mmbot_pipelines.adapters.db.bridge.rows import receipt_values, transaction_of
from mmbot_pipelines.adapters.db.bridge.transitions import write_errors, write_transition
from mmbot_pipelines.adapters.db.bridge.wallet_lane import PgLane, hold_lane
from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.outbox import origin_of_transaction, transactions
from mmbot_pipelines.bridge.journal import Fault
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Outcome, Receipt, Transaction, TxState

_STORED = transactions.c.state == TxState.STORED.value
_BY_NONCE = (transactions.c.nonce, transactions.c.bump, transactions.c.id)


class PgOutbox:
    """The port `Outbox` on Postgres: every method is one database transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def lane(self, chain_id: int, wallet: Address) -> AbstractContextManager[PgLane]:
        """Hold the wallet's lane; leaving it commits, an exception takes all of it back."""
        return hold_lane(self._engine, chain_id, wallet)

    def transactions(self, key: str) -> list[Transaction]:
        """Return all transactions of an order, oldest first."""
        of_order = transactions.c.subject == key
        return self._transactions(select(transactions).where(of_order).order_by(transactions.c.id))

    def in_flight(self) -> list[Transaction]:
        """List all undecided transactions, lowest nonce first."""
        return self._transactions(select(transactions).where(_STORED).order_by(*_BY_NONCE))

    def mined_since(self, block: int) -> list[Transaction]:
        """List what was mined or reverted in block `block` or later, lowest nonce first."""
        since = transactions.c.block_number >= block
        return self._transactions(select(transactions).where(since).order_by(*_BY_NONCE))

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
        """Write what became of a nonce and the step it means for its order, together.

        Raises:
            ConcurrentUpdate: the order or the transaction was changed since; nothing was written.
        """
        decided = outcome.transaction
        others = TxState.LOST if outcome.state is TxState.LOST else TxState.REPLACED
        with transaction(self._engine) as connection:
            _write(
                connection,
                decided,
                _STORED,
                {"state": outcome.state.value} | receipt_values(outcome.receipt),
            )
            # Only now: a replacement that was stored at the same moment is seen by this update.
            rivals = connection.scalars(
                update(transactions)
                .where(_of_nonce(decided), _STORED)
                .values(state=others.value)
                .returning(transactions.c.hash)
            )
            if outcome.misses_any_of(rivals):
                raise ConcurrentUpdate(
                    f"{decided.subject}: nonce {decided.nonce} was replaced meanwhile"
                )
            _step(connection, decided, before, after, run_id=run_id, at=at, fault=fault)

    def unrefunded(self, origin: str, *, at: datetime, max_rows: int) -> list[Transaction]:
        """List mined claims whose refunds are unknown and due, those that are due longest first."""
        claims = and_(
            transactions.c.state == TxState.MINED.value,
            transactions.c.purpose == literal_column(f"'{REPAY}'"),
            transactions.c.refund.is_(None),
            origin_of_transaction == origin,
            transactions.c.refund_due_at <= at,
        )
        order = transactions.c.refund_due_at, transactions.c.id
        return self._transactions(
            select(transactions).where(claims).order_by(*order).limit(max_rows)
        )

    def postpone_refunds(self, due: Mapping[TxHash, datetime]) -> None:
        """Write when the refunds of these claims, which are unknown still, are due again."""
        if not due:
            return
        unknown = transactions.c.hash == bindparam("claim"), transactions.c.refund.is_(None)
        rows = [{"claim": tx, "due": at} for tx, at in sorted(due.items())]
        with transaction(self._engine) as connection:
            connection.execute(
                update(transactions).where(*unknown).values(refund_due_at=bindparam("due")), rows
            )

    def refund(self, claim: Transaction, refund: Wei) -> None:
        """Write what a mined claim's message gave back on the L2, in wei.

        Raises:
            ConcurrentUpdate: it was changed since, or has its refund; nothing was written.
        """
        unknown = and_(_as_read(claim), transactions.c.refund.is_(None))
        with transaction(self._engine) as connection:
            _write(connection, claim, unknown, {"refund": refund})

    def move_to_block(self, mined: Transaction, receipt: Receipt) -> None:
        """Write that a transaction stands in another block now, with the same success.

        Raises:
            ConcurrentUpdate: it was changed since; nothing was written.
        """
        with transaction(self._engine) as connection:
            _write(connection, mined, _as_read(mined), receipt_values(receipt))

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
        """Make all rows of a nonce undecided again, stored at `at`, with the order's step.

        Raises:
            ConcurrentUpdate: the order or the transaction was changed since; nothing was written.
        """
        undecided = {"state": TxState.STORED.value, "stored_at": at} | receipt_values(None)
        with transaction(self._engine) as connection:
            _write(connection, mined, _as_read(mined), undecided)
            connection.execute(update(transactions).where(_of_nonce(mined)).values(**undecided))
            _step(connection, mined, before, after, run_id=run_id, at=at, fault=fault)

    def _transactions(self, query: Select[Any]) -> list[Transaction]:
        return [transaction_of(row) for row in self._read(query)]

    def _read(self, query: Select[Any]) -> Iterable[Any]:
        with transaction(self._engine) as connection:
            return connection.execute(query).all()


def _write(
    connection: Connection, row: Transaction, only: ColumnElement[bool], values: dict[str, object]
) -> None:
    written = connection.scalar(
        update(transactions)
        .where(transactions.c.hash == row.hash, only)
        .values(**values)
        .returning(transactions.c.id)
    )
    if written is None:
        raise ConcurrentUpdate(
            f"{row.subject}: transaction {row.hash} was decided by somebody else"
        )


def _as_read(row: Transaction) -> ColumnElement[bool]:
    return and_(
        transactions.c.state == row.state.value,
        transactions.c.block_hash == (row.block and row.block.hash),
    )


def _of_nonce(row: Transaction) -> ColumnElement[bool]:
    return and_(
        transactions.c.chain_id == row.chain_id,
        transactions.c.wallet == row.wallet,
        transactions.c.nonce == row.nonce,
        transactions.c.subject == row.subject,
    )


def _step(
    connection: Connection,
    row: Transaction,
    before: Order | None,
    after: Order | None,
    *,
    run_id: str,
    at: datetime,
    fault: Fault | None,
) -> None:
    if before is not None and after is not None:
        write_transition(connection, before, after, run_id=run_id, at=at, tx=row.hash, fault=fault)
    elif fault is not None:
        write_errors(connection, [fault], at=at, run_id=run_id)
