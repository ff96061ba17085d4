"""What becomes of orders, seen on the chains alone: the same for every bot."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from mmbot_pipelines.devnet import accounts
from mmbot_pipelines.devnet.artifacts import contract
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deploy import Deployment
from mmbot_pipelines.devnet.orders import GOOD_FEE, MILLI, OrderKind, OrderSpec, place_many, submit
from tests.bench.heads import Broadcasts, Heads

_ZKSYNC = 1


@dataclass(slots=True, kw_only=True)
class SeenOrder:
    """One order's times (monotonic, seconds) and L1 blocks; 0: not yet."""

    set_at: float = 0.0
    broadcast_at: float = 0.0  # when a node of L1 had its transfer
    transfer_block: int = 0
    claim_block: int = 0
    transfer_at: float = 0.0
    claim_at: float = 0.0


@dataclass
class Observer:
    """Places orders on zkSync, and notes when L1 has their transfers and claims."""

    deployment: Deployment
    _seen: dict[int, SeenOrder] = field(default_factory=dict)
    _by_amount: dict[int, SeenOrder] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._l1 = connect(self.deployment.l1.rpc_url)
        self._l2 = connect(self.deployment.zksync.rpc_url)
        self._registry = contract(self._l1, "PaymentRegistry", self.deployment.l1.registry)
        self._escrow = contract(self._l2, "Escrow", self.deployment.zksync.escrow)
        self._heads = Heads(self.deployment.l1.rpc_url)
        self._l2_heads = Heads(self.deployment.zksync.rpc_url)
        self._broadcasts = Broadcasts(self.deployment.l1.rpc_url)
        self._read_to = self._l1.eth.block_number
        self._l2_read_to = self._l2.eth.block_number

    def __enter__(self) -> Self:
        self._heads.__enter__()
        self._l2_heads.__enter__()
        self._broadcasts.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._heads.__exit__()
        self._l2_heads.__exit__()
        self._broadcasts.__exit__()

    def place(self, count: int) -> list[SeenOrder]:
        """Lock so many orders in one block of the L2."""
        specs = [self._order_spec() for _ in range(count)]
        place_many(self.deployment.zksync, specs)
        self._read_orders()
        return [self._by_amount[spec.amount] for spec in specs]

    def submit(self) -> SeenOrder:
        """Send one order without awaiting its block; its `set_at` is 0 until `look` has seen it."""
        spec = self._order_spec()
        submit(self._l2, self.deployment.zksync, spec)
        return self._by_amount[spec.amount]

    def look(self, seconds: float) -> None:
        """Wait for a block of L1, at most so long, and read both chains."""
        self._heads.await_next(seconds)
        self._read_orders()
        self._read()

    def _order_spec(self) -> OrderSpec:
        """Make up an order with an amount of its own: a claim's event has no other name."""
        users = [accounts.account(index).address for index in accounts.USERS]
        number = len(self._by_amount)
        amount = 10 * MILLI + number
        self._by_amount[amount] = SeenOrder()
        return OrderSpec(
            kind=OrderKind.GOOD,
            origin="zksync",
            user=users[number % len(users)],
            recipient=users[number % len(users)],
            amount=amount,
            fee=GOOD_FEE,
        )

    def await_claims(self, orders: Sequence[SeenOrder], seconds: float) -> None:
        """Wait until L1 has every order's transfer and claim.

        Raises:
            AssertionError: it has not, in that time.
        """
        end = time.monotonic() + seconds
        while not all(order.claim_block for order in orders):
            left = end - time.monotonic()
            claimed = sum(bool(order.claim_block) for order in orders)
            assert left > 0, f"{claimed} of {len(orders)} claims mined after {seconds:.0f} s"
            self.look(left)

    def _read_orders(self) -> None:
        head = self._l2.eth.block_number
        if head <= self._l2_read_to:
            return
        blocks = {"from_block": self._l2_read_to + 1, "to_block": head}
        for log in self._escrow.events.SetOrder().get_logs(**blocks):
            order = self._by_amount[log["args"]["amount"]]
            order.set_at = self._l2_heads.at(log["blockNumber"])
            self._seen[log["args"]["order_id"]] = order
        self._l2_read_to = head

    def _read(self) -> None:
        head = self._l1.eth.block_number
        if head <= self._read_to:
            return
        blocks = {"from_block": self._read_to + 1, "to_block": head}
        events = self._registry.events
        for log in events.Transfer().get_logs(**blocks):
            order = self._seen[log["args"]["orderId"]]
            order.broadcast_at = self._broadcasts.at(log["transactionHash"].to_0x_hex())
            order.transfer_block = log["blockNumber"]
            order.transfer_at = self._heads.at(log["blockNumber"])
        for log in events.ClaimPayment().get_logs(**blocks):
            order = self._by_amount[log["args"]["transferInfo"]["amount"]]
            order.claim_block = log["blockNumber"]
            order.claim_at = self._heads.at(log["blockNumber"])
        self._read_to = head
