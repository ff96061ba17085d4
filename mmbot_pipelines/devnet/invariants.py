"""Is an order lost, or anything paid twice? Asked of the chains and the database.

Nothing here goes through the bot's own steps: its table of legal steps is the one thing
that is taken from it, for the history has to follow that.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmbot_pipelines.bridge.lifecycle import NEXT, Status
from mmbot_pipelines.devnet.outside import Before, Books, Mined, Outside, Paid, Terms, books

_PAID = {"FULFILLED", "PROVING", "PROVED", "COMPLETED"}
_DECIDED = {"MINED", "REVERTED"}
_STEPS = {(before.value, after.value) for (before, _), after in NEXT.items()}
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One invariant, on how many things it was checked, and what breaks it."""

    name: str
    checked: int
    broken: Sequence[str]


def check(outside: Outside, database_url: str, since: Before) -> list[Result]:
    """Check every invariant, now that the bot is at rest.

    since: as `outside.mark()` noted it before the first order.
    """
    return judge(outside, books(database_url), since)


def judge(outside: Outside, kept: Books, since: Before) -> list[Result]:
    """Compare the database's rows with the chains."""
    paid, mined = outside.paid(since), outside.mined(since)
    locked: dict[str, Terms] = {}
    for side in outside.sides:
        locked |= side.orders()
    return [
        _result("every locked order is known as it is", locked, _unknown(kept, locked)),
        _result("one transfer per order at most", paid, _paid_twice(paid)),
        _result("paid in the registry = paid in the database", paid, _unlike(kept, paid)),
        _result("every order is at rest", kept.orders, _restless(kept)),
        _result("a dropped order cost nothing", _in(kept, {"DROPPED"}), _spent(kept, paid)),
        _result("each of our transactions is recorded", mined, _unrecorded(kept, mined)),
        _result("the wallet on L1, to the wei", mined, _wallet(outside, kept, since)),
        *(
            _result(
                f"the wallet on {side.name}, to the wei",
                earned := _earned(kept, side.name),
                _moved(side.balance() - since.balances[side.name], sum(earned)),
            )
            for side in outside.sides
        ),
        _result("no nonce twice, none missing", kept.transactions, _nonces(outside, kept, since)),
        _result("no error is lost", [*_troubled(kept), *kept.failed_runs], _lost_errors(kept)),
        _result("history is a legal path", kept.events, _illegal(kept)),
    ]


def table(results: Sequence[Result]) -> str:
    """Write the results down, one invariant a line, with what breaks it below."""
    width = max(len(result.name) for result in results)
    lines = []
    for result in results:
        verdict = f"BROKEN {len(result.broken)}" if result.broken else "ok"
        lines.append(f"{result.name:<{width}}  {result.checked:>6}  {verdict}")
        lines += [f"    {line}" for line in result.broken[:_SHOWN]]
        if len(result.broken) > _SHOWN:
            lines.append(f"    ... and {len(result.broken) - _SHOWN} more")
    return "\n".join(lines)


def kinds_of_rest(kept: Books) -> Counter[str]:
    """Count how the orders ended."""
    return Counter(f"{o.status}{' parked' if _parked(o) else ''}" for o in kept.orders)


def _result(name: str, checked: Sequence[Any] | dict[Any, Any], broken: Iterable[str]) -> Result:
    return Result(name=name, checked=len(checked), broken=list(broken))


def _in(kept: Books, statuses: set[str]) -> list[Any]:
    return [o for o in kept.orders if o.status in statuses]


def _parked(order: Any) -> bool:
    return bool(order.failed and order.next_attempt_at is None)


def _terms(order: Any) -> Terms:
    return Terms(recipient=int(order.recipient, 16), amount=int(order.amount), fee=int(order.fee))


def _unknown(kept: Books, locked: dict[str, Terms]) -> Iterator[str]:
    known = {o.key: _terms(o) for o in kept.orders}
    for key, terms in locked.items():
        if key not in known:
            yield f"{key} is locked in the escrow, and the bot has never seen it"
        elif known[key] != terms:
            yield f"{key} is {terms} in the escrow, but {known[key]} in the database"


def _paid_twice(paid: Sequence[Paid]) -> Iterator[str]:
    for key, count in Counter(p.key for p in paid).items():
        if count > 1:
            yield f"{key} was paid {count} times"


def _unlike(kept: Books, paid: Sequence[Paid]) -> Iterator[str]:
    by_key = {p.key: p for p in paid}
    for order in kept.orders:
        payment, terms = by_key.pop(order.key, None), _terms(order)
        if payment is None and order.status in _PAID:
            yield f"{order.key} is {order.status}, but the registry has no transfer of it"
        elif payment is not None and order.status not in _PAID:
            yield f"{order.key} is {order.status}, but the registry has its transfer"
        elif payment and (payment.recipient, payment.amount) != (terms.recipient, terms.amount):
            yield f"{order.key} was to be {terms}, but {payment} was paid"
    for key in by_key:
        yield f"{key} was paid, and the database has no such order"


