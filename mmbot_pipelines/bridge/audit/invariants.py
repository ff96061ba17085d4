"""Compare what the chains hold with what the database holds, for every order and every wei.

Pure: facts come in, violations go out. The only part of the bot's own logic that it takes is
the table of legal steps, so it finds what the steps themselves do wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence, Sized
from collections.abc import Set as AbstractSet
from itertools import pairwise

from mmbot_pipelines.bridge.audit.facts import (
    Audited,
    ChainFacts,
    StoredFacts,
    StoredOrder,
    StoredTransaction,
)
from mmbot_pipelines.bridge.orders.lifecycle import NEXT, Status
from mmbot_pipelines.core.outbox import TxState

_PAID = {Status.FULFILLED, Status.PROVING, Status.PROVED, Status.COMPLETED}
_DECIDED = {TxState.MINED, TxState.REVERTED}
_MAX_NAMED = 1000  # numbers of one gap that are looked at
_LEGAL_STEPS = {(before, after) for (before, _), after in NEXT.items()}


def audit(chain: ChainFacts, stored: StoredFacts) -> list[Audited]:
    """Check every invariant; they hold only once every order is at rest."""
    orders, transactions = stored.orders, stored.transactions
    dropped = [o for o in orders if o.status is Status.DROPPED]
    troubled = [*(o.key for o in orders if o.failed), *stored.failed_runs]
    return [
        _audited("every locked order is stored as it is", chain.locked, not_stored(chain, orders)),
        _audited("no order is paid twice", chain.payments, paid_twice(chain)),
        _audited("payments on L1 match the orders", chain.payments, mismatched(chain, orders)),
        _audited("every order is at rest", orders, _unfinished(orders)),
        _audited("a dropped order cost nothing", dropped, _spent(chain, stored, dropped)),
        _audited(
            "every transaction on L1 is stored",
            chain.transactions,
            unrecorded(chain, transactions),
        ),
        _audited(
            "the wallet's balance on L1, to the wei",
            chain.transactions,
            difference(chain.wallet_change, -_spending(transactions)),
        ),
        *(
            _audited(
                f"the wallet's balance on {origin}, to the wei",
                earned := _earnings(orders, origin),
                difference(change, sum(earned)),
            )
            for origin, change in chain.origin_changes.items()
        ),
        _audited("every nonce is used once", transactions, misused_nonces(chain, transactions)),
        _audited("no error is lost", troubled, lost_errors(stored)),
        _audited("history is a legal path", stored.events, illegal_steps(stored)),
    ]


def _audited(name: str, checked: Sized, violations: Iterable[str]) -> Audited:
    return Audited(name=name, checked=len(checked), violations=list(violations))


def not_stored(chain: ChainFacts, orders: Sequence[StoredOrder]) -> Iterator[str]:
    """Yield locked orders that are not stored as the escrow has them."""
    known = {o.key: o.terms for o in orders}
    for key, terms in chain.locked.items():
        if key not in known:
            yield f"{key} locks {terms} in the escrow, and is not in the database"
        elif known[key] != terms:
            yield f"{key} locks {terms} in the escrow, but {known[key]} in the database"


def paid_twice(chain: ChainFacts) -> Iterator[str]:
    """Yield orders that the registry has paid more than once."""
    for key, count in Counter(p.key for p in chain.payments).items():
        if count > 1:
            yield f"{key} was paid {count} times"


def mismatched(chain: ChainFacts, orders: Sequence[StoredOrder]) -> Iterator[str]:
    """Yield orders whose payment and status contradict each other, and payments of none of them."""
    by_key = {p.key: p for p in chain.payments}
    for order in orders:
        payment, terms = by_key.pop(order.key, None), order.terms
        if payment is None and order.status in _PAID:
            yield f"{order.key} ({terms}) is {order.status}, but the registry has no transfer of it"
        elif payment is not None and order.status not in _PAID:
            yield f"{order.key} is {order.status}, but the registry paid {payment} for it"
        elif payment and (payment.recipient, payment.amount) != (terms.recipient, terms.amount):
            yield f"{order.key} locks {terms}, but {payment} was paid"
    for key, payment in by_key.items():
        yield f"{payment} was paid for {key}, which is not in the database"


def _unfinished(orders: Sequence[StoredOrder]) -> Iterator[str]:
    for order in orders:
        if order.status.is_final or (order.parked and order.reason):
            continue
        state = "failed" if order.failed else "healthy"
        yield f"{order.key} is {order.status}, {state}, {order.reason or 'without a reason'}"


def _spent(chain: ChainFacts, stored: StoredFacts, dropped: Sequence[StoredOrder]) -> Iterator[str]:
    # A mined transaction without value is a cancellation: only its gas is gone.
    mined = [t for t in stored.transactions if t.state is TxState.MINED and t.value]
    sent = {key for t in mined for key in (t.subject, *t.serves)}
    spent = sent | {p.key for p in chain.payments}
    for order in dropped:
        if order.key in spent:
            yield f"{order.key} is DROPPED, after money went out for it"


def unrecorded(chain: ChainFacts, transactions: Sequence[StoredTransaction]) -> Iterator[str]:
    """Yield transactions that chain and outbox have differently."""
    rows = {t.hash: t for t in transactions if t.state in _DECIDED}
    for mined in chain.transactions:
        row = rows.pop(mined.hash, None)
        if row is None:
            yield f"{mined.hash} with nonce {mined.nonce} has no decided row"
        elif (row.state is TxState.MINED) is not mined.succeeded:
            yield f"{mined.hash} of {row.subject} is {row.state}, which the chain denies"
        elif row.gas_cost != mined.gas_cost:
            yield f"{mined.hash} of {row.subject} cost {mined.gas_cost} wei of gas"
    for row in rows.values():
        yield f"{row.hash} of {row.subject} is {row.state}, and in no block"


def _spending(transactions: Sequence[StoredTransaction]) -> int:
    gas = sum(t.gas_cost for t in transactions if t.state in _DECIDED)
    return gas + sum(t.value for t in transactions if t.state is TxState.MINED)


def difference(on_chain: int, recorded: int) -> Iterator[str]:
    """Yield how far what moved on chain is from what is recorded, both in wei."""
    if on_chain != recorded:
        difference = on_chain - recorded
        yield f"moved {on_chain} wei, recorded are {recorded} wei, {difference:+} wei apart"


def _earnings(orders: Sequence[StoredOrder], origin: str) -> list[int]:
    return [
        o.terms.amount + o.terms.fee + o.claim_refund
        for o in orders
        if o.status is Status.COMPLETED and o.origin == origin
    ]


def misused_nonces(chain: ChainFacts, transactions: Sequence[StoredTransaction]) -> Iterator[str]:
    """Yield nonces that are used on chain by none or several of our rows, or not at all."""
    rows: dict[int, list[StoredTransaction]] = defaultdict(list)
    for row in transactions:
        rows[row.nonce].append(row)
    for nonce in chain.nonces:
        decided = sum(row.state in _DECIDED for row in rows[nonce])
        if decided != 1 and not any(row.state is TxState.LOST for row in rows[nonce]):
            yield f"nonce {nonce} is used on chain, and {decided} rows are decided for it"
    for nonce, group in rows.items():
        if nonce not in chain.nonces:
            yield f"nonce {nonce} of {group[0].subject} is not used on chain"
        yield from (f"nonce {nonce} is undecided" for row in group if row.state is TxState.STORED)


def lost_errors(stored: StoredFacts) -> Iterator[str]:
    """Yield failed orders and runs without an error that says why."""
    subjects = {subject for subject, _ in stored.errors}
    by_run = {(run_id, name) for subject, run_id in stored.errors for name in subject.split(", ")}
    runs: dict[str, set[str]] = defaultdict(set)
    for run_id, key in stored.failed_runs:
        runs[run_id].add(key)
    for order in stored.orders:
        if order.failed and order.key not in subjects:
            yield f"{order.key} failed, and no error gives the reason"
    for run_id, keys in runs.items():
        # One order's failure fails a run that did its work for all the others; an outage that
        # hit several orders is noted once, for their origins.
        named = keys | {key.partition(":")[0] for key in keys}
        if not any((run_id, name) in by_run for name in named):
            yield f"run {run_id} failed, and none of {', '.join(sorted(keys))} has an error of it"


def illegal_steps(stored: StoredFacts) -> Iterator[str]:
    """Yield steps in histories that the table of legal steps does not have."""
    status: dict[str, str] = {}
    for event in stored.events:
        before = status.get(event.key)
        if event.before != before:
            yield f"{event.key} was {before}, and then left {event.before}"
        elif before is None and event.after != Status.PENDING:
            yield f"{event.key} began as {event.after}"
        elif before not in (None, event.after) and (before, event.after) not in _LEGAL_STEPS:
            yield f"{event.key} went from {before} to {event.after}"
        status[event.key] = event.after
    for order in stored.orders:
        if status.get(order.key) != order.status:
            yield f"{order.key} is {order.status}, its history ends at {status.get(order.key)}"


def missing_numbers(
    origin: str, numbers: Sequence[int], skipped: AbstractSet[str]
) -> Iterator[str]:
    """Yield gaps between an origin's stored orders, which its escrow numbers one by one.

    skipped: keys of orders that could not be stored, for a reason that is stored.
    """
    ordered = sorted(numbers)
    for low, high in pairwise(ordered):
        gone = [n for n in range(low + 1, high)[:_MAX_NAMED] if f"{origin}:{n}" not in skipped]
        if gone:
            yield f"{origin}:{gone[0]} is missing between {origin}:{low} and {origin}:{high}"
