"""What is to be done about a stuck transaction: raise its fee, cancel it, or wait.

A transfer may cost at most what the order's fee leaves beside its claim, a claim at most
what is owed to us. Where that does not suffice for long, the lowest nonce is cancelled, so
that nobody waits behind it: a transfer is decided about again, and a claim, which others wait
for, is made again when its price has fallen.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import groupby

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.claim_cost import ClaimCost
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import CANCEL, REPAY, TRANSFER
from mmbot_pipelines.bridge.sending.gas_estimates import claim_gas
from mmbot_pipelines.bridge.sending.lane import in_flight
from mmbot_pipelines.bridge.sending.still_wanted import OrderCheck, check_again, transfer_of
from mmbot_pipelines.bridge.stuck.batch import stuck_batch
from mmbot_pipelines.bridge.stuck.blocked_nonce import FeeQuotes, Replacement, StuckNonce, gas_of
from mmbot_pipelines.bridge.stuck.claim import stuck_claim
from mmbot_pipelines.core.fee_bump import blocking, is_old
from mmbot_pipelines.core.money import TxHash, format_ether
from mmbot_pipelines.core.outbox import Fees, Transaction, by_nonce, max_total_cost


def find_stuck(bridge: Bridge, waiting: Sequence[Transaction], market: Fees) -> list[StuckNonce]:
    """Return the nonces that block the lane, and the transfers that may not be wanted."""
    now, after = bridge.clock(), bridge.rules.stuck_after_seconds
    in_the_way = {rows[-1].hash for rows in blocking(waiting, market, at=now, after_seconds=after)}
    served = sorted({key for row in waiting for key in _served(row)})
    orders = {o.key: o for o in bridge.store.orders.get(served)}
    nonces = by_nonce(waiting)
    transfers = {
        (rows[-1].subject, rows[-1].nonce): rows[-1]
        for rows in nonces
        if any(row.purpose == TRANSFER for row in rows)
    }
    stuck_nonces = [
        StuckNonce(
            rows=rows,
            orders=[orders[key] for key in _served(rows[-1]) if key in orders],
            old=is_old(rows, at=now, after_seconds=after),
            blocks=rows[-1].hash in in_the_way,
            first=rows is nonces[0],
            awaited=rows is not nonces[-1],
            transfer=transfers.get((rows[-1].subject, rows[-1].nonce - 1))
            if rows[-1].purpose == REPAY and not rows[-1].batch
            else None,
        )
        for rows in nonces
    ]
    touched = {
        n.newest.hash
        for n in stuck_nonces
        if n.blocks or (n.newest.purpose == TRANSFER and _is_unwanted(n))
    }
    return [n for n in stuck_nonces if n.newest.hash in touched or _follows(n, touched)]


def _served(row: Transaction) -> list[str]:
    return list(dict.fromkeys(part.subject for part in row.parts))


def _follows(stuck_nonce: StuckNonce, touched: Container[TxHash]) -> bool:
    """Return whether it is a claim that goes down with its transfer, or may have to."""
    transfer = stuck_nonce.transfer
    return transfer is not None and (stuck_nonce.stray or transfer.hash in touched)


def _is_unwanted(stuck_nonce: StuckNonce) -> bool:
    pays = stuck_nonce.newest.purpose == TRANSFER
    parked = any(order.is_parked for order in stuck_nonce.orders)
    return stuck_nonce.stray or (parked and (pays or stuck_nonce.order is not None))


def plan_replacements(
    bridge: Bridge, stuck_nonces: Sequence[StuckNonce], market: Fees, run: Run
) -> Iterator[Replacement]:
    """Yield the replacements that help, and log where none does."""
    checks = _order_checks(bridge, stuck_nonces, market)
    quotes = FeeQuotes(bridge, stuck_nonces, market)
    balance = bridge.chain.balance()
    everything = max_total_cost(in_flight(bridge))
    helped, cancelled = True, set[TxHash]()
    replacement: Replacement | str | None
    for stuck_nonce in stuck_nonces:
        newest = stuck_nonce.newest
        available = balance - (everything - max_total_cost(stuck_nonce.rows))
        if not helped and not _is_unwanted(stuck_nonce):
            continue  # it waits for a nonce that nothing helps now
        if newest.purpose == CANCEL or not stuck_nonce.waiting:
            replacement = quotes.cancelling(stuck_nonce, "nobody waits for it")
        elif stuck_nonce.transfer is not None and stuck_nonce.transfer.hash in cancelled:
            replacement = quotes.cancelling(stuck_nonce, "cancelled with its transfer")
        elif not stuck_nonce.blocks and newest.purpose == REPAY:
            continue  # its transfer goes on
        elif newest.purpose == REPAY:
            replacement = stuck_claim(bridge, stuck_nonce, quotes)
        elif newest.is_self_call:
            replacement = stuck_batch(bridge, stuck_nonce, checks, quotes, available)
        else:
            (order,) = stuck_nonce.orders
            replacement = _transferred(
                bridge, stuck_nonce, order, checks[order.key], quotes, available
            )
        if isinstance(replacement, Replacement):
            if replacement.call is None:
                cancelled.add(newest.hash)
            yield replacement
        elif stuck_nonce.blocks:
            helped = False
            why = replacement or "required fee exceeds the order's margin"
            run.log(f"{newest.subject}: nonce {newest.nonce} waiting: {why}")


def _transferred(
    bridge: Bridge,
    stuck_nonce: StuckNonce,
    order: Order,
    check: OrderCheck,
    quotes: FeeQuotes,
    funds: int,
) -> Replacement | None:
    newest, may_end = stuck_nonce.newest, stuck_nonce.old and stuck_nonce.first
    if check.against is not None:
        # An outage is no fault of the order: it is waited for, but not for long.
        unwanted = may_end or not check.outage
        return quotes.cancelling(stuck_nonce, f"cancelled, {check.against}") if unwanted else None
    if not stuck_nonce.blocks:
        return None
    claim = ClaimCost(claim_gas(bridge, order.origin), check.message)
    margin = max(0, order.fee - claim.at(quotes.market.expected))
    gas = gas_of(newest, check.gas)
    fees = quotes.fees(stuck_nonce, margin // gas) if gas else None
    if gas and fees and newest.call.value + gas * fees.ceiling <= funds:
        return quotes.paying(stuck_nonce, newest.call, gas, fees)
    if not may_end:
        return None
    left = f"its fee leaves {format_ether(margin)} for the transfer"
    return quotes.cancelling(stuck_nonce, f"cancelled, {left} and the wallet {format_ether(funds)}")


def _order_checks(
    bridge: Bridge, stuck_nonces: Sequence[StuckNonce], market: Fees
) -> Mapping[str, OrderCheck]:
    """Look again at the orders whose transfers are in trouble, as before the first signature."""
    doubtful = [n for n in stuck_nonces if n.newest.purpose == TRANSFER and not n.stray]
    orders = [order for n in doubtful for order in n.waiting]
    calls = {o.key: transfer_of(bridge, o, n.newest) for n in doubtful for o in n.waiting}
    found: dict[str, OrderCheck] = {}
    for origin, group in groupby(sorted(orders, key=lambda o: o.key), key=lambda o: o.origin):
        found |= check_again(bridge, origin, list(group), calls, market)
    return found
