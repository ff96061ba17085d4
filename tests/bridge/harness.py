"""The bridge on in-memory chains and a real database, with a clock that tests move."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.order_stats import PgOrderStats
from mmbot_pipelines.adapters.db.bridge.rows import history_of, order_values
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.adapters.db.error_log import error_of
from mmbot_pipelines.adapters.db.outbox_rows import STORED, transaction_of
from mmbot_pipelines.adapters.db.tables.orders import errors, order_events, orders
from mmbot_pipelines.adapters.db.tables.outbox import transactions
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.alerting.rules import AlertThresholds, firing_alerts
from mmbot_pipelines.bridge.alerting.snapshot import take_snapshot
from mmbot_pipelines.bridge.app import Bridge, Rules
from mmbot_pipelines.bridge.orders.journal import HistoryEntry, Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.policy import Limits
from mmbot_pipelines.bridge.ports.orders import Cursor, OrderFilter
from mmbot_pipelines.core.alerts import Alert, AlertSnapshot
from mmbot_pipelines.core.error_log import ErrorEntry
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Transaction
from mmbot_pipelines.core.safety import GLOBAL
from tests.ports.chain_memory import ChainMemory
from tests.ports.origin_memory import OriginMemory
from tests.ports.registry_memory import RegistryMemory
from tests.postgres import clean_engine, unreachable


@dataclass
class BridgeHarness:
    """Everything around the bridge, and the bridge."""

    now: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)
    logged: list[str] = field(default_factory=list)
    lag: dict[str, float] = field(default_factory=dict)  # seconds, by chain
    more_origins: tuple[str, ...] = ()  # beside zksync
    engine: Engine = field(default_factory=clean_engine)

    def __post_init__(self) -> None:
        self.chain = ChainMemory()
        self.registry = RegistryMemory(self.chain)
        self.l2 = OriginMemory(self.registry)
        self.l2.clock = lambda: self.now
        self.others = {name: OriginMemory(self.registry, name) for name in self.more_origins}
        for other in self.others.values():
            other.clock = lambda: self.now
        self.store = PgBridgeStore(self.engine)
        self.run = Run("run-1", self.logged.append)
        self.bridge = Bridge(
            store=self.store,
            accounts=PgAccounts(self.engine),
            origins={"zksync": self.l2, **self.others},
            registry=self.registry,
            chain=self.chain,
            rules=Rules(
                limits=Limits(min_transfer=Wei(1), max_transfer=Wei(10**17), min_margin_bps=10),
                max_attempts=3,
                backoff_seconds=60,
                dry_run=False,
            ),
            clock=lambda: self.now,
            draw=lambda: 0.5,
            newest={GLOBAL: self.newest_block("L1"), "zksync": self.newest_block("zksync")},
        )

    def newest_block(self, name: str) -> Callable[[], datetime]:
        """Return the time of a chain's newest block, as old as the test sets it."""

        def newest() -> datetime:
            if name == "L1":
                self.chain.head()
            else:
                self.l2.head(Cursor.LATEST)
            return self.now - timedelta(seconds=self.lag.get(name, 0))

        return newest

    def rules(self, **changes: object) -> None:
        """Change the operator's rules from now on."""
        self.bridge = replace(self.bridge, rules=replace(self.bridge.rules, **changes))

    def replace(self, **changes: object) -> None:
        """Change what is plugged into the bridge."""
        self.bridge = replace(self.bridge, **changes)

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def unreachable(self) -> AbstractContextManager[None]:
        """Let the database not be reached meanwhile."""
        return unreachable(self.engine)

    def put(self, *stored: Order) -> None:
        """Store orders as they are, without a history."""
        with self.engine.begin() as connection:
            for order in stored:
                new = insert(orders).values(**order_values(order))
                connection.execute(
                    new.on_conflict_do_update(
                        index_elements=[orders.c.origin, orders.c.number],
                        set_=order_values(order),
                    )
                )

    def transactions(self) -> list[Transaction]:
        """Return all stored transactions, oldest first."""
        with self.engine.begin() as connection:
            rows = connection.execute(STORED.order_by(transactions.c.id))
            return [transaction_of(row) for row in rows]

    def errors(self) -> list[ErrorEntry]:
        """Return all stored errors, oldest first."""
        with self.engine.begin() as connection:
            return [
                error_of(row) for row in connection.execute(select(errors).order_by(errors.c.id))
            ]

    def histories(self) -> dict[str, list[HistoryEntry]]:
        """Return the history of every order, oldest change first."""
        events = select(order_events).order_by(order_events.c.key, order_events.c.id)
        with self.engine.begin() as connection:
            rows = connection.execute(events).all()
        by_key = groupby(rows, key=lambda row: str(row.key))
        return {key: [history_of(row) for row in group] for key, group in by_key}

    def alerts(self, **thresholds: object) -> AlertSnapshot:
        """Return the alerts that fire, each of which must say all that an operator needs.

        thresholds: other than an hour for what is late, and no limit of money.
        """
        facts = take_snapshot(self.bridge, PgOrderStats(self.engine), PgDaemons(self.engine))
        usual = AlertThresholds(
            max_exposure=None, min_balance=Wei(0), undelivered_after_seconds=3600
        )
        snapshot = firing_alerts(facts, replace(usual, **thresholds))
        assert len({alert.key for alert in snapshot.alerts}) == len(snapshot.alerts)
        for alert in snapshot.alerts:
            check_complete(alert)
        return snapshot

    def order(self, key: str) -> Order:
        """Return an order as it is stored now."""
        return self.store.orders.get([key])[0]

    def statuses(self) -> dict[str, Status]:
        """Return where every order stands."""
        return {o.key: o.status for o in self.store.orders.find(OrderFilter())}

    def set_and_detect(self, count: int = 1, **order: object) -> list[str]:
        """Let users set orders, and the bot find them."""
        self.l2.set_orders(count, **order)
        return steps.detect(self.bridge, "zksync", self.run)

    def failing(self, step: Callable[[], object]) -> str:
        """Run a step in which some orders fail; return the run's message."""
        try:
            step()
        except OrdersFailed as e:
            return str(e)
        raise AssertionError("no order failed")

    def transfer(self, keys: list[str]) -> None:
        steps.transfer(self.bridge, keys, self.run)

    def repay(self, keys: list[str]) -> None:
        steps.repay(self.bridge, keys, self.run)

    def detect(self) -> list[str]:
        return steps.detect(self.bridge, "zksync", self.run)

    def settle(self) -> list[str]:
        return steps.settle(self.bridge, "zksync", self.run)

    def look(self) -> None:
        """Let the bot read receipts, and look for reorgs of L1."""
        steps.check_l1_reorgs(self.bridge, self.run)
        steps.process_receipts(self.bridge, self.run)

    def replace_stuck(self) -> None:
        """Let the bot do what it asks for about stuck transactions."""
        if steps.stuck_transactions(self.bridge):
            steps.replace_stuck(self.bridge, self.run)

    def mine(self) -> None:
        """Make an L1 block and let the bot read its receipts."""
        self.chain.mine()
        steps.process_receipts(self.bridge, self.run)

    def paid(self, key: str) -> int:
        """Count the successful transfers of an order on the chain."""
        call = self.registry.transfer(self.order(key))
        return sum(made == call for _, made in self.chain.made())


def check_complete(alert: Alert) -> None:
    """Check that an alert has a title, facts and what to do, all in sentences without gaps."""
    facts, to_do = alert.text.split("\nTo do: ")
    assert alert.key
    assert alert.title
    assert facts.endswith(".")
    assert to_do.endswith(".")
    assert "None" not in f"{alert.key} {alert.title} {alert.text}"
