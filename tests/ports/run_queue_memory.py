"""Whose turn it is: the questions of the store in memory that sensors ask for work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.orders import MAX_PAUSE_SECONDS, PAUSE_SHARE, ConfirmedRange
from tests.ports.lane_memory import LaneMemory


class RunQueueMemory:
    """Orders and when each was last asked for; the rest of the store is elsewhere."""

    stored: dict[str, Order]
    asked: dict[str, datetime]
    held: dict[str, LaneMemory]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        raise NotImplementedError
        yield

    # the port

    def take_for_run(
        self,
        statuses: Sequence[Status],
        origin: str | None,
        *,
        at: datetime,
        retake_after_seconds: float,
        confirmed: Sequence[ConfirmedRange] | None = None,
        max_orders: int | None = None,
    ) -> list[Order]:
        long_ago = at - timedelta(seconds=retake_after_seconds)
        with self.transaction():
            found = [
                order
                for order in self._in(statuses, origin)
                if not order.failed
                and (confirmed is None or any(_is(order, kind) for kind in confirmed))
                and self.asked.get(order.key, long_ago) <= long_ago
                and self._paused(order, at)
                and order.key not in self.held
            ]
            if max_orders is not None:
                chosen = {o.key for o in sorted(found, key=self._turn)[:max_orders]}
                found = [order for order in found if order.key in chosen]
            self.asked.update({order.key: at for order in found})
            return found

    def release(self, keys: Sequence[str], *, asked_at: datetime | None = None) -> None:
        with self.transaction():
            for key in keys:
                self.asked.pop(key, None)
            if asked_at is not None:
                self.asked.update({key: asked_at for key in keys if key in self.stored})

    def _paused(self, order: Order, at: datetime) -> bool:
        asked, since = self.asked.get(order.key), order.waiting_since
        if asked is None or since is None or order.status is not Status.PENDING:
            return True
        pause = min((asked - since).total_seconds() / PAUSE_SHARE, MAX_PAUSE_SECONDS)
        return (at - asked).total_seconds() >= pause

    def _turn(self, order: Order) -> tuple[object, ...]:
        asked = self.asked.get(order.key)
        if order.waiting_since is not None:
            return True, asked or datetime.min.replace(tzinfo=UTC), order.number
        return False, -order.fee, asked or order.changed_at, order.number

    def due(self, *, at: datetime, max_orders: int | None = None) -> list[Order]:
        with self.transaction():
            found = [
                (order.next_attempt_at, *oldest_change(order), order)
                for order in self.stored.values()
                if order.failed and order.next_attempt_at and order.next_attempt_at <= at
            ]
        return [order for *_, order in sorted(found, key=lambda row: row[:-1])][:max_orders]

    def unfinished(self, origin: str, *, first: int = 0, max_orders: int) -> list[Order]:
        with self.transaction():
            found = [
                order
                for order in self.stored.values()
                if not order.status.is_final
                and order.origin == origin
                and order.block.number >= first
            ]
        found.sort(key=lambda order: (order.block.number, order.number), reverse=True)
        return found[:max_orders]

    def claimed(
        self,
        origin: str,
        *,
        newest: bool = False,
        after: tuple[datetime, int] | None = None,
        max_orders: int,
    ) -> list[Order]:
        with self.transaction():
            found = [order for order in self._in(list(Status), origin) if order.is_claimed]
        if newest:
            return found[::-1][:max_orders]
        return [o for o in found if after is None or (o.changed_at, o.number) > after][:max_orders]

    def not_final(
        self, origin: str, *, first: int = 0, last: int | None = None, max_orders: int
    ) -> list[Order]:
        with self.transaction():
            found = [
                (order.settle_block.number, order.number, order)
                for order in self._in([Status.COMPLETED], origin)
                if order.settle_block and not order.settle_final
            ]
        wanted = [row for row in sorted(found, key=lambda row: row[:2]) if row[0] >= first]
        return [o for number, _, o in wanted if last is None or number <= last][:max_orders]

    def newest_not_final(self, origin: str, *, max_orders: int) -> list[Order]:
        with self.transaction():
            done = self._in([Status.COMPLETED], origin)
        return [order for order in reversed(done) if not order.settle_final][:max_orders]

    def _in(self, statuses: Sequence[Status], origin: str | None) -> list[Order]:
        found = [
            order
            for order in self.stored.values()
            if order.status in statuses and origin in (None, order.origin)
        ]
        return sorted(found, key=oldest_change)


def oldest_change(order: Order) -> tuple[datetime, str, int]:
    return order.changed_at, order.origin, order.number


def _is(order: Order, kind: ConfirmedRange) -> bool:
    return (
        order.amount >= kind.min_amount
        and (kind.below_amount is None or order.amount < kind.below_amount)
        and (kind.max_block is None or order.block.number <= kind.max_block)
    )
