"""The port `OrderStats` on Postgres: sums over whole tables, made by the database."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, and_, case, func, select, union_all
from sqlalchemy.dialects.postgresql import aggregate_order_by

from mmbot_pipelines.adapters.db.bridge.rows import order_of
from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.tables.monitoring import tallies
from mmbot_pipelines.adapters.db.tables.orders import (
    CLAIMED,
    HEALTHY,
    PARKED_PAID,
    PARKED_UNPAID,
    UNCLAIMED,
    WAITING_HEALTHY,
    orders,
)
from mmbot_pipelines.adapters.db.tables.outbox import transactions
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.bridge.ports.order_stats import PAID, LongWait, Parked, Shortage
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import TxState


class PgOrderStats:
    """Questions about all rows at once.

    Every method raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def highest_nonce(self, chain_id: int, wallet: Address) -> int | None:
        """Return the highest nonce we ever gave out, None before the first."""
        highest = select(func.max(transactions.c.nonce)).where(_of(chain_id, wallet))
        with transaction(self._engine) as connection:
            found: int | None = connection.scalar(highest)
        return found

    def nonces_lost(self, chain_id: int, wallet: Address, *, since: datetime) -> Sequence[int]:
        """List nonces stored since then that went to a transaction that is not ours, rising."""
        # a transaction that one of ours replaced is lost too, but its nonce is not
        other = transactions.alias()
        ours = select(other.c.id).where(
            other.c.chain_id == chain_id,
            other.c.wallet == wallet,
            other.c.nonce == transactions.c.nonce,
            other.c.state != TxState.LOST.value,
        )
        nonces = (
            select(transactions.c.nonce)
            .where(
                transactions.c.state == TxState.LOST.value,
                transactions.c.stored_at >= since,
                _of(chain_id, wallet),
                ~ours.exists(),
            )
            .distinct()
            .order_by(transactions.c.nonce)
        )
        with transaction(self._engine) as connection:
            return list(connection.scalars(nonces))

    def shortage(self, reasons: Sequence[str], *, max_orders: int) -> Shortage:
        """Sum up healthy orders that wait with one of these reasons, at most so many."""
        paid = orders.c.status == Status.FULFILLED.value
        needs = (orders.c.fee + case((paid, 0), else_=orders.c.amount)).label("needs")
        # one question an origin and reason, as the index begins with them
        of_each = [
            select(needs)
            .where(
                WAITING_HEALTHY,
                orders.c.origin == origin,
                func.md5(orders.c.reason) == func.md5(reason),
            )
            .limit(max_orders)
            .subquery()
            .select()
            for origin in ORIGINS
            for reason in reasons
        ]
        some = union_all(*of_each).limit(max_orders).subquery()
        sums = select(func.count(), func.sum(some.c.needs))
        with transaction(self._engine) as connection:
            count, total = connection.execute(sums).one()
        return Shortage(orders=count, needs=Wei(int(total or 0)), more=count == max_orders)

    def parked(self, *, max_paid: int, max_unpaid: int) -> Parked:
        """Count the parked orders, and list the first of each kind: the longest parked first."""
        # a sum over rows that triggers keep, for counting reads every parked order
        count = select(func.sum(tallies.c.value)).where(
            tallies.c.name == "orders", tallies.c.labels[3] == "parked"
        )
        paid, unpaid = (
            select(orders)
            .where(which)
            .order_by(orders.c.changed_at, orders.c.origin, orders.c.number)
            .limit(most)
            for which, most in ((PARKED_PAID, max_paid), (PARKED_UNPAID, max_unpaid))
        )
        with transaction(self._engine) as connection:
            return Parked(
                orders=int(connection.scalar(count) or 0),
                paid=[order_of(row) for row in connection.execute(paid)],
                unpaid=[order_of(row) for row in connection.execute(unpaid)],
            )

    def owed(self, *, claimed: bool, max_orders: int) -> Sequence[Order]:
        """List orders that are PAID and not parked, the longest unchanged first."""
        which = and_(CLAIMED, orders.c.condition != "parked") if claimed else UNCLAIMED
        found: list[Order] = []
        with transaction(self._engine) as connection:
            for origin in ORIGINS:  # for the index begins with it
                oldest = (
                    select(orders)
                    .where(which, orders.c.origin == origin)
                    .order_by(orders.c.changed_at, orders.c.number)
                    .limit(max_orders)
                )
                found += map(order_of, connection.execute(oldest))
        found.sort(key=lambda order: (order.changed_at, order.origin, order.number))
        return found[:max_orders]

    def long_waits(self, *, before: datetime, max_orders: int) -> Sequence[LongWait]:
        """Return the healthy unpaid orders that came into their state before then, by reason."""
        of_each = [
            select(orders.c.key, orders.c.reason, orders.c.changed_at)
            .where(HEALTHY, orders.c.status == status.value, orders.c.changed_at < before)
            .order_by(orders.c.changed_at)
            .limit(max_orders)
            .subquery()
            .select()
            for status in Status
            if not (status.is_final or status in PAID)
        ]
        some = union_all(*of_each).subquery().c
        oldest = func.array_agg(aggregate_order_by(some.key, some.changed_at, some.key))
        count = func.count()
        by_reason = (
            select(some.reason, count, oldest, func.min(some.changed_at))
            .group_by(some.reason)
            .order_by(count.desc(), some.reason)
        )
        with transaction(self._engine) as connection:
            return [
                LongWait(reason=reason, orders=total, oldest=keys[0], since=since)
                for reason, total, keys, since in connection.execute(by_reason)
            ]


def _of(chain_id: int, wallet: Address) -> ColumnElement[bool]:
    return and_(transactions.c.chain_id == chain_id, transactions.c.wallet == wallet)
