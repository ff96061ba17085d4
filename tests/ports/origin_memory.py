"""An origin network in memory, with its escrow: the port `Origin`.

An order set goes into a new block at once. The L2's blocks know what happened in
them, so a reorg takes orders and payments back by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from mmbot_pipelines.bridge.orders.escrow_errors import (
    AlreadyClaimed,
    EscrowMismatch,
    EscrowNotOurs,
    EscrowPaused,
    OrderAbsent,
    PaidElsewhere,
)
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import MessageEnd, Progress, Settlement, Task
from mmbot_pipelines.bridge.ports.orders import Cursor, Scan
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Event, Fees
from tests.ports.l2_blocks import L2Block, execute, hash_of
from tests.ports.registry_memory import RegistryMemory

RECIPIENT = Address("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955")


class OriginMemory:
    """The port `Origin`, scriptable."""

    start = 0
    claim_gas = Gas(80_000)
    max_batch = 1  # orders of one claim
    message_gas = 1_000  # what a message costs, in units of the price signed for L1 gas
    batch_message_gas = 600  # of each order, where several share one

    def __init__(self, registry: RegistryMemory, name: str = "zksync") -> None:
        self.name = name
        self.registry = registry
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.accepted_depth = 10  # blocks until a block counts as accepted
        self.final_depth = 20  # blocks until L1 has accepted one
        self.max_blocks: int | None = None  # that one scan covers
        self.paused = False
        self.pays_us = True  # the escrow's wallet is ours
        self.fault: Failure | None = None  # every question raises it while it is set
        self.by_task = False  # a prover works on claims
        self.tasks: list[str] = []  # given to the prover, each once
        self.unsure: dict[str, Settlement | Failure] = {}  # stands for a settlement, by key
        self.refunds: dict[TxHash, Wei] = {}  # of messages that failed, by the claim
        self.known: dict[str, Progress] = {}  # of claims, by the order's key
        self.building: list[Order] = []  # in the block that is not sealed
        self._forks = 0
        self.sealed = [L2Block(self._next(0))]

    # the port

    def head(self, kind: Cursor) -> Block:
        self._answer()
        depth = self.accepted_depth if kind is Cursor.ACCEPTED else 0
        return self.sealed[max(0, len(self.sealed) - 1 - depth)].block

    def final(self) -> Block:
        self._answer()
        return self.sealed[max(0, len(self.sealed) - 1 - self.final_depth)].block

    def scan(self, first: int, last: int, *, witnessed: bool = False) -> Scan:
        self._answer()
        if self.max_blocks is not None:
            last = min(last, first + self.max_blocks - 1)
        blocks = self.sealed[first : last + 1]
        return Scan(
            last=self.sealed[last].block,
            orders=[order for b in blocks for order in b.orders],
            faults=[fault for b in blocks for fault in b.faults],
        )

    def unsealed(self, after: Block) -> Scan:
        self._answer()
        return Scan(last=after, orders=list(self.building), faults=[])

    def blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        self._answer()
        return [self.sealed[n].block if n < len(self.sealed) else None for n in numbers]

    def check(self, orders: Sequence[Order]) -> list[Failure | None]:
        self._answer()
        return [self._check(order) for order in orders]

    def message_fee(self, orders: Sequence[Order], fees: Fees) -> list[Wei]:
        self._answer()
        return [Wei(self.message_gas * fees.ceiling) for _ in orders]

    def claims(self, orders: Sequence[Order], fees: Fees) -> Sequence[Call | Task | Failure]:
        values = self.message_fee(orders, fees)
        if (fault := self._fault()) is not None:
            return [fault] * len(orders)
        if self.by_task:
            return [self._task(order) for order in orders]
        return [self.registry.claim(o, value=v) for o, v in zip(orders, values, strict=True)]

    def claim_batches(
        self, batches: Sequence[Sequence[Order]], fees: Fees
    ) -> Sequence[Call | Failure]:
        self._answer()
        price = self.batch_message_gas * fees.ceiling
        return [self.registry.claim_batch(b, value=Wei(len(b) * price)) for b in batches]

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        self._answer()
        return [self.known.get(order.key, Progress()) for order in orders]

    def claimed_in(self, events: Sequence[Event], orders: Sequence[Order]) -> list[bool]:
        self._answer()
        return self.registry.claims(events, orders)

    def message_ends(self, claims: Sequence[TxHash]) -> list[Sequence[MessageEnd] | None]:
        self._answer()
        ended = {tx: success for b in self.sealed for tx, success in b.batches.items()}
        together = dict(self.registry.claimed_batches(self.name))

        def ends(tx: TxHash) -> Sequence[MessageEnd] | None:
            refund = self.refunds.get(tx)
            if tx in together and tx not in ended:
                return None
            if tx in together:
                failed = not ended[tx]
                return [MessageEnd(number=None, failed=failed, refund=refund or Wei(0))]
            if refund is None:
                return None
            return [MessageEnd(number=None, failed=refund > 0, refund=refund)]

        return [ends(tx) for tx in claims]

    def record_costs(self) -> None:
        pass

    def settled(self, orders: Sequence[Order]) -> list[Settlement | Failure | None]:
        self._answer()
        return [self.unsure.get(order.key, self._settlement(order)) for order in orders]

    # what tests do to it

    def set_order(
        self, *, amount: int = 10**16, fee: int = 10**16, recipient: Address = RECIPIENT
    ) -> Order:
        """Lock an order in the escrow, in a new block."""
        return self.set_orders(1, amount=amount, fee=fee, recipient=recipient)[0]

    def set_orders(
        self, count: int, *, amount: int = 10**16, fee: int = 10**16, recipient: Address = RECIPIENT
    ) -> list[Order]:
        """Lock many orders in one new block."""
        block = self.mine()
        made = self._made(count, block, amount=amount, fee=fee, recipient=recipient)
        self.sealed[-1].orders = made
        return made

    def garble(self) -> Fault:
        """Log an event that cannot be an order, in a new block."""
        block = self.mine()
        fault = Fault(
            subject=f"{self.name}:{hash_of(f'garbled/{block.hash}')}:0",
            step="scan",
            kind="Malformed",
            message="SetOrder: 96 bytes of data instead of 128",
        )
        self.sealed[-1].faults.append(fault)
        return fault

    def mine(self, blocks: int = 1) -> Block:
        """Append empty blocks."""
        for _ in range(blocks):
            self.sealed.append(L2Block(self._next(len(self.sealed))))
        return self.sealed[-1].block

    def reorg(self, depth: int) -> Block:
        """Replace the newest blocks by as many empty ones: their orders are gone."""
        del self.sealed[-depth:]
        self._forks += 1
        return self.mine(depth)

    def put(self, orders: Sequence[Order], below: int | None = None) -> list[Order]:
        """Log orders as they were in a block that was reorged out.

        below: how far below the newest block, in one that nobody has read yet; None: in a
        new block.
        """
        if below is None:
            self.mine()
        place = self.sealed[-1 - (below or 0)]
        place.orders = [replace(order, block=place.block) for order in orders]
        return place.orders

    def orders(self) -> list[Order]:
        """List the orders of the present chain, as they were set."""
        sealed = [order for b in self.sealed for order in b.orders]
        return [*sealed, *self.building]

    def show(self, count: int = 1, *, amount: int = 10**16, fee: int = 10**16) -> list[Order]:
        """Put orders into the block that is still being built."""
        block = Block(len(self.sealed), "pre_confirmed")
        made = self._made(count, block, amount=amount, fee=fee, recipient=RECIPIENT)
        self.building += made
        return made

    def seal(self) -> Block:
        """Close the block being built."""
        orders, self.building = self.building, []
        block = self.mine()
        self.sealed[-1].orders = [replace(order, block=block) for order in orders]
        return block

    def deliver(self) -> list[TxHash]:
        """Execute the claims that L1 has sent and the L2 has not: the escrow pays them.

        A claim of several orders is executed once, for all of them or for none.
        """
        due = [
            o for o in self.orders() if self._paid(o.number) is None and self.registry.claimed(o)
        ]
        unpaid = [o for o in self.orders() if o not in due and self._paid(o.number) is None]
        executed = {tx for b in self.sealed for tx in b.batches}
        claimed = self.registry.claimed_batches(self.name)
        together, ended = execute([c for c in claimed if c[0] not in executed], unpaid)
        if self.paused or not (due or ended):
            return []
        block = self.mine()
        paid = {order.number: hash_of(f"paid/{order.number}/{block.hash}") for order in due}
        paid |= {number: hash_of(f"paid/{tx}/{block.hash}") for number, tx in together.items()}
        self.sealed[-1].payments, self.sealed[-1].batches = paid, ended
        return list(paid.values())

    def pay(self, number: int) -> TxHash:
        """Make the escrow pay an order out, without checking the claimer."""
        tx = hash_of(f"paid/{number}/{self.mine().hash}")
        self.sealed[-1].payments[number] = tx
        return tx

    def _made(
        self, count: int, block: Block, *, amount: int, fee: int, recipient: Address
    ) -> list[Order]:
        first = len(self.orders())
        return [
            Order(
                origin=self.name,
                number=number,
                recipient=recipient,
                amount=Wei(amount),
                fee=Wei(fee),
                block=block,
                set_order_tx=hash_of(f"set/{self.name}/{number}/{block}"),
                changed_at=self.clock(),
            )
            for number in range(first, first + count)
        ]

    def _task(self, order: Order) -> Task:
        ref = f"task {order.key}/{order.attempt}"
        if ref not in self.tasks:
            self.tasks.append(ref)
        return Task(ref)

    def _answer(self) -> None:
        if self.fault:
            raise self.fault

    def _fault(self) -> Failure | None:
        if self.paused:
            return EscrowPaused(f"the escrow of {self.name} is paused")
        if not self.pays_us:
            return EscrowNotOurs(f"the escrow of {self.name} pays another wallet")
        return None

    def _check(self, order: Order) -> Failure | None:
        if (fault := self._fault()) is not None:
            return fault
        if order.number not in {o.number for o in self.orders()}:
            return OrderAbsent(f"the escrow of {self.name} has no order {order.number}")
        if not self._held(order):
            return EscrowMismatch(f"the escrow of {self.name} holds another order {order.number}")
        if self._paid(order.number):
            return AlreadyClaimed(f"the escrow of {self.name} has paid order {order.number}")
        return None

    def _held(self, order: Order) -> bool:
        content = (order.number, order.recipient, order.amount, order.fee)
        return content in [(o.number, o.recipient, o.amount, o.fee) for o in self.orders()]

    def _settlement(self, order: Order) -> Settlement | Failure | None:
        if not self._held(order):
            return None
        for b in self.sealed:
            if order.number in b.payments:
                if not self.pays_us:
                    return PaidElsewhere(f"the escrow of {self.name} paid {order.key} to 0xB0B")
                return Settlement(b.payments[order.number], b.block)
        return None

    def _paid(self, number: int) -> TxHash | None:
        for b in self.sealed:
            if number in b.payments:
                return b.payments[number]
        return None

    def _next(self, number: int) -> Block:
        before = self.sealed[-1].block.hash if number else self.name
        return Block(number, hash_of(f"{number}/{before}/{self._forks}"))
