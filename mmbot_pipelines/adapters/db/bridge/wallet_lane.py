"""A wallet's lane: whoever holds it gives out nonces, one database transaction at a time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Engine,
    Text,
    and_,
    any_,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql

from mmbot_pipelines.adapters.db.bridge.exposure import exposure, held_back, paid_since
from mmbot_pipelines.adapters.db.bridge.rows import order_of, transaction_of, transaction_values
from mmbot_pipelines.adapters.db.bridge.transitions import write_transition
from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.safety import lock_scope_states, read_scope_states
from mmbot_pipelines.adapters.db.tables.orders import orders
from mmbot_pipelines.adapters.db.tables.outbox import transactions
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Transaction, TxState
from mmbot_pipelines.core.safety import ScopeState


@contextmanager
def hold_lane(engine: Engine, chain_id: int, wallet: Address) -> Iterator["PgLane"]:
    """Wait for the wallet's lane and hold it; leaving commits, an exception takes it all back."""
    with transaction(engine) as connection:
        connection.execute(select(func.pg_advisory_xact_lock(lock_key(chain_id, wallet))))
        yield PgLane(connection, chain_id, wallet)


def lock_key(chain_id: int, wallet: Address) -> int:
    """Return the advisory lock's key of a wallet's lane."""
    # pg_advisory_xact_lock takes a signed 64-bit number (Postgres manual, 9.28.10)
    name = f"{chain_id}:{wallet.lower()}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), signed=True)


@dataclass(frozen=True, slots=True)
class PgLane:
    """The port `Lane` within one database transaction."""

    connection: Connection
    chain_id: int
    wallet: Address

    def lock_orders(self, wanted: Sequence[Order]) -> list[Order]:
        """Lock the rows that nobody changed since they were read, and return them."""
        keys = literal([order.key for order in wanted], ARRAY(Text))
        # in the order of keys, so that two lanes never wait for each other in a circle
        rows = self.connection.execute(
            select(orders)
            .where(orders.c.key == any_(keys))
            .order_by(orders.c.key)
            .with_for_update()
        )
        stored = {order.key: order for order in map(order_of, rows)}
        return [
            stored[order.key]
            for order in wanted
            if order.key in stored and stored[order.key].version == order.version
        ]

    def next_nonce(self, chain_nonce: int) -> int:
        """Return the first nonce that neither the chain nor the outbox has used.

        A lost transaction's nonce counts too: another one has used it on chain, even if
        the node that was asked for `chain_nonce` does not know it yet.
        """
        highest = self.connection.scalar(select(func.max(transactions.c.nonce)).where(self._ours()))
        return chain_nonce if highest is None else max(chain_nonce, highest + 1)

    def next_bump(self, nonce: int) -> int:
        """Return the first bump that a nonce does not have, nor its subjects at another one.

        A subject's transfer and claim may both be cancelled in one attempt.
        """
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
        """List the wallet's undecided transactions, lowest nonce first."""
        rows = self.connection.execute(
            select(transactions)
            .where(self._ours(), transactions.c.state == TxState.STORED.value)
            .order_by(transactions.c.nonce, transactions.c.bump)
        )
        return [transaction_of(row) for row in rows]

    def store(self, before: Order, after: Order, transaction: Transaction, run_id: str) -> None:
        """Write the transaction, the order's step and its history row.

        Raises:
            ConcurrentUpdate: the order was changed since, or its attempt or the nonce has a
                transaction already; of this one nothing was written, the lane goes on.
            ValueError: the transaction is of another wallet or chain than the lane.
        """
        self._check(transaction)
        with self.connection.begin_nested():
            self._insert(transaction)
            write_transition(
                self.connection,
                before,
                after,
                run_id=run_id,
                at=after.changed_at,
                tx=transaction.hash,
            )

    def replace(self, transaction: Transaction) -> None:
        """Write one more transaction for a nonce: of its subject's, while it is undecided,
        or for one of which only lost rows of others are known.

        Raises:
            ConcurrentUpdate: the nonce is decided, or has this bump already; nothing was written.
            ValueError: the transaction is of another wallet or chain than the lane.
        """
        self._check(transaction)
        # locked: what is decided at this moment waits, and decides about this one too
        rows = self.connection.execute(
            select(transactions.c.subject, transactions.c.state)
            .where(self._ours(), transactions.c.nonce == transaction.nonce)
            .with_for_update()
        ).all()
        open_ = {True: TxState.STORED.value, False: TxState.LOST.value}
        if any(row.state != open_[row.subject == transaction.subject] for row in rows):
            raise ConcurrentUpdate(f"{transaction.subject}: nonce {transaction.nonce} is decided")
        self._insert(transaction)

    def scope_states(self) -> list[ScopeState]:
        """Read the safety states."""
        return read_scope_states(self.connection)

    def lock_scope_states(self) -> list[ScopeState]:
        """Read the safety states; none changes until the lane is left."""
        return lock_scope_states(self.connection)

    def exposure(self) -> Wei:
        """Sum the amounts of all orders that are OUT, in wei."""
        return exposure(self.connection)

    def paid_since(self, at: datetime) -> dict[Address, Wei]:
        """Sum transfers of all wallets since then by recipient, without those that failed."""
        return paid_since(self.connection, at)

    def held_back(
        self, origin: str, reason: str, *, recipient: Address | None, max_orders: int
    ) -> list[Order]:
        """List an origin's healthy orders that wait with this reason, lowest number first."""
        return held_back(self.connection, origin, reason, recipient, max_orders)

    def _check(self, transaction: Transaction) -> None:
        if (transaction.chain_id, transaction.wallet) != (self.chain_id, self.wallet):
            raise ValueError(f"{transaction.subject}: not a transaction of this lane's wallet")

    def _insert(self, transaction: Transaction) -> None:
        stored = self.connection.scalar(
            postgresql.insert(transactions)
            .values(**transaction_values(transaction))
            .on_conflict_do_nothing()
            .returning(transactions.c.id)
        )
        if stored is None:
            raise ConcurrentUpdate(
                f"{transaction.subject}: {transaction.purpose} {transaction.attempt} or nonce "
                f"{transaction.nonce} has a transaction already"
            )

    def _ours(self) -> ColumnElement[bool]:
        return and_(transactions.c.chain_id == self.chain_id, transactions.c.wallet == self.wallet)
