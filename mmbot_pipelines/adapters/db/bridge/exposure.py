"""The port `Accounts` on Postgres: what was spent, and how work ended."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    Connection,
    Engine,
    Select,
    Text,
    and_,
    any_,
    func,
    literal,
    literal_column,
    select,
    union,
    union_all,
)

from mmbot_pipelines.adapters.db.bridge import wallets
from mmbot_pipelines.adapters.db.columns import Instant
from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.orders import errors, order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import (
    origin_of_transaction,
    transaction_parts,
    transactions,
)
from mmbot_pipelines.bridge.ports.accounts import (
    BATCH_FAULTS,
    PROVEN,
    REPAY,
    TRANSFER,
    BalanceMark,
    Finished,
    WalletMark,
)
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import TxState


class PgAccounts:
    """The port `Accounts` on Postgres.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def gas_lost(self, *, since: datetime) -> Wei:
        """Sum what transactions stored since then paid for gas and reverted, in wei."""
        lost = select(func.sum(transactions.c.gas_used * transactions.c.gas_price)).where(
            transactions.c.stored_at > since,
            transactions.c.state == TxState.REVERTED.value,
        )
        with transaction(self._engine) as connection:
            return Wei(int(connection.scalar(lost) or 0))

    def gas_used(self, purpose: str, origin: str, *, max_count: int) -> list[Gas]:
        """Return what the newest mined transactions of a kind used, newest first."""
        newest = (
            select(transactions.c.gas_used)
            .where(
                transactions.c.state == TxState.MINED.value,
                transactions.c.purpose == purpose,
                origin_of_transaction == origin,
                transactions.c.parts == 0,  # a batch says nothing about one order alone
            )
            .order_by(transactions.c.id.desc())
            .limit(max_count)
        )
        with transaction(self._engine) as connection:
            return [Gas(int(gas)) for gas in connection.scalars(newest)]

    def last_claim_succeeded(self, origin: str) -> bool:
        """Return whether the newest claim of an origin that is in a block did not revert."""
        # Two questions, each with an index of its own.
        newest = {
            state: select(func.max(transactions.c.id)).where(
                transactions.c.state == literal(state.value, literal_execute=True),
                transactions.c.purpose == REPAY,
                origin_of_transaction == origin,
            )
            for state in (TxState.MINED, TxState.REVERTED)
        }
        with transaction(self._engine) as connection:
            mined = connection.scalar(newest[TxState.MINED])
            reverted = connection.scalar(newest[TxState.REVERTED])
        return mined is not None and (reverted is None or reverted < mined)

    def batch_failed(self, origin: str, *, since: datetime) -> bool:
        """Return whether a claim of several of the origin's orders came to nothing since then."""
        # one question a kind, for an index leads to each
        kinds = [
            select(errors.c.id).where(
                errors.c.step == step,
                errors.c.kind == kind,
                errors.c.at > since,
                errors.c.subject.like(f"{origin}:%+%"),
            )
            for step, kind in BATCH_FAULTS
        ]
        with transaction(self._engine) as connection:
            return connection.scalar(union_all(*kinds).limit(1)) is not None

    def finished(
        self, counted: Sequence[tuple[str, str]], *, since: datetime | None, max_count: int
    ) -> list[Finished]:
        """Return the newest steps that a chain has proven or that failed, newest first."""
        with transaction(self._engine) as connection:
            return _finished(connection, counted, since=since, max_count=max_count)

    def spent(self, chain_id: int, wallet: Address, *, first: int, end: int) -> Wei | None:
        """Sum what our mined transactions of nonces `first` to below `end` took, in wei."""
        with transaction(self._engine) as connection:
            return wallets.spent(connection, chain_id, wallet, first=first, end=end)

    def balance_mark(self, chain_id: int, wallet: Address) -> BalanceMark | None:
        """Return the wallet's newest explained balance, None before the first."""
        with transaction(self._engine) as connection:
            return wallets.balance_mark(connection, chain_id, wallet)

    def wallet_marks(self) -> list[WalletMark]:
        """Return the newest explained balance of every wallet that the bot has ever had."""
        with transaction(self._engine) as connection:
            return wallets.wallet_marks(connection)

    def mark_balance(self, chain_id: int, wallet: Address, mark: BalanceMark) -> None:
        """Store the wallet's newest explained balance."""
        with transaction(self._engine) as connection:
            wallets.mark_balance(connection, chain_id, wallet, mark)


def paid_since(at: datetime) -> Select[Any]:
    """Sum by recipient what transfers that were stored since then pay, or may pay."""
    lately = and_(
        transactions.c.state.in_([TxState.STORED.value, TxState.MINED.value]),
        transactions.c.stored_at > at,
    )
    part = transaction_parts.c
    # a union, for an order counts once, however often its transfer was replaced
    paid = union(
        select(transactions.c.subject).where(transactions.c.purpose == TRANSFER, lately),
        select(part.subject)
        .join(transactions, transactions.c.id == part.transaction_id)
        .where(part.purpose == TRANSFER, ~part.failed, transactions.c.parts > 0, lately),
    )
    return (
        select(orders.c.recipient, func.sum(orders.c.amount))
        # as an array, for of what a join brings Postgres expects too much, and reads all
        .where(orders.c.key == any_(func.array(paid.scalar_subquery(), type_=ARRAY(Text))))
        .group_by(orders.c.recipient)
    )


def _finished(
    connection: Connection,
    counted: Sequence[tuple[str, str]],
    *,
    since: datetime | None,
    max_count: int,
) -> list[Finished]:
    came = order_events.c.before.is_distinct_from(order_events.c.after)
    good = select(order_events.c.key.label("key"), order_events.c.at, literal(False).label("bad"))
    bad = select(errors.c.subject.label("key"), errors.c.at, literal(True).label("bad"))
    # one question a kind, so that an index leads to the newest of each
    kinds = [good.where(order_events.c.after == status.value, came) for status in PROVEN]
    kinds += [bad.where(errors.c.step == step, errors.c.kind == kind) for step, kind in counted]
    at = literal_column("at", Instant)
    newest = [
        (query if since is None else query.where(at > since))
        .order_by(at.desc())
        .limit(max_count)
        .subquery()
        .select()
        for query in kinds
    ]
    both = union_all(*newest).subquery()
    rows = connection.execute(
        select(both).order_by(both.c.at.desc(), both.c.bad.desc(), both.c.key).limit(max_count)
    )
    return [Finished(key=row.key, at=row.at, failed=row.bad) for row in rows]