def _restless(kept: Books) -> Iterator[str]:
    for order in kept.orders:
        if order.status in ("COMPLETED", "DROPPED") or (_parked(order) and order.reason):
            continue
        state = "failed" if order.failed else "healthy"
        yield f"{order.key} is {order.status}, {state}, {order.reason or 'without a reason'}"


def _spent(kept: Books, paid: Sequence[Paid]) -> Iterator[str]:
    succeeded = {t.subject for t in kept.transactions if t.state == "MINED" and t.call_value}
    for order in _in(kept, {"DROPPED"}):
        if order.key in succeeded or order.key in {p.key for p in paid}:
            yield f"{order.key} is DROPPED, after money went out for it"


def _unrecorded(kept: Books, mined: Sequence[Mined]) -> Iterator[str]:
    rows = {t.hash: t for t in kept.transactions if t.state in _DECIDED}
    for transaction in mined:
        row = rows.pop(transaction.hash, None)
        if row is None:
            yield f"{transaction.hash} with nonce {transaction.nonce} has no decided row"
        elif (row.state == "MINED") is not transaction.succeeded:
            yield f"{transaction.hash} of {row.subject} is {row.state}, which the chain denies"
        elif row.gas_used * row.gas_price != transaction.gas_cost:
            yield f"{transaction.hash} of {row.subject} cost {transaction.gas_cost} wei of gas"
    for row in rows.values():
        yield f"{row.hash} of {row.subject} is {row.state}, and in no block"


def _wallet(outside: Outside, kept: Books, since: Before) -> Iterator[str]:
    gas = sum(t.gas_used * t.gas_price for t in kept.transactions if t.state in _DECIDED)
    value = sum(t.call_value for t in kept.transactions if t.state == "MINED")
    return _moved(outside.balance() - since.balance, -int(gas + value))


def _moved(really: int, recorded: int) -> Iterator[str]:
    if really != recorded:
        yield f"moved {really} wei, recorded are {recorded} wei, {really - recorded:+} wei apart"


def _earned(kept: Books, origin: str) -> list[int]:
    done = [o for o in _in(kept, {"COMPLETED"}) if o.origin == origin]
    return [int(o.amount + o.fee + (o.claim_refund or 0)) for o in done]


def _nonces(outside: Outside, kept: Books, since: Before) -> Iterator[str]:
    rows = defaultdict(list)
    for row in kept.transactions:
        rows[int(row.nonce)].append(row)
    used = outside.nonce()
    for nonce in range(since.nonce, used):
        decided = [row for row in rows[nonce] if row.state in _DECIDED]
        if len(decided) != 1 and not any(row.state == "LOST" for row in rows[nonce]):
            yield f"nonce {nonce} is used on chain, and {len(decided)} rows say so"
    for nonce, group in rows.items():
        if nonce >= used or nonce < since.nonce:
            yield f"nonce {nonce} of {group[0].subject} is not used on chain"
        yield from (f"nonce {nonce} is undecided" for row in group if row.state == "STORED")


def _troubled(kept: Books) -> list[Any]:
    return [o for o in kept.orders if o.failed]


def _lost_errors(kept: Books) -> Iterator[str]:
    subjects = {e.subject for e in kept.errors}
    by_run = {(e.run_id, e.subject) for e in kept.errors}
    runs = defaultdict(set)
    for run_id, key in kept.failed_runs:
        runs[run_id].add(key)
    for order in _troubled(kept):
        if order.key not in subjects:
            yield f"{order.key} failed, and no error says why"
    for run_id, keys in runs.items():
        # One order's failure fails a run that did its work for all the others.
        if not any((run_id, key) in by_run for key in keys):
            yield f"run {run_id} failed, and none of {', '.join(sorted(keys))} has an error of it"


def _illegal(kept: Books) -> Iterator[str]:
    now: dict[str, str] = {}
    for event in kept.events:
        before = now.get(event.key)
        if event.before != before:
            yield f"{event.key} was {before}, and then left {event.before}"
        elif before is None and event.after != Status.PENDING.value:
            yield f"{event.key} began as {event.after}"
        elif before not in (None, event.after) and (before, event.after) not in _STEPS:
            yield f"{event.key} went from {before} to {event.after}"
        now[event.key] = event.after
    for order in kept.orders:
        if now.get(order.key) != order.status:
            yield f"{order.key} is {order.status}, its history ends at {now.get(order.key)}"
