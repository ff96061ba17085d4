"""The safety states and the accounts in memory: the ports `SafetyStore` and `Accounts`."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from mmbot_pipelines.adapters.db.columns import storable
from mmbot_pipelines.bridge.ports.accounts import OUT, PROVEN, TRANSFER, BalanceMark, Finished
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import TxState
from mmbot_pipelines.core.safety import SafetyChange, ScopeState, is_recorded

if TYPE_CHECKING:
    from tests.ports.lane_memory import LaneMemory
    from tests.ports.orders_memory import OrdersMemory


class SafetyMemory:
    """The port `SafetyStore`: it waits for the lanes that have read it."""

    def __init__(self, store: "OrdersMemory") -> None:
        self._store = store
        self._scope_states: dict[str, ScopeState] = {}
        self._changes: list[SafetyChange] = []
        self._lanes: list[LaneMemory] = []

    def scope_states(self) -> list[ScopeState]:
        with self._store.transaction():
            return [self._scope_states[scope] for scope in sorted(self._scope_states)]

    def change(self, before: ScopeState, after: ScopeState, *, at: datetime) -> ScopeState:
        with self._store.transaction():
            if any(lane.thread == threading.get_ident() for lane in self._lanes):
                raise RuntimeError("would wait for ever: this thread's own lane has read it")
            self._store.turn.wait_for(lambda: not self._lanes)
            stored = self._scope_states.get(before.scope)
            if (stored.version if stored else 0) != before.version:
                raise ConcurrentUpdate(f"the safety state of {before.scope} was changed")
            written = replace(
                after,
                scope=before.scope,
                by=storable(after.by),
                why=storable(after.why),
                version=before.version + 1,
            )
            self._scope_states[before.scope] = written
            if is_recorded(before, after):
                change = SafetyChange(
                    scope=before.scope,
                    before=before.state,
                    after=after.state,
                    at=at,
                    by=written.by,
                    why=written.why,
                )
                self._changes.append(change)
            return written

    def changes(self, max_rows: int) -> list[SafetyChange]:
        with self._store.transaction():
            return self._changes[::-1][:max_rows]

    # for the lane

    def read_by(self, lane: "LaneMemory") -> list[ScopeState]:
        with self._store.transaction():
            self._lanes.append(lane)
        return self.scope_states()

    def left_by(self, lane: "LaneMemory") -> None:
        self._lanes = [other for other in self._lanes if other is not lane]


class AccountsMemory:
    """The port `Accounts`."""

    def __init__(self, store: "OrdersMemory") -> None:
        self._store = store
        self._marks: dict[tuple[int, Address], BalanceMark] = {}

    def spent(self, chain_id: int, wallet: Address, *, first: int, end: int) -> Wei | None:
        with self._store.transaction():
            rows = [
                row
                for row in self._store.outbox
                if (row.chain_id, row.wallet) == (chain_id, wallet) and first <= row.nonce < end
            ]
        if any(row.state is TxState.STORED for row in rows):
            return None
        gas = sum((row.gas_used or 0) * (row.gas_price or 0) for row in rows)
        return Wei(gas + sum(row.call.value for row in rows if row.state is TxState.MINED))

    def balance_mark(self, chain_id: int, wallet: Address) -> BalanceMark | None:
        return self._marks.get((chain_id, wallet))

    def mark_balance(self, chain_id: int, wallet: Address, mark: BalanceMark) -> None:
        self._marks[chain_id, wallet] = mark

    def exposure(self) -> Wei:
        with self._store.transaction():
            return Wei(sum(o.amount for o in self._store.stored.values() if o.status in OUT))

    def gas_lost(self, *, since: datetime) -> Wei:
        with self._store.transaction():
            return Wei(
                sum(
                    (row.gas_used or 0) * (row.gas_price or 0)
                    for row in self._store.outbox
                    if row.purpose == TRANSFER
                    and row.state is TxState.REVERTED
                    and row.stored_at > since
                )
            )

    def gas_used(self, purpose: str, origin: str, *, max_count: int) -> list[Gas]:
        with self._store.transaction():
            mined = [
                row.gas_used
                for row in self._store.outbox
                if (row.purpose, row.state) == (purpose, TxState.MINED)
                and row.subject.startswith(f"{origin}:")
                and row.gas_used is not None
            ]
        return mined[::-1][:max_count]

    def finished(
        self, counted: Sequence[tuple[str, str]], *, since: datetime | None, max_count: int
    ) -> list[Finished]:
        with self._store.transaction():
            good = [
                Finished(key=key, at=entry.at, failed=False)
                for key in self._store.stored
                for entry in self._store.history(key)
                if entry.after in PROVEN and entry.after is not entry.before
            ]
            bad = [
                Finished(key=e.fault.subject, at=e.at, failed=True)
                for e in self._store.every_error()
                if (e.fault.step, e.fault.kind) in counted
            ]
        later = [f for f in (*good, *bad) if since is None or f.at > since]
        by_key = sorted(later, key=lambda f: f.key)
        return sorted(by_key, key=lambda f: (f.at, f.failed), reverse=True)[:max_count]
