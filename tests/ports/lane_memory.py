"""A wallet's lane over the store in memory, with commit and rollback."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from mmbot_pipelines.adapters.db.bridge.transitions import identity
from mmbot_pipelines.adapters.db.columns import storable
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.accounts import OUT, TRANSFER
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Transaction, TxState
from mmbot_pipelines.core.safety import ScopeState

if TYPE_CHECKING:
    from tests.ports.orders_memory import OrdersMemory


STORED = TxState.STORED


class LaneMemory:
    """The port `Lane`: what it writes is seen by others when it is left."""

    def __init__(self, store: "OrdersMemory", chain_id: int, wallet: Address) -> None:
        self.thread = threading.get_ident()
        self._store = store
        self._wallet = (chain_id, wallet)
        self._written: list[tuple[Order, Order, Transaction, str]] = []
        self._replacing: list[Transaction] = []

    def lock_orders(self, wanted: Sequence[Order]) -> list[Order]:
        with self._store.transaction():
            self._store.wait_for([order.key for order in wanted], self)
            seen = [(order, self._seen(order.key)) for order in wanted]
            return [now for order, now in seen if now and now.version == order.version]

    def next_nonce(self, chain_nonce: int) -> int:
        with self._store.transaction():
            return max([chain_nonce, *(row.nonce + 1 for row in self._ours())])

    def next_bump(self, nonce: int) -> int:
        with self._store.transaction():
            subjects = {row.subject for row in self._ours() if row.nonce == nonce}
            rows = [row for row in self._rows() if row.subject in subjects]
            rows += [row for row in self._ours() if row.nonce == nonce]
            return max((row.bump + 1 for row in rows), default=0)

    def in_flight(self) -> list[Transaction]:
        with self._store.transaction():
            stored = [row for row in self._ours() if row.state is TxState.STORED]
            return sorted(stored, key=lambda row: (row.nonce, row.bump))

    def store(self, before: Order, after: Order, transaction: Transaction, run_id: str) -> None:
        with self._store.transaction():
            self._check(transaction)
            self._store.wait_for([before.key], self)
            self._check_unique(transaction)
            check_step(self._seen(before.key), before, after)
            self._written.append((before, after, transaction, run_id))

    def replace(self, transaction: Transaction) -> None:
        with self._store.transaction():
            self._check(transaction)
            for row in self._ours():
                state = STORED if row.subject == transaction.subject else TxState.LOST
                if row.nonce == transaction.nonce and row.state is not state:
                    raise ConcurrentUpdate(f"{transaction.subject}: nonce {row.nonce} is decided")
            self._check_unique(transaction)
            self._replacing.append(transaction)

    def scope_states(self) -> list[ScopeState]:
        return self._store.safety.scope_states()

    def lock_scope_states(self) -> list[ScopeState]:
        return self._store.safety.read_by(self)

    def exposure(self) -> Wei:
        with self._store.transaction():
            return Wei(sum(o.amount for o in self._orders() if o.status in OUT))

    def paid_since(self, at: datetime) -> dict[Address, Wei]:
        with self._store.transaction():
            paid = {
                row.subject
                for row in self._rows()
                if row.purpose == TRANSFER
                and row.state in (TxState.STORED, TxState.MINED)
                and row.stored_at > at
            }
            sums: dict[Address, Wei] = {}
            for order in self._orders():
                if order.key in paid:
                    sums[order.recipient] = Wei(sums.get(order.recipient, 0) + order.amount)
            return sums

    def held_back(
        self, origin: str, reason: str, *, recipient: Address | None, max_orders: int
    ) -> list[Order]:
        with self._store.transaction():
            waiting = [
                order
                for order in self._orders()
                if order.status is Status.PROCESSING
                and order.origin == origin
                and not order.failed
                and order.reason == reason
                and recipient in (None, order.recipient)
            ]
            return sorted(waiting, key=lambda order: order.number)[:max_orders]

    def commit(self) -> None:
        for row in self._replacing:
            self._store.outbox.append(row)
        for before, after, transaction, run_id in self._written:
            self._store.outbox.append(transaction)
            self._store.write_transition(
                before,
                after,
                run_id=run_id,
                at=after.changed_at,
                tx=transaction.hash,
                fault=None,
            )

    def _seen(self, key: str) -> Order | None:
        mine = [stepped(before, after) for before, after, *_ in self._written if before.key == key]
        return mine[-1] if mine else self._store.stored.get(key)

    def _orders(self) -> list[Order]:
        return [order for key in self._store.stored if (order := self._seen(key))]

    def _rows(self) -> list[Transaction]:
        written = [row for _, _, row, _ in self._written]
        return [*self._store.outbox, *written, *self._replacing]

    def _check(self, new: Transaction) -> None:
        if (new.chain_id, new.wallet) != self._wallet:
            raise ValueError(f"{new.subject}: not a transaction of this lane's wallet")

    def _check_unique(self, new: Transaction) -> None:
        taken = {name for row in self._rows() for name in _unique(row)}
        if taken.intersection(_unique(new)):
            raise ConcurrentUpdate(
                f"{new.subject}: {new.purpose} {new.attempt} or nonce "
                f"{new.nonce} has a transaction already"
            )

    def _ours(self) -> list[Transaction]:
        return [row for row in self._rows() if (row.chain_id, row.wallet) == self._wallet]


def check_step(stored: Order | None, before: Order, after: Order) -> None:
    """Refuse a step as the database does."""
    if identity(before) != identity(after):
        raise ValueError(f"{before.key}: a step cannot change what the escrow logged")
    if stored is None or (stored.version, stored.status) != (before.version, before.status):
        raise ConcurrentUpdate(
            f"{before.key} was changed by somebody else since it was {before.status}"
        )


def stepped(before: Order, after: Order) -> Order:
    reason = after.reason and storable(after.reason)
    return replace(after, reason=reason, version=before.version + 1)


def _unique(row: Transaction) -> set[tuple[object, ...]]:
    return {
        (row.subject, row.purpose, row.attempt, row.bump),
        (row.chain_id, row.wallet, row.nonce, row.bump),
        (row.hash,),
    }
