"""The bridge on two anvils that mine L1 blocks only on demand, with a clock of its own."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.app import Bridge, Rules
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.policy import Limits
from mmbot_pipelines.core.errors import OrdersFailed
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, TxState
from mmbot_pipelines.devnet.chain import ask
from tests.ports.port_harness import AnvilPorts


class AnvilBridge:
    """One bridge with one wallet, step by step."""

    def __init__(self, ports: AnvilPorts, engine: Engine) -> None:
        self.ports = ports
        self.now = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.store = PgBridgeStore(engine)
        self.logged: list[str] = []
        self.run = Run("run", self.logged.append)
        self.bridge = Bridge(
            store=self.store,
            accounts=PgAccounts(engine),
            origins={"zksync": ports.origin},
            registry=ports.registry,
            chain=ports.chain,
            rules=Rules(
                limits=Limits(min_transfer=Wei(1), max_transfer=Wei(10**17), min_margin_bps=0),
                max_attempts=5,
                backoff_seconds=1,
                dry_run=False,
            ),
            clock=lambda: self.now,
            draw=lambda: 0.0,
        )

    @property
    def wallet(self) -> Address:
        return self.ports.chain.wallet

    def order(self, key: str) -> Order:
        return self.store.orders.get([key])[0]

    def ends(self, key: str) -> list[tuple[str, TxState]]:
        """Return the states of an order's transactions, oldest first."""
        return [(t.purpose, t.state) for t in self.store.outbox.of(key)]

    def find(self, count: int = 1, **order: int) -> list[str]:
        """Let users set orders, and the bot find them."""
        logged = self.ports.set_orders(count, **order)
        self.detect()
        return [o.key for o in logged]

    def detect(self) -> None:
        steps.detect(self.bridge, "zksync", self.run)

    def transfer(self, keys: list[str]) -> None:
        steps.transfer(self.bridge, keys, self.run)

    def repay(self, keys: list[str]) -> None:
        steps.repay(self.bridge, keys, self.run)

    def look(self) -> None:
        steps.check_l1_reorgs(self.bridge, self.run)
        steps.process_receipts(self.bridge, self.run)

    def mine(self) -> None:
        """Make an L1 block of the pool and read it."""
        self.ports.mine()
        self.look()

    def replace_stuck(self, after: float = 0) -> None:
        """Let time pass, and the bot do what it asks for then."""
        self.now += timedelta(seconds=after)
        if steps.stuck_transactions(self.bridge):
            steps.replace_stuck(self.bridge, self.run)

    def retry(self) -> None:
        """Let every backoff pass, and the bot try again, also what only waited."""
        self.now += timedelta(hours=2)
        waiting = steps.take_orders(self.bridge, [Status.PENDING, Status.PROCESSING])
        keys = [*steps.retry(self.bridge, self.run), *(order.key for order in waiting)]
        try:
            steps.advance(self.bridge, keys, self.run)
        except OrdersFailed as e:
            self.logged.append(str(e))

    def settle(self) -> list[str]:
        self.ports.deliver()
        return steps.settle(self.bridge, "zksync", self.run)

    def base_fee(self, gwei: int) -> None:
        """Make the next L1 block ask this much."""
        ask(self.ports.devnet.l1, "anvil_setNextBlockBaseFeePerGas", hex(gwei * 10**9))

    def balance_of(self, address: str) -> int:
        return int(self.ports.devnet.l1.eth.get_balance(address))

    def paid(self, key: str) -> int:
        """Count the successful transfers that the chain has of an order's transactions."""
        rows = [t for t in self.store.outbox.of(key) if t.purpose == "transfer"]
        receipts = self.ports.chain.receipts([t.hash for t in rows])
        return sum(r is not None and r.succeeded for r in receipts)

    def elsewhere(self) -> TxHash:
        """Mine another program's payment at the wallet's next nonce."""
        chain = self.ports.chain
        call = Call(to=Address("0x" + "de" * 20), data=b"", value=Wei(1))
        nonce, fees = chain.nonce(pending=False), chain.fees()
        signed = chain.sign(call, nonce=nonce, gas=Gas(21_000), fees=fees)
        assert chain.broadcast([signed.raw]) == [None]
        self.ports.mine()
        return signed.hash
