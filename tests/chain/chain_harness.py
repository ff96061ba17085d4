"""The whole bridge on two anvils with the real store, taken step by step by a test."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.registry_abi import V1
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.evm.chain import EthereumChain, LocalSigner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.app import Bridge, Rules
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.policy import Limits
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.core.errors import Failure, OrdersFailed
from mmbot_pipelines.core.money import Address, Wei
from tests.devnet.bridge import Devnet
from tests.ports.port_harness import AnvilPorts, on_anvil

ATTEMPTS = 3


class ChainHarness:
    """The bridge on a harness of real ports."""

    def __init__(self, ports: AnvilPorts, engine: Engine, l1: Rpc, l2: Rpc) -> None:
        deployment = ports.devnet.deployment
        zksync = deployment.zksync
        self.ports = ports
        self.clients = l1, l2
        self.logged: list[str] = []
        self.failed: list[str] = []  # the messages of failed runs
        self.run = Run("run-1", self.logged.append)
        self.passed = timedelta()
        chain = EthereumChain(l1, LocalSigner(deployment.private_key))
        address = Address(deployment.l1.registry)
        registry = PaymentRegistry(l1, address, start_block=deployment.l1.start_block)
        origin = ZkSyncOrigin(
            l2,
            l1,
            address,
            escrow=Address(zksync.escrow),
            diamond=Address(zksync.diamond),
            wallet=Address(zksync.wallet),
            start=zksync.start_block,
            accepted=0,
        )
        limits = Limits(
            min_transfer=Wei(1),
            max_transfer=Wei(10**17),
            min_margin_bps=0,
            ours=frozenset({address, chain.wallet}),
        )
        self.bridge = Bridge(
            store=PgBridgeStore(engine),
            accounts=PgAccounts(engine),
            origins={"zksync": origin},
            registry=registry,
            chain=chain,
            rules=Rules(limits=limits, max_attempts=ATTEMPTS, backoff_seconds=60, dry_run=False),
            clock=lambda: datetime.now(UTC) + self.passed,
            draw=lambda: 0.5,
        )

    def orders(self) -> list[Order]:
        return sorted(self.bridge.store.orders.find(OrderFilter()), key=lambda o: o.number)

    def order(self, number: int) -> Order:
        return self.bridge.store.orders.get([f"zksync:{number}"])[0]

    def statuses(self) -> dict[int, str]:
        """Return where every order stands; one that waits for a person is "parked"."""
        return {o.number: "parked" if o.is_parked else str(o.status) for o in self.orders()}

    def detect(self) -> None:
        self._do(lambda: steps.detect(self.bridge, "zksync", self.run))

    def transfer(self) -> None:
        unpaid = (Status.PENDING, Status.PROCESSING)
        keys = [o.key for o in self.orders() if o.status in unpaid and not o.is_parked]
        self._do(lambda: steps.transfer(self.bridge, keys, self.run))

    def settle(self) -> None:
        """Mine what waits and read the receipts."""
        self.ports.mine()
        self._do(lambda: steps.process_receipts(self.bridge, self.run))

    def repay(self) -> None:
        keys = [o.key for o in self.orders() if o.status is Status.FULFILLED]
        self._do(lambda: steps.repay(self.bridge, keys, self.run))

    def finish(self, rounds: int = ATTEMPTS + 1) -> None:
        """Take all orders as far as they go."""
        for _ in range(rounds):
            self.detect()
            self.go_on()
            self.passed += timedelta(hours=1)

    def go_on(self) -> None:
        """Take each order that is known already once through all steps."""
        self.transfer()
        self.settle()
        self.repay()
        self.settle()
        self.ports.deliver()
        self._do(lambda: steps.settle(self.bridge, "zksync", self.run))

    def payments(self) -> dict[int, int]:
        """Count the registry's successful transfers by order number, from the chain itself."""
        w3 = self.ports.devnet.l1
        logs = w3.eth.get_logs(
            {
                "fromBlock": 0,
                "address": self.ports.devnet.registry.address,
                "topics": [V1.transferred],
            }
        )
        numbers = [int(log["topics"][1].hex(), 16) for log in logs]
        return {number: numbers.count(number) for number in numbers}

    def rules(self, **changes: object) -> None:
        self.bridge = replace(self.bridge, rules=replace(self.bridge.rules, **changes))

    def _do(self, step: Callable[[], object]) -> None:
        try:
            step()
        except (OrdersFailed, Failure) as e:
            self.failed.append(str(e))


@contextmanager
def played(
    devnet: Devnet,
    database_url: str,
    *,
    l1_urls: Sequence[str] = (),
    l2_urls: Sequence[str] = (),
    **options: object,
) -> Iterator[ChainHarness]:
    """Yield a harness for one test, at the anvils or at other nodes in front of them.

    options: of each `Rpc`.
    """
    deployment = devnet.deployment
    engine = connect(database_url)
    l1 = Rpc(
        l1_urls or [deployment.l1.rpc_url],
        chain="L1",
        chain_id=deployment.l1.chain_id,
        **options,
    )
    l2 = Rpc(
        l2_urls or [deployment.zksync.rpc_url],
        chain="zksync",
        chain_id=deployment.zksync.chain_id,
        **options,
    )
    try:
        with on_anvil(devnet) as ports:
            yield ChainHarness(ports, engine, l1, l2)
    finally:
        engine.dispose()
