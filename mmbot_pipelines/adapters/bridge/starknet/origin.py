"""Starknet as an origin of orders: the port `bridge.ports.Origin`. Reads chain."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain

from mmbot_pipelines.adapters.bridge.escrow import (
    EscrowOrder,
    EscrowTerms,
    order_fault,
    orders_set,
    without_invented,
)
from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet import views
from mmbot_pipelines.adapters.bridge.starknet.events import EscrowEvents, witnessed_events
from mmbot_pipelines.adapters.bridge.starknet.payments import Payments, PaymentUnsealed
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.bridge.orders.escrow_errors import (
    AlreadyClaimed,
    EscrowNotOurs,
    EscrowPaused,
    PaidElsewhere,
)
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import MessageEnd, Progress, Repayment, Settlement, Task
from mmbot_pipelines.bridge.ports.orders import Cursor, Scan
from mmbot_pipelines.core.errors import Failure, Malformed, RetryPolicy, RpcRefused
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Call, Event, Fees

# A payment is looked for among all of the escrow's, from the oldest order's block on. For
# one that waits longer than this, in blocks, the escrow is asked first whether it has paid.
_NEAR = 2_000

# Blocks before the one an order was seen in, where it may stand since that was dropped.
_SHIFT = 20

_Seen = Settlement | PaidElsewhere | None


class StarknetOrigin:
    """One escrow on Starknet. Threads may share it."""

    name = "starknet"

    def __init__(
        self,
        rpc: StarknetRpc,
        repayment: Repayment,
        *,
        escrow: Address,
        wallet: Address,
        registry: Address,
        start: int,
        elsewhere: Callable[[], Failure | None] = lambda: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Name the contracts; nothing is asked yet.

        repayment: how the escrow is brought to pay us.
        wallet: where the escrow must pay us, on Starknet.
        registry: on L1, which the escrow must obey.
        elsewhere: whether the registry sends claims to another escrow; nothing is paid then.
        """
        self.start = start
        self._rpc = rpc
        self._repayment = repayment
        self._escrow = escrow
        self._wallet = wallet
        self._registry = registry
        self._elsewhere = elsewhere
        self._clock = clock
        self._set = EscrowEvents(int(escrow, 16), abi.SET_ORDER)
        self._paid = EscrowEvents(int(escrow, 16), abi.CLAIM_PAYMENT)
        self._payments = Payments(escrow, wallet)

    @property
    def claim_gas(self) -> Gas:
        """Return what a claim takes on L1."""
        return self._repayment.claim_gas

    @property
    def max_batch(self) -> int:
        """Return how many orders one claim may name."""
        return self._repayment.max_batch

    def head(self, kind: Cursor) -> Block:
        """Return the newest sealed block: Starknet seals only what it accepts (ACCEPTED_ON_L2)."""
        return self._rpc.ask(StarknetNode.newest)

    def final(self) -> Block:
        """Return the newest block that L1 has accepted, as the quorum knows it."""
        (blocks,) = self._rpc.columns(lambda node: [node.block("l1_accepted")], str)
        # Where too few agree: the newest that as many have come to as the quorum asks for.
        blocks.sort(key=lambda block: block.number, reverse=True)
        return blocks[self._rpc.quorum - 1]

    def scan(self, first: int, last: int, *, witnessed: bool = False) -> Scan:
        """Read the escrow's orders from block `first` on, in one bounded range."""
        if not witnessed:
            events, covered = self._rpc.ask(lambda node: self._set.scan(node, first, last))
            return self._scanned(events, covered)
        shown, covered = witnessed_events(self._rpc, self._set, first, last)
        events = sorted(set(chain(*shown)), key=lambda event: (event.block.number, event.index))
        scan = self._scanned(events, covered)
        undisputed = set.intersection(*map(set, shown))
        return without_invented(scan, self._scanned(list(undisputed), covered), self._held)

    def unsealed(self, after: Block) -> Scan:
        """Read the orders of blocks behind `after`, up to the one that is being built.

        A pre-confirmed block has no hash and may be dropped: its orders are checked again
        before they are paid, and the backfill reads what was sealed instead.
        """
        events = self._rpc.ask(lambda node: self._set.behind(node, after))
        return self._scanned(events, after)

    def blocks(self, numbers: Sequence[int]) -> list[Block | None]:
        """Return these blocks as the chain has them now; None for one that is not sealed."""
        return self._rpc.ask(lambda node: self._blocks(node, numbers)) if numbers else []

    def check(self, orders: Sequence[Order]) -> list[Failure | None]:
        """Read the escrow again: it still holds this very order, unclaimed, to be paid to us."""
        if not orders:
            return []
        if (wrong := self._elsewhere()) is not None:
            return [wrong] * len(orders)
        reported = self._rpc.columns(
            lambda node: self._check(node, orders), _fault_text, about="what the escrow holds"
        )
        return [_agreed(order, faults) for order, faults in zip(orders, reported, strict=True)]

    def message_fee(self, orders: Sequence[Order], fees: Fees) -> list[Wei]:
        """Price what each claim costs beside gas on L1, in wei, or raise why it refuses claims."""
        try:
            return self._repayment.message_fee(orders, fees)
        except RpcRefused:
            faults = [fault for fault in self.check(orders) if fault is not None]
            # One order may have to be parked, but its neighbours need not go with it.
            for fault in sorted(faults, key=lambda fault: fault.retry_policy is RetryPolicy.NEVER):
                raise fault from None
            raise

    def claims(self, orders: Sequence[Order], fees: Fees) -> Sequence[Call | Task | Failure]:
        """Start claims of what the escrow still holds for us: by L1 calls, or by prover tasks."""
        against = {o.key: f for o, f in zip(orders, self.check(orders), strict=True) if f}
        good = [order for order in orders if order.key not in against]
        begun = dict(
            zip(
                (order.key for order in good),
                self._repayment.claims(good, fees) if good else [],
                strict=True,
            )
        )
        return [begun[o.key] if o.key in begun else _not_claimed(against[o.key]) for o in orders]

    def claim_batches(
        self, batches: Sequence[Sequence[Order]], fees: Fees
    ) -> Sequence[Call | Failure]:
        """Build for each batch the one L1 call that claims all of it."""
        return self._repayment.claim_batches(batches, fees)

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        """Return the progress of claims that the escrow has not paid yet."""
        return self._repayment.progress(orders) if orders else []

    def claimed_in(self, events: Sequence[Event], orders: Sequence[Order]) -> list[bool]:
        """Return whether the events of one transaction show that it has claimed each order."""
        return self._repayment.claimed_in(events, orders)

    def message_ends(self, claims: Sequence[TxHash]) -> list[Sequence[MessageEnd] | None]:
        """Return how the messages of mined claims ended; `progress` finds those that failed."""
        return self._repayment.message_ends(claims)

    def record_costs(self) -> None:
        """Write what claims have cost on Starknet."""
        self._repayment.record_costs()

    def settled(self, orders: Sequence[Order]) -> list[Settlement | Failure | None]:
        """Return the escrow's payment of each order to us; None where no node asked has one.

        An order counts only when an accepted block has a payment of it to our wallet, and
        the escrow holds it unchanged there, no longer pending. Where nodes differ, one may be
        behind, or may lie: an answer of fewer nodes than the quorum proves nothing.
        """
        if not orders:
            return []
        reported = self._rpc.columns(
            lambda node: self._settled(node, orders),
            str,
            provable=lambda seen: seen is not None,
            about="what the escrow has paid",
        )
        return [_alike(order, seen) for order, seen in zip(orders, reported, strict=True)]

    def _held(self, orders: Sequence[Order]) -> list[EscrowOrder | Failure]:
        numbers = [order.number for order in orders]
        reported = self._rpc.columns(
            lambda node: views.held(node, self._escrow, numbers, "pre_confirmed"),
            str,
            about="what the escrow holds",
        )
        differ = RpcDisagrees("nodes of starknet differ on what the escrow holds")
        return [held[0] if len(set(map(str, held))) == 1 else differ for held in reported]

    def _scanned(self, events: Sequence[abi.Event], last: Block) -> Scan:
        parse = partial(abi.order_set, origin=self.name, at=self._clock())
        orders, faults = orders_set(events, parse, self.name)
        return Scan(last=last, orders=orders, faults=faults)

    def _blocks(self, node: StarknetNode, numbers: Sequence[int]) -> list[Block | None]:
        newest = node.newest()
        read = node.blocks(sorted({n for n in numbers if n <= newest.number}))
        return [{b.number: b for b in read}.get(number) for number in numbers]

    def _check(self, node: StarknetNode, orders: Sequence[Order]) -> list[Failure | None]:
        # The newest orders are only in the block that is being built.
        at = "pre_confirmed"
        try:
            fault = self._fault(views.terms(node, self._escrow, at))
        except Malformed as e:
            fault = EscrowNotOurs(f"the escrow {self._escrow} is no escrow any more: {e}")
        except RpcRefused as e:
            fault = e
        if fault is not None:
            return [fault] * len(orders)
        held = views.held(node, self._escrow, [o.number for o in orders], at)
        return [order_fault(o, h, self._escrow) for o, h in zip(orders, held, strict=True)]

    def _settled(self, node: StarknetNode, orders: Sequence[Order]) -> list[_Seen]:
        newest = node.newest()
        far = [o for o in orders if o.block.number < newest.number - _NEAR]
        near = [o for o in orders if o not in far]
        likely = {o.number: o for o in [*near, *self._claimed(node, far, newest)]}
        if not likely:
            return [None] * len(orders)
        first = max(0, min(o.block.number for o in likely.values()) - _SHIFT)
        events = self._paid.within(node, first, newest)
        paid = self._payments.among(events, likely)
        sure = self._claimed(node, [likely[number] for number in paid], newest)
        return [paid[o.number] if o in sure else None for o in orders]

    def _claimed(self, node: StarknetNode, orders: Sequence[Order], at: Block) -> list[Order]:
        """List the orders that the escrow holds unchanged and no longer pending."""
        held = views.held(node, self._escrow, [o.number for o in orders], at)
        for answer in held:
            if isinstance(answer, Failure):
                raise answer
        return [
            order
            for order, answer in zip(orders, held, strict=True)
            if isinstance(answer, EscrowOrder) and answer.is_of(order) and not answer.pending
        ]

    def _fault(self, terms: EscrowTerms) -> Failure | None:
        """Return why no order of this escrow may be paid, or None."""
        if int(terms.wallet, 16) != int(self._wallet, 16):
            return EscrowNotOurs(
                f"the escrow {self._escrow} pays {terms.wallet}, "
                f"but MMBOT_STARKNET_WALLET_ADDRESS is {self._wallet}"
            )
        if terms.registry != self._registry:
            return EscrowNotOurs(
                f"the escrow {self._escrow} obeys {terms.registry}, "
                f"but MMBOT_L1_REGISTRY_ADDRESS is {self._registry}"
            )
        if terms.paused:
            return EscrowPaused(f"the escrow {self._escrow} is paused: its owner must resume it")
        return None


def _alike(order: Order, seen: Sequence[_Seen]) -> _Seen | RpcDisagrees:
    """Return the payment of an order that all witnesses show, or that they disagree."""
    if len({str(one) for one in seen}) == 1:
        return seen[0]
    return RpcDisagrees(f"nodes of starknet differ on whether the escrow has paid {order.key}")


def _agreed(order: Order, faults: Sequence[Failure | None]) -> Failure | None:
    """Return why an order must not be paid: the witnesses' reason, or that they disagree."""
    fault_texts = list(map(_fault_text, faults))
    if len(set(fault_texts)) == 1:
        return faults[0]
    reported = "; ".join(dict.fromkeys(fault_texts))
    return RpcDisagrees(f"nodes of starknet have different things against {order.key}: {reported}")


def _fault_text(fault: Failure | None) -> str:
    return f"{type(fault).__name__}: {fault}" if fault else "nothing"


def _not_claimed(fault: Failure) -> Failure:
    """Return why an order cannot be claimed now; some reasons pass by themselves."""
    if isinstance(fault, AlreadyClaimed):
        return PaymentUnsealed(str(fault))
    return fault
