"""The port `OrderStats` over the store in memory."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.ports.order_stats import PAID, WAITING, Day, LongWait, Parked, Shortage
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Transaction, TxState
from tests.ports.orders_memory import OrdersMemory


class OrderStatsMemory:
    """Sums made by looking at every row."""

    def __init__(self, store: OrdersMemory) -> None:
        self._store = store

    def highest_nonce(self, chain_id: int, wallet: Address) -> int | None:
        return max((t.nonce for t in self._of(chain_id, wallet)), default=None)

    def nonces_lost(self, chain_id: int, wallet: Address, *, since: datetime) -> list[int]:
        rows = self._of(chain_id, wallet)
        kept = {t.nonce for t in rows if t.state is not TxState.LOST}
        return sorted({t.nonce for t in rows if t.stored_at >= since} - kept)

    def day(self, *, since: datetime) -> Day:
        store = self._store
        keys = list(store.stored)
        history = {k: [h for h in store.history(k) if h.at >= since] for k in keys}
        sent = [t for k in keys for t in store.transactions(k) if t.stored_at >= since]

        def came(status: Status) -> list[str]:
            return [k for k in keys if any(h.before != h.after == status for h in history[k])]

        completed = came(Status.COMPLETED)
        return Day(
            found=sum(any(h.before is None for h in history[k]) for k in keys),
            transferred=len(came(Status.FULFILLED)),
            completed=len(completed),
            dropped=len(came(Status.DROPPED)),
            errors=sum(e.at >= since for k in keys for e in store.errors(k)),
            earned=Wei(sum(store.stored[k].fee for k in completed)),
            gas_paid=Wei(sum((t.gas_used or 0) * (t.gas_price or 0) for t in sent)),
            messages_paid=Wei(
                sum(t.call.value for t in sent if (t.purpose, t.state) == (REPAY, TxState.MINED))
            ),
            refunded=Wei(
                sum(store.stored[k].claim_refund or 0 for k in completed)
                + sum(t.refund or 0 for t in sent)
            ),
            starknet_fees=0,  # of invokes, which this store has not
        )

    def shortage(self, reasons: Sequence[str], *, max_orders: int) -> Shortage:
        waiting = [
            o
            for o in self._store.stored.values()
            if o.status in WAITING and not o.failed and o.reason in reasons
        ][:max_orders]
        paid = [o for o in waiting if o.status is Status.FULFILLED]
        needs = sum(o.amount + o.fee for o in waiting) - sum(o.amount for o in paid)
        more = len(waiting) == max_orders
        return Shortage(orders=len(waiting), needs=Wei(needs), more=more)

    def parked(self, *, max_paid: int, max_unpaid: int) -> Parked:
        parked = [o for o in self._longest() if o.is_parked]
        paid = [o for o in parked if o.status in PAID]
        unpaid = [o for o in parked if o.status not in PAID]
        return Parked(orders=len(parked), paid=paid[:max_paid], unpaid=unpaid[:max_unpaid])

    def owed(self, *, claimed: bool, max_orders: int) -> list[Order]:
        owed = [o for o in self._longest() if o.status in PAID and not o.is_parked]
        return [o for o in owed if o.is_claimed is claimed][:max_orders]

    def _longest(self) -> list[Order]:
        return sorted(self._store.stored.values(), key=lambda o: (o.changed_at, o.origin, o.number))

    def long_waits(self, *, before: datetime, max_orders: int) -> list[LongWait]:
        waiting = [
            o
            for status in Status
            for o in [
                o
                for o in self._longest()
                if o.status is status
                and not (status.is_final or status in PAID or o.failed)
                and o.changed_at < before
            ][:max_orders]
        ]
        waiting.sort(key=lambda o: (o.changed_at, o.key))
        reasons = Counter(o.reason for o in waiting)
        first = {o.reason: o for o in reversed(waiting)}
        found = [
            LongWait(
                reason=reason,
                orders=count,
                oldest=first[reason].key,
                since=first[reason].changed_at,
            )
            for reason, count in reasons.items()
        ]
        return sorted(found, key=lambda w: (-w.orders, w.reason is None, w.reason or ""))

    def _of(self, chain_id: int, wallet: Address) -> list[Transaction]:
        return [t for t in self._store.outbox if (t.chain_id, t.wallet) == (chain_id, wallet)]
