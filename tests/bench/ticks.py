"""Everything that ticks, pays, claims and is scraped, once, on a store in Postgres."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.alerts import PgAlertLog
from mmbot_pipelines.adapters.db.bridge.figures import PgFigures
from mmbot_pipelines.adapters.db.bridge.order_stats import PgOrderStats
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.daemons import PgDaemons
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.alerting import notify
from mmbot_pipelines.bridge.alerting.rules import AlertThresholds
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.policy import Caps
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.core.money import Address, Wei
from tests.bench.stored import CHAIN_ID, WALLET
from tests.bridge.harness import BridgeHarness

_UNPAID = [Status.PENDING, Status.PROCESSING]
_ETH = 10**18


@dataclass
class BenchBridge:
    """The bridge between a real store and chains in memory."""

    engine: Engine

    def __post_init__(self) -> None:
        self.harness = BridgeHarness(now=datetime.now(UTC), engine=self.engine)
        most = Wei(10**6 * _ETH)
        self.harness.rules(
            caps=Caps(exposure=most, per_recipient=most, per_hour=most, per_day=most)
        )
        for _ in range(70):  # more blocks than `MMBOT_L1_FINALITY_BLOCKS`
            self.harness.chain.mine()
        self.keys: list[str] = []

    @property
    def bridge(self) -> steps.Bridge:
        return self.harness.bridge

    def parts(self) -> dict[str, Callable[[], object]]:
        """Return what is done, by name, in the order in which it must be."""
        return {
            "orders sensor": self.find,
            "run: transfer": self.pay,
            "receipts sensor": self.receipts,
            "run: repay": self.claim,
            "settlements sensor": self.settle,
            "lane": self.lane,
            "safety sensor": lambda: steps.guard(self.bridge, self.harness.run),
            "alerts sensor": self.alerts,
            "daily summary": self.summary,
            "failed orders sensor": self.failed,
            "5-minute schedules": self.every_five_minutes,
            "scrape": self.scrape,
        }

    def find(self) -> None:
        self.harness.l2.set_orders(3)
        steps.detect(self.bridge, "zksync", self.harness.run)
        found = steps.take_orders(self.bridge, _UNPAID, "zksync")
        steps.is_throttled(self.bridge, "zksync")
        self.keys = [order.key for order in found]

    def pay(self) -> None:
        steps.transfer(self.bridge, self.keys, self.harness.run)

    def receipts(self) -> None:
        self.harness.chain.mine()
        steps.check_l1_reorgs(self.bridge, self.harness.run)
        steps.process_receipts(self.bridge, self.harness.run)
        if steps.stuck_transactions(self.bridge):
            steps.replace_stuck(self.bridge, self.harness.run)
        found = steps.take_orders(self.bridge, [Status.FULFILLED], "zksync")
        self.keys = [order.key for order in found if order.number < 10**7]

    def claim(self) -> None:
        steps.repay(self.bridge, self.keys, self.harness.run)

    def settle(self) -> None:
        steps.settle(self.bridge, "zksync", self.harness.run)

    def lane(self) -> None:
        with PgBridgeStore(self.engine).begin() as uow:
            lane = uow.outbox.lock_lane(CHAIN_ID, Address(WALLET))
            lane.next_nonce(0)
            lane.next_bump(20_000_002)
            lane.in_flight()

    def alerts(self) -> None:
        log = PgAlertLog(self.engine)
        records, daemons = PgOrderStats(self.engine), PgDaemons(self.engine)
        limits = AlertThresholds(
            max_exposure=Wei(_ETH), min_balance=Wei(0), undelivered_after_seconds=3600
        )
        looking = notify.AlertService(
            bridge=self.bridge,
            records=records,
            reports=PgReports(self.engine),
            daemons=daemons,
            log=log,
            channels=[],
            thresholds=limits,
        )
        notify.send_alerts(looking)
        records.highest_nonce(CHAIN_ID, Address(WALLET))
        records.nonces_lost(CHAIN_ID, Address(WALLET), since=self.harness.now - timedelta(days=1))

    def summary(self) -> None:
        PgReports(self.engine).days(since=self.harness.now - timedelta(days=1))

    def failed(self) -> None:
        found = self.bridge.store.orders.find(OrderFilter(failed=True, limit=1000))
        self.bridge.store.orders.without_changes(
            [o.key for o in found[:100]], since=self.harness.now
        )

    def every_five_minutes(self) -> None:
        steps.backfill(self.bridge, self.harness.run)
        steps.retry(self.bridge, self.harness.run)

    def scrape(self) -> None:
        PgFigures(lambda: self.engine, [notify.JOURNAL]).read()
