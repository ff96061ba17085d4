"""Claims by a message from L1: priced, built, and followed until they arrive. Reads chain."""

import time
from collections.abc import Callable, Sequence

from mmbot_pipelines.adapters.bridge.registry_abi import V1, V2, RegistryAbi
from mmbot_pipelines.adapters.bridge.starknet.claim_polls import ClaimPolls
from mmbot_pipelines.adapters.bridge.starknet.message_fee import (
    MAX_FEE,
    MAX_RATIO,
    MessageFees,
)
from mmbot_pipelines.adapters.bridge.starknet.message_status import Messages, Sent
from mmbot_pipelines.adapters.bridge.starknet.registry import claim, claim_batch
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import MessageEnd, Progress
from mmbot_pipelines.core.errors import Failure, TryAgain
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Event, Fees

_KIND = "message "  # what a claim's name begins with
_MAX_BATCH = 100  # orders: 501 felts of a message


class ByMessage:
    """The port `Repayment` by messages from L1. Threads may share it."""

    # Of claimPayment on L1: 85 k to 103 k measured on a bare registry, and 5 k for the
    # deployed one's proxy (measured: 106 k against 111.2 k for a transfer).
    claim_gas = Gas(110_000)

    def __init__(
        self,
        rpc: StarknetRpc,
        l1: Rpc,
        registry: Address,
        *,
        escrow: Address,
        messaging: Address,
        abi: RegistryAbi = V1,
        margin_percent: int,
        max_fee: Wei = MAX_FEE,
        max_ratio: int = MAX_RATIO,
        poll_seconds: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the contracts; nothing is asked yet.

        messaging: Starknet's core contract on L1.
        abi: of the registry.
        margin_percent, max_fee, max_ratio: see `MessageFees`.
        poll_seconds: between two looks after one message.
        """
        self._registry = registry
        self._abi = abi
        self._fees = MessageFees(
            rpc=rpc,
            registry=registry,
            escrow=escrow,
            margin_percent=margin_percent,
            max_fee=max_fee,
            max_ratio=max_ratio,
        )
        self._messages = Messages(
            rpc=rpc, l1=l1, registry=registry, escrow=escrow, messaging=messaging
        )
        self._polls = ClaimPolls(_KIND, seconds=poll_seconds, clock=clock)

    def message_fee(self, orders: Sequence[Order], fees: Fees) -> list[Wei]:
        """Price each claim's message, in wei: all cost the same, so one is estimated.

        An order whose claim would revert now has no estimate; the others' price is its own.

        Raises:
            RpcRefused: no order's claim can be estimated.
            RpcDisagrees: nodes differ more than their newest blocks' prices can.
            MessageFeeOutOfRange, MessageFeeTooHigh: see `MessageFees.price`.
        """
        return [self._fees.price(orders)] * len(orders) if orders else []

    def claims(self, orders: Sequence[Order], fees: Fees) -> list[Call | Failure]:
        """Build the L1 calls that make the escrow pay us; a claim that costs too much now waits."""
        values = self.message_fee(orders, fees)
        return [self._claim(o, value, fees) for o, value in zip(orders, values, strict=True)]

    def _claim(self, order: Order, value: Wei, fees: Fees) -> Call | Failure:
        cost_grew = self._fees.cost_grew(order, value, self.claim_gas, fees)
        return cost_grew or claim(self._registry, self._abi, order, value=value)

    @property
    def max_batch(self) -> int:
        """Return how many orders one claim may name."""
        return _MAX_BATCH if self._abi is V2 else 1

    def claim_batches(
        self, batches: Sequence[Sequence[Order]], fees: Fees
    ) -> Sequence[Call | Failure]:
        """Build for each batch the one L1 call that claims all of it."""
        if not batches:
            return []
        if (elsewhere := self._messages.batches_elsewhere()) is not None:
            return [elsewhere] * len(batches)
        return [self._claim_batch(batch, fees) for batch in batches]

    def _claim_batch(self, orders: Sequence[Order], fees: Fees) -> Call | Failure:
        try:
            value = self._fees.price_batch(orders)
        except TryAgain:
            raise
        except Failure as e:
            return e
        share = Wei(-(-value // len(orders)))
        grown = (self._fees.cost_grew(o, share, self.claim_gas, fees) for o in orders)
        return next((g for g in grown if g), claim_batch(self._registry, orders, value=value))

    def elsewhere(self) -> Failure | None:
        """Return that the registry sends claims to another escrow or function, or None."""
        return self._messages.elsewhere()

    def claimed_in(self, events: Sequence[Event], orders: Sequence[Order]) -> list[bool]:
        """Return whether the events of one transaction have each order's message."""
        return self._messages.claimed_in(events, orders)

    def message_ends(self, claims: Sequence[TxHash]) -> list[Sequence[MessageEnd] | None]:
        """Return nothing: a message that failed gives nothing back, and `progress` finds it."""
        return [()] * len(claims)

    def record_costs(self) -> None:
        """Do nothing: nothing of ours is sent to Starknet."""

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        """Return which claims' messages were sent, and which were consumed without effect.

        A claim that is mined without a message can never arrive. A message that L1 has
        consumed in a finalized block was executed on Starknet; it is lost only where all
        witnesses agree that it failed there and that the escrow has not paid.
        """
        proved = [o for o in orders if o.status is Status.PROVED and o.claim_tx]
        new = [order for order in proved if order.claim_ref is None]
        due = [*new, *self._polls.due(proved)]
        sent = self._messages.sent(due)
        seen: dict[str, Progress] = {}
        waiting: dict[str, Sent] = {}
        for order in (o for o in due if o.key in sent):
            found = sent[order.key].message
            if found is None:
                seen[order.key] = Progress(lost=self._messages.missing(order))
            elif order.claim_ref != f"{_KIND}{found}":
                # Or a reorg of L1 has mined the claim again, with another number for it.
                seen[order.key] = Progress(ref=f"{_KIND}{found}")
            else:
                waiting[order.key] = sent[order.key]
        gone = self._messages.consumed(waiting)
        failed = self._messages.failed([o for o in due if o.key in gone], waiting)
        seen |= {key: Progress(lost=why) for key, why in failed.items()}
        return [seen.get(order.key, Progress()) for order in orders]
