"""Transactions of a delegated account (EIP-7702): one at a time, with many calls. Reads chain.

Nodes keep one transaction of an account with code, and refuse a second one. So the transfers of
many orders, with their claims or without, or the claims of many go into one transaction, which
our account sends to itself. While it is in flight the next orders wait, and go together when it
is decided: the time of a block collects them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import BATCH_SIZE
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import REPAY
from mmbot_pipelines.bridge.sending.caps import Wait
from mmbot_pipelines.bridge.sending.lane import Unsigned, in_flight
from mmbot_pipelines.bridge.sending.requests import SubmitRequest
from mmbot_pipelines.core.delegation import AccountCode, BatchContract, BatchedCall, Delegation
from mmbot_pipelines.core.errors import Halts
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Fees, Part

LANE_IS_TAKEN = Wait(
    reason="waiting: the delegated account has a transaction in flight",
    detail="nodes take one transaction at a time of a delegated account, and one is in flight",
    halted=True,
)

# Orders that are decided together: about as many as one transaction holds.
_SLICE = 64

# What a call of a batch may burn: a transfer to a plain account takes 137 k. What needs more goes
# alone.
MAX_CALL_GAS = Gas(300_000)

# Of the 2**24 that one transaction can have (EIP-7825).
MAX_BATCH_GAS = Gas(15_000_000)


class ForeignCode(Halts):
    """Our account runs other code than the batch contract's: it can move the account's money."""

    reason = "waiting: our account runs somebody else's code"


@dataclass(slots=True)
class Shared:
    """What our delegated account sends in its one transaction; at first nothing."""

    contract: BatchContract
    account: Address
    together: bool  # False: the account has code, but cannot make several calls
    calls: list[BatchedCall] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    alone: bool = False  # it is one order's, which does not share

    def in_turn(self, requests: Sequence[SubmitRequest], at: datetime) -> list[SubmitRequest]:
        """Return the requests in the order in which they are asked for.

        Those that go alone come first in every second minute, so that neither kind waits for ever
        behind the other.
        """
        first = at.minute % 2 == 0
        return sorted(requests, key=lambda r: self._shares(r) is not first)

    def has_room(self, request: SubmitRequest) -> bool:
        """Return whether a request may go with what is there."""
        if self.alone or not self.calls:
            return not self.alone
        if not self._shares(request):
            return False
        return self.contract.gas([*self.calls, *_calls(request)]) <= MAX_BATCH_GAS

    def max_cost(self, request: SubmitRequest, fees: Fees) -> Wei:
        """Return the most that the wallet must have for a request, beside what is there."""
        if not self._shares(request):
            return Wei(request.call.value + request.gas * fees.ceiling + request.reserve)
        before = self.contract.gas(self.calls) if self.calls else 0
        calls = _calls(request)
        gas = self.contract.gas([*self.calls, *calls]) - before
        reserve = request.reserve if request.claim is None else 0
        return Wei(sum(c.call.value for c in calls) + gas * fees.ceiling + reserve)

    def add(self, request: SubmitRequest, purpose: str) -> None:
        """Add a request that has room."""
        if not self._shares(request):
            self.alone = True
            return
        order, calls = request.order, _calls(request)
        self.calls += calls
        self.parts += [
            Part(subject=order.key, purpose=one, attempt=order.attempt, value=call.call.value)
            for one, call in zip((purpose, REPAY), calls, strict=False)
        ]

    def unsigned(self, first: Order, purpose: str, fees: Fees, nonce: int) -> Unsigned:
        """Return the transaction that makes all its calls.

        first: the order that it is named after.
        """
        others = len({part.subject for part in self.parts}) - 1
        return Unsigned(
            subject=f"{first.key}+{others}",
            purpose=purpose,
            attempt=first.attempt,
            nonce=nonce,
            call=self.contract.batch(self.account, self.calls),
            gas=self.contract.gas(self.calls),
            fees=fees,
            batch=tuple(self.parts),
        )

    def _shares(self, request: SubmitRequest) -> bool:
        """Return whether a request goes with others; an order that has failed before does not."""
        single = not request.others and not request.order.failures
        return self.together and single and request.gas <= MAX_CALL_GAS


def slice_size(bridge: Bridge) -> int:
    """Return how many orders are decided together: those of a batch, where there are any."""
    return BATCH_SIZE if bridge.batch_contract is None else _SLICE


def is_taken(bridge: Bridge) -> bool:
    """Return whether every wallet has a batch in flight, so that nothing can be sent now."""
    if bridge.batch_contract is None:
        return False
    return all(any(row.is_self_call for row in in_flight(lane)) for lane in bridge.lanes)


def free_lane(bridge: Bridge) -> None:
    """Let orders that waited for the wallet's one transaction be taken: it is decided."""
    if bridge.batch_contract is None:
        return
    with bridge.store.begin() as uow:
        for origin in bridge.origins:
            uow.orders.release_waiting(origin, LANE_IS_TAKEN.reason)


def read_delegation(bridge: Bridge) -> Delegation | None:
    """Return what code our account runs, where batches are asked for.

    Raises:
        Failure: the chain could not be asked.
    """
    contract = bridge.batch_contract
    return None if contract is None else contract.delegation(bridge.chain.wallet)


def open_batch(bridge: Bridge, found: Delegation | None, run: Run) -> Shared | None:
    """Return what the wallet's next transaction is made of; None: each order has its own.

    Raises:
        ForeignCode: our account runs somebody else's code.
    """
    if found is None or bridge.batch_contract is None:
        return None
    if found.code is AccountCode.FOREIGN:
        raise ForeignCode(
            f"{found.summary}, which can move its money: run `mmbot delegation remove`, and use a "
            "new key if it was not you"
        )
    if found.code is AccountCode.NONE:
        run.log(
            f"MMBOT_BATCH is eip7702, but {found.summary}: sent one by one; run `mmbot halt` and "
            "`mmbot delegation set`"
        )
        return None
    if found.code is AccountCode.MISSING:
        run.log(f"{found.summary}: sent one at a time; run `mmbot delegation set`")
    together = found.code is AccountCode.OURS
    return Shared(contract=bridge.batch_contract, account=found.account, together=together)


def _calls(request: SubmitRequest) -> list[BatchedCall]:
    """Return the calls of a request: where a transfer fails, the registry refuses its claim."""
    calls = [BatchedCall(call=request.call, gas=request.gas, may_fail=True)]
    if (claim := request.claim) is not None:
        calls.append(BatchedCall(call=claim.call, gas=claim.gas, may_fail=True))
    return calls
