"""What is to be done about a stuck batch of transfers (EIP-7702): pay more, cancel, or wait.

The same transfers go again at higher fees, without the orders that are not wanted any more and
those whose margin does not carry their share of the gas. Claims that were with them follow later:
their messages cost more now. None is added: what is left out is decided again only when the nonce
is decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.claim_cost import ClaimCost
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import TRANSFER
from mmbot_pipelines.bridge.sending.batches import MAX_CALL_GAS, read_delegation
from mmbot_pipelines.bridge.sending.gas_estimates import claim_gas
from mmbot_pipelines.bridge.sending.still_wanted import OrderCheck
from mmbot_pipelines.bridge.stuck.blocked_nonce import FeeQuotes, Replacement, StuckNonce
from mmbot_pipelines.core.delegation import AccountCode, BatchContract, BatchedCall
from mmbot_pipelines.core.money import Wei, format_ether
from mmbot_pipelines.core.outbox import Fees, max_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """An order that is still to be paid."""

    order: Order
    call: BatchedCall
    margin: int  # wei that its fee leaves for the transfer


def stuck_batch(
    bridge: Bridge,
    stuck_nonce: StuckNonce,
    checks: Mapping[str, OrderCheck],
    quotes: FeeQuotes,
    funds: int,
) -> Replacement | str | None:
    """Return what takes a stuck batch's nonce, or why it waits."""
    may_end = stuck_nonce.old and stuck_nonce.first
    waiting = [order for order in stuck_nonce.waiting if not order.is_parked]
    if not may_end and any(checks[order.key].outage for order in waiting):
        return "a chain cannot be asked about its orders"
    contract = batches_now(bridge)
    if contract is None:
        return quotes.cancelling(stuck_nonce, "cancelled, the account makes no batches any more")
    wanted = [order for order in waiting if checks[order.key].against is None]
    if not wanted:
        return quotes.cancelling(stuck_nonce, "cancelled, none of its orders is to be paid now")
    if not stuck_nonce.blocks and len(wanted) == len(stuck_nonce.orders):
        return None
    candidates = [_candidate(bridge, order, checks[order.key], quotes.market) for order in wanted]
    replacement = _affordable(bridge, contract, stuck_nonce, candidates, quotes, funds)
    if replacement is None and may_end:
        why = f"no fee that its orders carry helps, and the wallet has {format_ether(Wei(funds))}"
        return quotes.cancelling(stuck_nonce, f"cancelled, {why}")
    return replacement


def batches_now(bridge: Bridge) -> BatchContract | None:
    """Return the contract if our account makes batches now: else the call would do nothing."""
    found = read_delegation(bridge)
    return bridge.batch_contract if found and found.code is AccountCode.OURS else None


def _candidate(bridge: Bridge, order: Order, check: OrderCheck, market: Fees) -> _Candidate:
    gas = min(check.gas, MAX_CALL_GAS) if isinstance(check.gas, int) else MAX_CALL_GAS
    call = BatchedCall(call=bridge.registry.transfer(order), gas=gas, may_fail=True)
    claim = ClaimCost(claim_gas(bridge, order.origin), check.message)
    return _Candidate(order=order, call=call, margin=max(0, order.fee - claim.at(market.expected)))


def _affordable(
    bridge: Bridge,
    contract: BatchContract,
    stuck_nonce: StuckNonce,
    candidates: Sequence[_Candidate],
    quotes: FeeQuotes,
    funds: int,
) -> Replacement | None:
    """Return the batch of as many orders as carry their shares at fees that help."""
    newest, left = stuck_nonce.newest, sorted(candidates, key=lambda c: c.margin, reverse=True)
    while left:
        kept = {c.order.key for c in left}
        transfers = (part for part in newest.batch if part.purpose == TRANSFER)
        batch = tuple(part for part in transfers if part.subject in kept)
        calls = [c.call for c in candidates if c.order.key in kept]
        gas = contract.gas(calls)
        share = -(-gas // len(calls))
        fees = quotes.fees(stuck_nonce, left[-1].margin // share)
        if fees is not None:
            call = contract.batch(bridge.chain.wallet, calls)
            if max_cost(call, gas, fees, batch) > funds:
                return None
            return quotes.paying(stuck_nonce, call, gas, fees, batch)
        left.pop()  # the one that carries least
    return None
