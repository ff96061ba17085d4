"""zkSync as an origin of orders: the port `bridge.ports.Origin`."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from mmbot_pipelines.adapters.ethereum import blocks, quorum
from mmbot_pipelines.adapters.ethereum.logs import Log, LogScanner, Wanted
from mmbot_pipelines.adapters.ethereum.node import RpcError
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.adapters.ethereum.views import Function, call_trusted_views, refused
from mmbot_pipelines.adapters.origins import zksync_escrow as abi
from mmbot_pipelines.adapters.origins import zksync_refunds as refunds
from mmbot_pipelines.adapters.origins import zksync_views as views
from mmbot_pipelines.adapters.origins.escrow_state import Held, order_fault
from mmbot_pipelines.bridge.chain_ports import Progress, Settlement
from mmbot_pipelines.bridge.escrow_faults import (
    EscrowNotOurs,
    EscrowPaused,
    OrderAbsent,
    PaidElsewhere,
)
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import Cursor, Scan
from mmbot_pipelines.core.errors import Failure, Malformed, RpcRefused
from mmbot_pipelines.core.money import Address, Gas, Wei, in_words
from mmbot_pipelines.core.outbox import Block, Call, Fees

BASE_COST = Function("l2TransactionBaseCost", ("uint256",) * 3, ("uint256",))

REQUEST = Function(
    "requestL2Transaction",
    ("address", "uint256", "bytes", "uint256", "uint256", "bytes[]", "address"),
    ("bytes32",),
)

# Blocks that are searched again for a payment, in case the chain has replaced them.
_SEARCHED_AGAIN = 100
_GAS_PER_PUBDATA = 800  # the only value that zkSync takes for L1 -> L2 transactions


class ClaimEncoder(Protocol):
    """A registry that can send claims to zkSync."""

    @property
    def address(self) -> Address: ...

    def claim_zksync(
        self, order: Order, *, gas_limit: Gas, gas_per_pubdata: int, value: Wei
    ) -> Call:
        """Build the call that asks the escrow for our money."""


class ZkSync:
    """One escrow on zkSync. Threads may share it."""

    name = "zksync"
    # Of claimPaymentZKSync on L1, measured on the deployed registry and diamond: 140.4 k to
    # 140.6 k, and 157.7 k into an empty priority queue.
    claim_gas = Gas(158_000)

    def __init__(
        self,
        rpc: Rpc,
        l1: Rpc,
        registry: ClaimEncoder,
        *,
        escrow: Address,
        diamond: Address,
        wallet: Address,
        refunds_to: Address | None = None,
        start: int,
        accepted: str | int,
        claim_gas_limit: Gas = Gas(1_000_000),  # noqa: B008 - a number, not a call's result
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Name the contracts; nothing is asked yet.

        diamond: zkSync's proxy on L1, which prices messages.
        wallet: where the escrow must pay us, on zkSync.
        refunds_to: whose claims' messages are refunded: our wallet on L1, at the same address
            on zkSync; None: `wallet`.
        accepted: a block tag ("committed", "safe", "finalized") or a depth in blocks.
        claim_gas_limit: L2 gas that a claim's message buys.
        """
        self.start = start
        self._rpc = rpc
        self._l1 = l1
        self._registry = registry
        self._escrow = escrow
        self._diamond = diamond
        self._wallet = wallet
        self._refunds_to = refunds_to or wallet
        self._accepted = accepted
        self._claim_gas_limit = claim_gas_limit
        self._clock = clock
        self._logs = LogScanner(rpc)
        # Up to which block an order's payment was searched for in vain, while we live.
        self._searched: dict[tuple[int, str], int] = {}

    def head(self, kind: Cursor) -> Block:
        """Return the newest block, or the newest accepted one."""
        if kind is Cursor.ACCEPTED and isinstance(self._accepted, str):
            return blocks.header(self._rpc, self._accepted).block
        newest = blocks.header(self._rpc, "latest").block
        if kind is Cursor.ACCEPTED and isinstance(self._accepted, int):
            return blocks.header(self._rpc, max(0, newest.number - self._accepted)).block
        return newest

    def final(self) -> Block:
        """Return the newest block that L1 has accepted, as all witnesses know it."""
        polls = self._rpc.poll([blocks.asked("finalized")])
        told = [blocks.told(poll.answers[0], "finalized", self._rpc.chain) for poll in polls]
        return min((header.block for header in told), key=lambda block: block.number)

    def scan(self, first: int, last: int) -> Scan:
        """Read the escrow's orders from block `first` on, in one bounded range."""
        logs, covered = self._logs.scan(self._events(abi.SET_ORDER), first, last)
        orders, faults = abi.orders_set(logs, origin=self.name, at=self._clock())
        return Scan(last=covered, orders=orders, faults=faults)

    def unsealed(self, after: Block) -> Scan:
        """Return nothing: zkSync shows no block before it is sealed."""
        return Scan(last=after, orders=[], faults=[])

    def blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        """Return these blocks as the chain has them now; None beyond its newest."""
        answers = self._rpc.batch([blocks.asked(number) for number in numbers])
        return [
            blocks.told(answer, number, self._rpc.chain).block if answer is not None else None
            for number, answer in zip(numbers, answers, strict=True)
        ]

    def check(self, orders: Sequence[Order]) -> list[Failure | None]:
        """Read the escrow again: it still holds this very order, unclaimed, to be paid to us."""
        if not orders:
            return []
        block = quorum.newest(self._rpc)
        numbers = [order.number for order in orders]
        if (fault := self._fault(block)) is not None:
            return [fault] * len(orders)
        held = views.held(self._rpc, self._escrow, numbers, block)
        return [self._order_fault(o, h, block) for o, h in zip(orders, held, strict=True)]

    def message_fee(self, orders: Sequence[Order], fees: Fees) -> list[Wei]:
        """Price each claim's L1 -> L2 message, in wei: all cost the same.

        The diamond prices by the gas price that the claim is mined at, at most the ceiling.
        """
        if not orders:
            return []
        call = BASE_COST.encode(fees.ceiling, self._claim_gas_limit, _GAS_PER_PUBDATA)
        # Nobody gives back on L1 what a claim's message is overpaid.
        block = quorum.now(self._l1)
        answer = call_trusted_views(self._l1, [(self._diamond, call)], block)[0]
        if isinstance(answer, RpcError):
            raise refused(answer, f"{BASE_COST.name} of zkSync's diamond {self._diamond}")
        (cost,) = BASE_COST.decode(answer)
        return [Wei(cost)] * len(orders)

    def claims(self, orders: Sequence[Order], fees: Fees) -> list[Call] | list[Failure]:
        """Build the L1 calls that make the escrow pay us, where it takes claims for us now.

        A message that a paused escrow refuses is lost with what it cost, and one that it
        executes pays whatever wallet it names then.
        """
        if not orders:
            return []
        if (fault := self._fault(quorum.newest(self._rpc))) is not None:
            return [fault] * len(orders)
        return [
            self._registry.claim_zksync(
                order,
                gas_limit=self._claim_gas_limit,
                gas_per_pubdata=_GAS_PER_PUBDATA,
                value=value,
            )
            for order, value in zip(orders, self.message_fee(orders, fees), strict=True)
        ]

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        """Return nothing: only the escrow's payment tells that a message has arrived."""
        return [Progress()] * len(orders)

    def record_costs(self) -> None:
        """Do nothing: nothing of ours is sent to zkSync."""

    def settled(self, orders: Sequence[Order]) -> list[Settlement | Failure | None]:
        """Return the escrow's payment of each order to us; None where there is none.

        An order counts only while the escrow holds it unchanged, no longer pending, and
        has logged a payment of it: to our wallet, or `PaidElsewhere` stands in its place.
        """
        if not orders:
            return []
        block = quorum.newest(self._rpc)
        held = views.held(self._rpc, self._escrow, [o.number for o in orders], block)
        claimed = {}
        for order, answer in zip(orders, held, strict=True):
            if isinstance(answer, Failure):
                raise answer
            if answer.is_of(order) and not answer.pending:
                claimed[order.number] = order
        paid = self._payments(claimed, block.number)
        refunds.add(self._rpc, paid, self._refunds_to)
        return [paid.get(o.number) if o.number in claimed else None for o in orders]

    def _order_fault(self, order: Order, held: Held | Failure, block: Block) -> Failure | None:
        fault = order_fault(order, held, self._escrow)
        if isinstance(fault, OrderAbsent) and order.block.number > block.number:
            # It was found by a node that is ahead of those that must agree.
            return blocks.NodeBehind(
                f"the nodes of {self._rpc.chain} agree up to block {block.number}, the order is "
                f"in block {order.block.number}: it is paid when they have come to it"
            )
        return fault

    def _events(self, topic: bytes) -> Wanted:
        return Wanted(address=self._escrow, topics=(topic,))

    def _payments(
        self, claimed: Mapping[int, Order], block: int
    ) -> dict[int, Settlement | PaidElsewhere]:
        """Find the payments of these orders, to us if there is one, newest blocks first."""
        paid: dict[int, Settlement | PaidElsewhere] = {}
        first = min(map(self._search_from, claimed.values()), default=block + 1)
        for logs in self._logs.backwards(self._events(abi.CLAIM_PAYMENT), first, block):
            for log in logs:
                payment = self._payment(log, claimed)
                if payment is None:
                    continue
                if payment.claimer == self._wallet:
                    paid[payment.number] = Settlement(log.tx, log.block)
                elif not isinstance(paid.get(payment.number), Settlement):
                    paid[payment.number] = self._elsewhere(payment, log)
            if len(paid) == len(claimed):
                break
        self._searched |= {_named(o): block for n, o in claimed.items() if n not in paid}
        return paid

    def _search_from(self, order: Order) -> int:
        """Return the first block that may hold the order's payment and was not searched yet."""
        searched = self._searched.get(_named(order), -1)
        return max(order.block.number, searched + 1 - _SEARCHED_AGAIN)

    def _payment(self, log: Log, claimed: Mapping[int, Order]) -> abi.Payment | None:
        """Return the payment that the event logs, if it is of one of these orders."""
        try:
            payment = abi.payment(log)
        except Malformed:
            return None
        order = claimed.get(payment.number)
        if order is None:
            return None
        # Escrows differ in whether the event's amount includes the fee.
        return payment if payment.amount - order.amount in (0, order.fee) else None

    def _elsewhere(self, payment: abi.Payment, log: Log) -> PaidElsewhere:
        return PaidElsewhere(
            f"the escrow {self._escrow} paid {in_words(payment.amount)} of "
            f"{self.name}:{payment.number} to {payment.claimer} in {log.tx}, but our wallet is "
            f"{self._wallet}: ask the escrow's owner; no claim brings it back"
        )

    def _fault(self, block: Block) -> Failure | None:
        """Return what speaks against every order of this escrow."""
        try:
            terms = views.terms(self._rpc, self._escrow, block)
        except Malformed as e:
            return EscrowNotOurs(f"the escrow {self._escrow} is no escrow any more: {e}")
        except RpcRefused as e:
            return e
        ours = abi.aliased(self._registry.address)
        if terms.wallet != self._wallet:
            return EscrowNotOurs(
                f"the escrow {self._escrow} pays {terms.wallet}, "
                f"but MMBOT_ZKSYNC_WALLET_ADDRESS is {self._wallet}"
            )
        if terms.registry != ours:
            return EscrowNotOurs(
                f"the escrow {self._escrow} obeys {terms.registry}, but the registry "
                f"{self._registry.address} is {ours} on zkSync"
            )
        if terms.paused:
            return EscrowPaused(f"the escrow {self._escrow} is paused: its owner must resume it")
        return None


def _named(order: Order) -> tuple[int, str]:
    # One that moved to another block is searched for again.
    return order.number, order.block.hash
