"""zkSync as an origin of orders: the port `bridge.ports.Origin`. Reads chain."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain

from mmbot_pipelines.adapters.bridge.escrow import (
    EscrowOrder,
    order_fault,
    orders_set,
    without_invented,
)
from mmbot_pipelines.adapters.bridge.registry_abi import V1, V2, RegistryAbi
from mmbot_pipelines.adapters.bridge.zksync import escrow as abi
from mmbot_pipelines.adapters.bridge.zksync import refunds, requests, views
from mmbot_pipelines.adapters.bridge.zksync.claim_messages import ClaimMessages
from mmbot_pipelines.adapters.bridge.zksync.diamond import GAS_PER_PUBDATA
from mmbot_pipelines.adapters.bridge.zksync.payments import Payments
from mmbot_pipelines.adapters.bridge.zksync.registry import claim
from mmbot_pipelines.adapters.evm import blocks, quorum
from mmbot_pipelines.adapters.evm.log_range import Log, LogFilter
from mmbot_pipelines.adapters.evm.logs import LogScanner
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.bridge.orders.escrow_errors import (
    EscrowNotOurs,
    EscrowPaused,
    OrderAbsent,
)
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import MessageEnd, Progress, Settlement
from mmbot_pipelines.bridge.ports.orders import Cursor, Scan
from mmbot_pipelines.core import concurrency
from mmbot_pipelines.core.errors import Failure, Malformed, RpcRefused
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Event, Fees


class ZkSyncOrigin:
    """One escrow on zkSync. Threads may share it."""

    name = "zksync"
    # Of claimPaymentZKSync on L1, measured on the deployed registry and diamond: 140.4 k to
    # 140.6 k, and 157.7 k into an empty priority queue.
    claim_gas = Gas(158_000)

    def __init__(
        self,
        rpc: Rpc,
        l1: Rpc,
        registry: Address,
        *,
        escrow: Address,
        diamond: Address,
        abi: RegistryAbi = V1,
        wallet: Address,
        refunds_to: Sequence[Address] = (),
        start: int,
        accepted: str | int,
        claim_gas_limit: Gas = Gas(1_000_000),  # noqa: B008 - a number, not a call's result
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Name the contracts; nothing is asked yet.

        diamond: zkSync's proxy on L1, which prices messages.
        abi: of the registry.
        wallet: where the escrow must pay us, on zkSync.
        refunds_to: whose claims' messages are refunded: our wallets on L1, at the same addresses
            on zkSync; none: `wallet`.
        accepted: a block tag ("committed", "safe", "finalized") or a depth in blocks.
        claim_gas_limit: L2 gas that a claim's message buys.
        """
        self.start = start
        self._rpc = rpc
        self._l1 = l1
        self._registry = registry
        self._abi = abi
        self._escrow = escrow
        self._diamond = diamond
        self._wallet = wallet
        self._refunds_to = refunds_to or (wallet,)
        self._accepted = accepted
        self._claim_gas_limit = claim_gas_limit
        self._messages = ClaimMessages(
            l1=l1, registry=registry, diamond=diamond, claim_gas_limit=claim_gas_limit
        )
        self._clock = clock
        self._logs = LogScanner(rpc)
        self._payments = Payments(LogScanner(rpc), escrow=escrow, wallet=wallet)

    def head(self, kind: Cursor) -> Block:
        """Return the newest block, or the newest accepted one, as the quorum has it."""
        if kind is Cursor.LATEST:
            return blocks.header(self._rpc, "latest").block
        if isinstance(self._accepted, str):
            return quorum.newest(self._rpc, self._accepted)
        number = max(0, quorum.newest(self._rpc).number - self._accepted)

        def read(poll: Poll) -> Block:
            return blocks.parse_header(poll.answers[0], number, self._rpc.chain).block

        return quorum.agreed(self._rpc, [blocks.header_call(number)], read, f"block {number}")

    def final(self) -> Block:
        """Return the newest block that L1 has accepted, as all witnesses know it."""
        polls = self._rpc.poll([blocks.header_call("finalized")])
        reported = [
            blocks.parse_header(poll.answers[0], "finalized", self._rpc.chain) for poll in polls
        ]
        return min((header.block for header in reported), key=lambda block: block.number)

    def scan(self, first: int, last: int, *, witnessed: bool = False) -> Scan:
        """Read the escrow's orders from block `first` on, in one bounded range."""
        wanted = LogFilter(address=self._escrow, topics=(abi.SET_ORDER,))
        if not witnessed:
            logs, covered = self._logs.scan(wanted, first, last)
            return self._scanned(logs, covered)
        shown, covered = self._logs.witnessed(wanted, first, last)
        logs = sorted(set(chain(*shown)), key=lambda log: (log.block.number, log.index))
        scan = self._scanned(logs, covered)
        undisputed = set.intersection(*map(set, shown))
        return without_invented(scan, self._scanned(list(undisputed), covered), self._held)

    def unsealed(self, after: Block) -> Scan:
        """Return nothing: zkSync shows no block before it is sealed."""
        return Scan(last=after, orders=[], faults=[])

    def blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        """Return these blocks as the chain has them now; None beyond its newest."""
        answers = self._rpc.batch([blocks.header_call(number) for number in numbers])
        return [
            blocks.parse_header(answer, number, self._rpc.chain).block
            if answer is not None
            else None
            for number, answer in zip(numbers, answers, strict=True)
        ]

    def check(self, orders: Sequence[Order]) -> list[Failure | None]:
        """Read the escrow again: it still holds this very order, unclaimed, to be paid to us."""
        if not orders:
            return []
        block = quorum.newest(self._rpc)
        numbers = [order.number for order in orders]
        with concurrency.questions() as ask:
            fault = ask.submit(self._fault, block)
            held = ask.submit(views.held, self._rpc, self._escrow, numbers, block)
        if (against_all := fault.result()) is not None:
            return [against_all] * len(orders)
        return [self._order_fault(o, h, block) for o, h in zip(orders, held.result(), strict=True)]

    def message_fee(self, orders: Sequence[Order], fees: Fees) -> list[Wei]:
        """Price each claim's L1 -> L2 message, in wei: all cost the same."""
        if not orders:
            return []
        return self._messages.prices([self._claim_gas_limit], fees) * len(orders)

    def claims(self, orders: Sequence[Order], fees: Fees) -> list[Call] | list[Failure]:
        """Build the L1 calls that make the escrow pay us, where it takes claims for us now.

        A message that a paused escrow refuses is lost with what it cost, and one that it
        executes pays whatever wallet it names then.
        """
        if not orders:
            return []
        with concurrency.questions() as ask:
            fault = ask.submit(lambda: self._fault(quorum.now(self._rpc)))
            values = ask.submit(self.message_fee, orders, fees)
        if (against_all := fault.result()) is not None:
            return [against_all] * len(orders)
        return [
            claim(
                self._registry,
                self._abi,
                order,
                gas_limit=self._claim_gas_limit,
                gas_per_pubdata=GAS_PER_PUBDATA,
                value=value,
            )
            for order, value in zip(orders, values.result(), strict=True)
        ]

    @property
    def max_batch(self) -> int:
        """Return how many orders one claim may name."""
        return self._messages.max_orders if self._abi is V2 else 1

    def claim_batches(
        self, batches: Sequence[Sequence[Order]], fees: Fees
    ) -> Sequence[Call | Failure]:
        """Build for each batch the one L1 call that claims all of it."""
        return self._messages.calls(batches, fees) if batches else []

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        """Return no progress: only the escrow's payment shows that a message has arrived."""
        return [Progress()] * len(orders)

    def claimed_in(self, events: Sequence[Event], orders: Sequence[Order]) -> list[bool]:
        """Return whether the events of one transaction have each order's message."""
        sent = requests.messages(events, self._diamond, self._registry)
        return [any(message.claims(order) for message in sent) for order in orders]

    def message_ends(self, claims: Sequence[TxHash]) -> list[Sequence[MessageEnd] | None]:
        """Return how the messages of each mined claim ended; None: of one it is not known yet."""
        if not claims:
            return []
        sent = requests.of_claims(self._l1, claims, self._diamond, self._registry)
        newest = self.head(Cursor.ACCEPTED).number
        found = iter(refunds.ends(self._rpc, [*chain(*sent)], self._refunds_to, newest=newest))
        ends = [[next(found) for _ in of_claim] for of_claim in sent]
        known = [[end for end in of_claim if end is not None] for of_claim in ends]
        return [k if k and len(k) == len(e) else None for k, e in zip(known, ends, strict=True)]

    def record_costs(self) -> None:
        """Do nothing: nothing of ours is sent to zkSync."""

    def settled(self, orders: Sequence[Order]) -> list[Settlement | Failure | None]:
        """Return the escrow's payment of each order to us; None where there is none.

        An order counts only while the escrow holds it unchanged, no longer pending, and
        has logged a payment of it: to our wallet, or `PaidElsewhere` stands in its place.
        """
        if not orders:
            return []
        state = quorum.now(self._rpc)
        claimed = self._claimed(orders, state)
        if not claimed:  # as most of the time: the escrow holds them all as pending
            return [None] * len(orders)
        block = quorum.newest(self._rpc)
        if state != block:
            claimed = self._claimed(orders, block)
        paid = self._payments.find(claimed, block.number)
        refunds.add(self._rpc, paid, self._refunds_to, self._payments.numbers)
        return [paid.get(o.number) if o.number in claimed else None for o in orders]

    def _claimed(self, orders: Sequence[Order], block: Block | str) -> dict[int, Order]:
        """Return the orders that the escrow holds unchanged and as paid, by number.

        Raises:
            Failure: what the escrow holds cannot be read.
        """
        held = views.held(self._rpc, self._escrow, [o.number for o in orders], block)
        claimed = {}
        for order, answer in zip(orders, held, strict=True):
            if isinstance(answer, Failure):
                raise answer
            if answer.is_of(order) and not answer.pending:
                claimed[order.number] = order
        return claimed

    def _order_fault(
        self, order: Order, held: EscrowOrder | Failure, block: Block
    ) -> Failure | None:
        fault = order_fault(order, held, self._escrow)
        if isinstance(fault, OrderAbsent) and order.block.number > block.number:
            # It was found by a node that is ahead of those that must agree.
            return blocks.NodeBehind(
                f"the nodes of {self._rpc.chain} agree up to block {block.number}, the order is "
                f"in block {order.block.number}: it is paid when they have come to it"
            )
        return fault

    def _scanned(self, logs: Sequence[Log], last: Block) -> Scan:
        parse = partial(abi.order_set, origin=self.name, at=self._clock())
        orders, faults = orders_set(logs, parse, self.name)
        return Scan(last=last, orders=orders, faults=faults)

    def _held(self, orders: Sequence[Order]) -> list[EscrowOrder | Failure]:
        block = quorum.newest(self._rpc)
        return views.held(self._rpc, self._escrow, [o.number for o in orders], block)

    def _fault(self, block: Block | str) -> Failure | None:
        """Return why no order of this escrow may be paid, or None."""
        try:
            terms = views.terms(self._rpc, self._escrow, block)
        except Malformed as e:
            return EscrowNotOurs(f"the escrow {self._escrow} is no escrow any more: {e}")
        except RpcRefused as e:
            return e
        ours = abi.aliased(self._registry)
        if terms.wallet != self._wallet:
            return EscrowNotOurs(
                f"the escrow {self._escrow} pays {terms.wallet}, "
                f"but MMBOT_ZKSYNC_WALLET_ADDRESS is {self._wallet}"
            )
        if terms.registry != ours:
            return EscrowNotOurs(
                f"the escrow {self._escrow} obeys {terms.registry}, but the registry "
                f"{self._registry} is {ours} on zkSync"
            )
        if terms.paused:
            return EscrowPaused(f"the escrow {self._escrow} is paused: its owner must resume it")
        return None
