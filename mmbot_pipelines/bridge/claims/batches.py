"""Claims of several orders in one transaction: which go together. Reads the chains and the store.

One item that the registry refuses reverts the whole transaction, and one that the escrow refuses
makes the whole message fail on the L2. So only orders that the escrow holds for us now go together,
each batch is simulated, and one that would revert is halved until what is wrong stands alone: it
takes the way of a single order, with its own error. An order that has failed before goes alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mmbot_pipelines.bridge.claim_cost import ClaimCost, unprofitable
from mmbot_pipelines.bridge.failures import Work
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.sending.claims_behind import BATCH_PAUSE
from mmbot_pipelines.bridge.sending.requests import SubmitRequest
from mmbot_pipelines.core.errors import Failure, InsufficientFunds, TryAgain, Waits
from mmbot_pipelines.core.money import Gas, Wei, shares
from mmbot_pipelines.core.outbox import Call, Fees


def batch_size(work: Work, origin: str) -> int:
    """Return how many orders of an origin may be claimed together now; 1: each goes alone."""
    bridge, batching = work.bridge, work.bridge.rules.batching
    if batching is None:
        return 1
    size = min(batching.max_orders, bridge.origins[origin].max_batch)
    since = bridge.clock() - BATCH_PAUSE
    if size > 1 and bridge.accounts.batch_failed(origin, since=since):
        work.run.log(f"{origin}: a batch of claims failed lately, each order is claimed alone")
        return 1
    return size


@dataclass(slots=True)
class ClaimPlan:
    """How orders are claimed: some together, the others alone."""

    together: list[SubmitRequest] = field(default_factory=list)
    alone: list[Order] = field(default_factory=list)


def plan_claims(
    work: Work, origin: str, orders: Sequence[Order], size: int, fees: Fees
) -> ClaimPlan:
    """Return how these orders are claimed; one whose claim is not worth its share waits.

    Raises:
        TryAgain: a chain could not be asked.
    """
    plan = ClaimPlan()
    fit = [order for order in orders if not (order.failures or order.lost_claims)]
    if size < 2 or len(fit) < 2:
        plan.alone += orders
        return plan
    checked = work.bridge.origins[origin].check(fit)
    good = [order for order, fault in zip(fit, checked, strict=True) if fault is None]
    plan.alone += [order for order in orders if order not in good]
    waiting = [good[start : start + size] for start in range(0, len(good), size)]
    while batches := [batch for batch in waiting if len(batch) > 1]:
        plan.alone += [order for batch in waiting if len(batch) == 1 for order in batch]
        waiting = list(_simulated(work, origin, plan, batches, fees))
    plan.alone += [order for batch in waiting for order in batch]
    return plan


def _simulated(
    work: Work, origin: str, plan: ClaimPlan, batches: Sequence[list[Order]], fees: Fees
) -> Iterator[list[Order]]:
    """Add the batches that may be sent to the plan; yield what is left, in smaller batches."""
    chain = work.bridge.chain
    calls = work.bridge.origins[origin].claim_batches(batches, fees)
    simulated = iter(chain.simulate([c for c in calls if isinstance(c, Call)], fees))
    for batch, call in zip(batches, calls, strict=True):
        gas = next(simulated) if isinstance(call, Call) else call
        if isinstance(gas, TryAgain):
            raise gas
        if isinstance(gas, Waits) and not isinstance(gas, InsufficientFunds):
            # What all share: each order notes it for itself, or is claimed all the same.
            work.run.log(f"{origin}: {len(batch)} orders are not claimed together, {gas}")
            plan.alone += batch
        elif isinstance(gas, Failure):
            middle = len(batch) // 2
            work.run.log(
                f"{origin}: a batch of {len(batch)} claims is halved, it would fail: {gas}"
            )
            yield batch[:middle]
            yield batch[middle:]
        elif isinstance(call, Call):
            dear = _unprofitable(work, batch, call, gas, fees)
            if dear:
                yield [order for order in batch if order not in dear]
            else:
                first, *others = batch
                request = SubmitRequest(
                    order=first, others=tuple(others), call=call, gas=gas, reserve=Wei(0)
                )
                plan.together.append(request)


def _unprofitable(
    work: Work, batch: Sequence[Order], call: Call, gas: Gas, fees: Fees
) -> list[Order]:
    """Let orders wait whose claims bring less than their share costs; return them."""
    cost = ClaimCost(gas, call.value).at(fees.expected)
    dear = []
    for order, share in zip(batch, shares(cost, len(batch)), strict=True):
        if loss := unprofitable(order, share):
            work.fail(order, loss)
            dear.append(order)
    return dear
