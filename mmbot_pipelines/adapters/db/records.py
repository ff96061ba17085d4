"""The port `Records` on Postgres: sums over whole tables, made by the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, case, distinct, func, select

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.rows import order_of
from mmbot_pipelines.adapters.db.tables.orders import PARKED, errors, order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import transactions
from mmbot_pipelines.adapters.db.tables.watch import tallies
from mmbot_pipelines.bridge.accounts import REPAY
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.records import PAID, WAITING, Day, Parked, Shortage
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import TxState


class PgRecords:
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
        lost = func.bool_and(transactions.c.state == TxState.LOST.value)
        nonces = (
            select(transactions.c.nonce)
            .where(_of(chain_id, wallet), transactions.c.stored_at >= since)
            .group_by(transactions.c.nonce)
            .having(lost)
            .order_by(transactions.c.nonce)
        )
        with transaction(self._engine) as connection:
            return list(connection.scalars(nonces))

    def day(self, *, since: datetime) -> Day:
        """Sum up what happened since then."""
        came = order_events.c.before.is_distinct_from(order_events.c.after)
        moved = select(
            _keys(order_events.c.before.is_(None)),
            _keys(and_(order_events.c.after == Status.FULFILLED.value, came)),
            _keys(order_events.c.after == Status.COMPLETED.value),
            _keys(order_events.c.after == Status.DROPPED.value),
        ).where(order_events.c.at >= since)
        completed = orders.c.status == Status.COMPLETED.value
        fees = select(func.sum(orders.c.fee), func.sum(orders.c.claim_refund)).where(
            completed, orders.c.changed_at >= since
        )
        claimed = and_(transactions.c.purpose == REPAY, transactions.c.state == TxState.MINED.value)
        spent = select(
            func.sum(transactions.c.gas_used * transactions.c.gas_price),
            func.sum(transactions.c.call_value).filter(claimed),
        ).where(transactions.c.stored_at >= since)
        failed = select(func.count()).where(errors.c.at >= since)
        with transaction(self._engine) as connection:
            found, transferred, done, dropped = connection.execute(moved).one()
            earned, refunded = connection.execute(fees).one()
            gas, messages = connection.execute(spent).one()
            return Day(
                found=found,
                transferred=transferred,
                completed=done,
                dropped=dropped,
                errors=connection.scalar(failed) or 0,
                earned=Wei(int(earned or 0)),
                gas_paid=Wei(int(gas or 0)),
                messages_paid=Wei(int(messages or 0)),
                refunded=Wei(int(refunded or 0)),
            )

    def shortage(self, reasons: Sequence[str]) -> Shortage:
        """Sum up the healthy orders that wait with one of these reasons."""
        paid = orders.c.status == Status.FULFILLED.value
        needs = func.sum(orders.c.fee + case((paid, 0), else_=orders.c.amount))
        waiting = select(func.count(), needs).where(
            orders.c.status.in_([status.value for status in WAITING]),
            ~orders.c.failed,
            orders.c.reason.in_(reasons),
        )
        with transaction(self._engine) as connection:
            count, total = connection.execute(waiting).one()
            return Shortage(orders=count, needs=Wei(int(total or 0)))

    def parked(self, *, max_unpaid: int) -> Parked:
        """Count the parked orders, and list those that are not PAID: the longest parked first."""
        # a sum over rows that triggers keep, for counting reads every parked order
        count = select(func.sum(tallies.c.value)).where(
            tallies.c.name == "orders", tallies.c.labels[3] == "parked"
        )
        unpaid = (
            select(orders)
            .where(PARKED, orders.c.status.not_in([status.value for status in PAID]))
            .order_by(orders.c.changed_at, orders.c.origin, orders.c.number)
            .limit(max_unpaid)
        )
        with transaction(self._engine) as connection:
            return Parked(
                orders=int(connection.scalar(count) or 0),
                unpaid=[order_of(row) for row in connection.execute(unpaid)],
            )


def _of(chain_id: int, wallet: Address) -> ColumnElement[bool]:
    return and_(transactions.c.chain_id == chain_id, transactions.c.wallet == wallet)


def _keys(where: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.count(distinct(order_events.c.key)).filter(where)
