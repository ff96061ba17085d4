"""The store in memory: the port `Orders`, lanes with commit and rollback included.

It waits where Postgres waiting: for a wallet's lane, and for orders that a lane holds.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from mmbot_pipelines.adapters.db.bridge.scan import changed
from mmbot_pipelines.adapters.db.bridge.transitions import (
    history_reason,
    identity,
    is_acceptance,
    is_recorded,
)
from mmbot_pipelines.adapters.db.columns import storable
from mmbot_pipelines.bridge.journal import ErrorEntry, Fault, HistoryEntry
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.accounts import TRANSFER
from mmbot_pipelines.bridge.ports.orders import Cursor, OrderFilter, Scan
from mmbot_pipelines.core.errors import ConcurrentUpdate, StoreUnavailable
from mmbot_pipelines.core.money import UINT256_MAX, Address, TxHash
from mmbot_pipelines.core.outbox import Block, Transaction, TxState
from tests.ports.lane_memory import LaneMemory, check_step, stepped
from tests.ports.outbox_memory import OutboxMemory
from tests.ports.run_queue_memory import RunQueueMemory, oldest_change
from tests.ports.safety_memory import SafetyMemory


class OrdersMemory(RunQueueMemory, OutboxMemory):
    """The port `Orders`, scriptable: while `down`, it cannot be reached."""

    def __init__(self) -> None:
        self.down = False
        self.safety = SafetyMemory(self)
        self.stored: dict[str, Order] = {}
        self.outbox: list[Transaction] = []
        self.refunds_due: dict[TxHash, datetime] = {}
        self.asked: dict[str, datetime] = {}
        self._history: dict[str, list[HistoryEntry]] = defaultdict(list)
        self._errors: list[ErrorEntry] = []
        self._runs: dict[tuple[str, str], datetime] = {}
        self._scanned: set[Fault] = set()
        self._cursors: dict[tuple[str, Cursor], Block] = {}
        self._lanes: dict[tuple[int, str], threading.Lock] = defaultdict(threading.Lock)
        self.held: dict[str, LaneMemory] = {}
        self.turn = threading.Condition(threading.RLock())

    # the port

    def cursor(self, origin: str, kind: Cursor) -> Block | None:
        with self.transaction():
            return self._cursors.get((origin, kind))

    def add(self, origin: str, kind: Cursor, scan: Scan, *, at: datetime, run_id: str) -> list[str]:
        _check(scan.last.number)
        for order in scan.orders:
            _check(order.number, order.amount, order.fee, order.block.number)
        with self.transaction():
            new = []
            for order in scan.orders:
                if order.key in self.stored:
                    continue
                new.append(order.key)
                self.stored[order.key] = order
                entry = HistoryEntry(
                    before=None,
                    after=order.status,
                    at=at,
                    run_id=run_id,
                    tx=order.set_order_tx,
                    reason=None,
                )
                self._history[order.key].append(entry)
            differing = [
                changed(self.stored[order.key], order)
                for order in scan.orders
                if identity(self.stored[order.key]) != identity(order)
            ]
            for fault in map(_clean, [*scan.faults, *differing]):
                if fault not in self._scanned:
                    self._scanned.add(fault)
                    self._errors.append(ErrorEntry(fault=fault, at=at, run_id=run_id))
            known = self._cursors.get((origin, kind))
            if known is None or known.number <= scan.last.number:
                self._cursors[origin, kind] = scan.last
            return new

    def get(self, keys: Sequence[str]) -> list[Order]:
        with self.transaction():
            return [self.stored[key] for key in keys if key in self.stored]

    def find(self, wanted: OrderFilter) -> list[Order]:
        with self.transaction():
            found = [
                order
                for order in self.stored.values()
                if wanted.status in (None, order.status)
                and wanted.origin in (None, order.origin)
                and wanted.failed in (None, order.failed)
            ]
        return sorted(found, key=oldest_change, reverse=True)[: wanted.limit]

    def rewind(self, origin: str, kind: Cursor, seen: Block, to: Block | None) -> None:
        with self.transaction():
            if self._cursors.get((origin, kind)) != seen:
                at = seen.number
                raise ConcurrentUpdate(
                    f"the cursor {kind} of {origin} was moved since it was at {at}"
                )
            if to is None:
                del self._cursors[origin, kind]
            else:
                self._cursors[origin, kind] = to

    def without_changes(self, keys: Sequence[str], *, since: datetime) -> set[str]:
        with self.transaction():
            newest = {key: self._history[key][-1].at for key in keys if key in self.stored}
        return {key for key, at in newest.items() if at < since}

    def change(
        self,
        before: Order,
        after: Order,
        *,
        run_id: str,
        at: datetime,
        tx: TxHash | None = None,
        fault: Fault | None = None,
        taken: bool = False,
    ) -> Order:
        with self.transaction():
            self.wait_for([before.key])
            check_step(self.stored.get(before.key), before, after)
            reported = self.write_transition(
                before, after, run_id=run_id, at=at, tx=tx, fault=fault
            )
            if taken:
                self.asked[before.key] = at
            return reported

    def relocate(
        self, before: Order, after: Order, *, run_id: str, at: datetime, fault: Fault
    ) -> Order:
        same_payment = (before.recipient, before.amount) == (after.recipient, after.amount)
        if before.key != after.key or not (same_payment or after.status is Status.PENDING):
            raise ValueError(
                f"{before.key}: only an unpaid order can be relocated with other content"
            )
        with self.transaction():
            self.wait_for([before.key])
            check_step(self.stored.get(before.key), before, replace(before, version=0))
            paying = (TxState.STORED, TxState.MINED)
            for row in self.outbox:
                ours = row.subject == before.key and row.purpose == TRANSFER
                if ours and row.state in paying and not same_payment:
                    raise ConcurrentUpdate(
                        f"{before.key}: transfer {row.hash} may pay, or has paid"
                    )
            tx = after.set_order_tx
            return self.write_transition(before, after, run_id=run_id, at=at, tx=tx, fault=fault)

    def record_error(self, fault: Fault, *, at: datetime, run_id: str) -> None:
        with self.transaction():
            self._errors.append(ErrorEntry(fault=_clean(fault), at=at, run_id=run_id))

    @contextmanager
    def lane(self, chain_id: int, wallet: Address) -> Iterator[LaneMemory]:
        with self._lanes[chain_id, wallet.lower()]:
            lane = LaneMemory(self, chain_id, wallet)
            try:
                yield lane
                with self.transaction():
                    lane.commit()
            finally:
                with self.turn:
                    self.safety.left_by(lane)
                    self.held = {k: held for k, held in self.held.items() if held is not lane}
                    self.turn.notify_all()

    def history(self, key: str) -> list[HistoryEntry]:
        with self.transaction():
            return list(self._history.get(key, []))

    def errors(self, key: str) -> list[ErrorEntry]:
        with self.transaction():
            return [entry for entry in self._errors if entry.fault.subject == key]

    def record_run(self, run_id: str, keys: Sequence[str], *, at: datetime) -> None:
        with self.transaction():
            for key in sorted(set(keys) & set(self.stored)):
                self._runs.setdefault((run_id, key), at)

    def orders_of_run(self, run_id: str) -> list[str]:
        with self.transaction():
            return sorted(key for run, key in self._runs if run == run_id)

    def forget_runs(self, *, before: datetime) -> int:
        with self.transaction():
            old = [row for row, at in self._runs.items() if at < before]
            for row in old:
                del self._runs[row]
            return len(old)

    def errors_of_run(self, run_id: str) -> list[ErrorEntry]:
        with self.transaction():
            return [entry for entry in self._errors if entry.run_id == run_id]

    # for the lane and the accounts

    def every_error(self) -> list[ErrorEntry]:
        return list(self._errors)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.turn:
            if self.down:
                raise StoreUnavailable("database of the test: down")
            yield

    def wait_for(self, keys: Sequence[str], lane: LaneMemory | None = None) -> None:
        """Wait until no other lane holds these orders."""
        others = [self.held[k] for k in keys if self.held.get(k) not in (None, lane)]
        if any(other.thread == threading.get_ident() for other in others):
            raise RuntimeError(f"would wait for ever: this thread's own lane holds {keys}")
        self.turn.wait_for(lambda: all(self.held.get(key) in (None, lane) for key in keys))
        if lane is not None:
            self.held.update(dict.fromkeys((k for k in keys if k in self.stored), lane))

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
        if fault is not None or is_recorded(before) != is_recorded(after):
            if not is_acceptance(before, after):
                self.asked.pop(before.key, None)
            why = history_reason(before, after, fault)
            entry = HistoryEntry(
                before=before.status,
                after=after.status,
                at=at,
                run_id=run_id,
                tx=tx,
                reason=why and storable(why),
            )
            self._history[before.key].append(entry)
        if fault is not None:
            self._errors.append(ErrorEntry(fault=_clean(fault), at=at, run_id=run_id))
        self.stored[before.key] = stepped(before, after)
        return self.stored[before.key]


def _clean(fault: Fault) -> Fault:
    return Fault(
        subject=storable(fault.subject),
        step=storable(fault.step),
        kind=storable(fault.kind),
        message=storable(fault.message),
    )


def _check(*numbers: int) -> None:
    for number in numbers:
        if not 0 <= number <= UINT256_MAX:
            raise ValueError(f"not a uint256: {number}")
