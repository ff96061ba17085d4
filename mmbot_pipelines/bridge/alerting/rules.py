"""Which alerts fire. Pure: facts and thresholds in, alerts out, each with what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmbot_pipelines.bridge.alerting import stuck_transaction, wallet
from mmbot_pipelines.bridge.alerting.long_waits import notices
from mmbot_pipelines.bridge.alerting.snapshot import BridgeSnapshot
from mmbot_pipelines.bridge.orders.escrow_errors import is_paid_to_other_wallet
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.order_stats import PAID
from mmbot_pipelines.core.alerts import Alert, AlertSnapshot, Severity
from mmbot_pipelines.core.daemons import Daemon
from mmbot_pipelines.core.errors import InsufficientFunds
from mmbot_pipelines.core.money import Wei, format_ether
from mmbot_pipelines.core.safety import GLOBAL, ScopeState, State
from mmbot_pipelines.core.text import sanitized

EXPOSURE = "exposure"
MANY_PARKED = "parked-many"
UNDELIVERED = "undelivered-many"
CLAIMS_OVERDUE = "claims-overdue"

_EXPOSURE_PERCENT = 80
_MAX_UNDELIVERED = 50  # claims that have an alert of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertThresholds:
    """From where on the operator wants to know."""

    max_exposure: Wei | None  # None: no limit
    min_balance: Wei  # 0: no floor
    undelivered_after_seconds: float


def firing_alerts(facts: BridgeSnapshot, thresholds: AlertThresholds) -> AlertSnapshot:
    """Return the alerts that fire, and those that are unknown while a chain does not answer."""
    alerts = [
        *map(_safety_alert, facts.scope_states),
        *map(_parked, facts.parked),
        *_many_parked(facts),
        *_undelivered(facts, thresholds.undelivered_after_seconds),
        *_unclaimed(facts, thresholds.undelivered_after_seconds),
        *notices(facts.long_waits),
        *_exposure(facts, thresholds.max_exposure),
        *wallet.alerts(facts, thresholds.min_balance),
        *stuck_transaction.alerts(facts),
        *_silent(facts),
        *_no_worker(facts),
        *([concurrent_daemons_alert(facts.daemons)] if facts.daemons else []),
    ]
    return AlertSnapshot(alerts=alerts, unknown=frozenset(wallet.unknown(facts)))


def _safety_alert(scope_state: ScopeState) -> Alert:
    scope, why = sanitized(scope_state.scope), sanitized(scope_state.why)
    what = "everything" if scope_state.scope == GLOBAL else scope
    since = f"Since {scope_state.since:%Y-%m-%d %H:%M:%S} UTC by " if scope_state.since else "By "
    facts = f"{since}{sanitized(scope_state.by)}: {why}."
    if scope_state.state is State.HALTED:
        return Alert.to_act(
            f"halted {scope}",
            Severity.CRITICAL,
            f"{what} is halted",
            f"{facts} Nothing new is sent; what is owed to us is still claimed.",
            f"fix the cause, then `mmbot resume --scope {scope} --by NAME --reason TEXT`.",
        )
    return Alert.to_act(
        f"throttled {scope}",
        Severity.HIGH,
        f"{what} is throttled",
        f"{facts} Less is sent, and more slowly.",
        "fix the cause; it ends by itself when the cause is gone.",
    )


def _parked(order: Order) -> Alert:
    why = sanitized(order.reason or "no reason is stored")
    at = f"at {order.status} after {order.failures} failures: {why}."
    hand = f"see `mmbot orders show {order.key}`, fix the cause, then `mmbot retry {order.key}`."
    if is_paid_to_other_wallet(order):
        return Alert.to_act(
            f"elsewhere {order.key}",
            Severity.CRITICAL,
            f"the escrow paid {order.key} to another wallet",
            f"{format_ether(order.amount + order.fee)} are lost to us unless its owner pays them: "
            f"{why}. Nothing more is claimed for it.",
            f"find out who changed the escrow's wallet, `mmbot halt --scope {order.origin}`, and "
            f"`mmbot retry {order.key}` only when the escrow is known to pay us.",
        )
    if order.status in PAID:
        owed = format_ether(order.amount + order.fee)
        return Alert.to_act(
            f"unrepaid {order.key}",
            Severity.CRITICAL,
            f"{order.key} is paid, but cannot be claimed",
            f"{owed} are owed to us. Parked {at}",
            hand,
        )
    paid = "not paid"
    if order.status is Status.TRANSFERRING:
        paid = f"paid if {order.transfer_tx} is mined before its cancellation"
    return Alert.to_act(
        f"parked {order.key}",
        Severity.HIGH,
        f"{order.key} is parked",
        f"{format_ether(order.amount)} for a fee of {format_ether(order.fee)}, {paid}. Parked {at}",
        hand,
    )


def _many_parked(facts: BridgeSnapshot) -> Iterator[Alert]:
    """Yield one alert for all parked orders that have none of their own."""
    shown, total = len(facts.parked), facts.parked_in_all
    if total > shown:
        yield Alert.to_act(
            MANY_PARKED,
            Severity.HIGH,
            f"{total} orders are parked",
            f"{shown} of them have an alert of their own, the others have none: of those that "
            "are paid and of those that are not, the ones that were parked first have it.",
            "see `mmbot orders --failed` for the common cause; fix it, then `mmbot retry` each.",
        )


def _undelivered(facts: BridgeSnapshot, after_seconds: float) -> Iterator[Alert]:
    late = [o for o in facts.claimed if _age(facts, o) > after_seconds]
    for order in late[:_MAX_UNDELIVERED]:
        yield Alert.to_act(
            f"undelivered {order.key}",
            Severity.HIGH,
            f"the claim of {order.key} does not arrive on {order.origin}",
            f"{format_ether(order.amount + order.fee)} are owed to us. It is {order.status} since "
            f"{order.changed_at:%Y-%m-%d %H:%M:%S} UTC "
            f"({sanitized(order.claim_ref or order.claim_tx or 'nothing to look up')})"
            f"{f': {sanitized(order.reason)}' if order.reason else ''}.",
            f"look the claim up on {order.origin}; if it is lost, `mmbot retry {order.key}` "
            "claims again.",
        )
    if len(late) > _MAX_UNDELIVERED:
        min_amount = "at least " if facts.more_owed else ""
        yield Alert.to_act(
            UNDELIVERED,
            Severity.HIGH,
            f"{min_amount}{len(late)} claims do not arrive",
            f"{_MAX_UNDELIVERED} of them, those that are on their way for longest, have an alert "
            "of their own.",
            "find their common cause: see `mmbot orders --status PROVED`.",
        )


def _unclaimed(facts: BridgeSnapshot, after_seconds: float) -> Iterator[Alert]:
    """Yield one alert for paid orders whose claims are not mined for long, however many wait."""
    late = [
        order
        for order in facts.unclaimed
        if order.reason != InsufficientFunds.reason and _age(facts, order) > after_seconds
    ]
    if late:
        oldest = late[0]
        min_amount = "at least " if facts.more_owed else ""
        why = sanitized(oldest.reason or f"its claim {oldest.claim_tx} is not mined")
        yield Alert.to_act(
            CLAIMS_OVERDUE,
            Severity.HIGH,
            "paid orders are not claimed yet",
            f"{min_amount}{format_ether(Wei(sum(o.amount + o.fee for o in late)))} are owed to us "
            f"for "
            f"{len(late)} of them. The oldest is {oldest.key}, {oldest.status} since "
            f"{oldest.changed_at:%Y-%m-%d %H:%M:%S} UTC: {why}.",
            f"see `mmbot orders show {oldest.key}`; what waits for prices or for the escrow's "
            "owner goes on by itself.",
        )


def _age(facts: BridgeSnapshot, order: Order) -> float:
    """Return the seconds since an order changed."""
    return (facts.at - order.changed_at).total_seconds()


def _exposure(facts: BridgeSnapshot, max_exposure: Wei | None) -> Iterator[Alert]:
    out = facts.exposure
    if max_exposure is not None and out * 100 > max_exposure * _EXPOSURE_PERCENT:
        yield Alert.to_act(
            EXPOSURE,
            Severity.MEDIUM,
            f"over {_EXPOSURE_PERCENT} % of the exposure limit is used",
            f"{format_ether(out)} are paid out, or about to be, and not repaid; "
            f"the limit is {format_ether(max_exposure)}.",
            "see why claims are slow (`mmbot orders --status PROVED`), or raise "
            "MMBOT_MAX_EXPOSURE_WEI.",
        )


def _silent(facts: BridgeSnapshot) -> Iterator[Alert]:
    for chain, why in facts.silent.items():
        yield Alert.to_act(
            f"rpc {chain}",
            Severity.HIGH,
            f"no RPC node of {chain} answers",
            f"{sanitized(why)}.",
            f"see to the nodes, or add one to MMBOT_{chain.upper()}_RPC_URLS; "
            "orders go on by themselves when one answers.",
        )


def _no_worker(facts: BridgeSnapshot) -> Iterator[Alert]:
    if facts.no_worker is not None:
        yield Alert.to_act(
            "workers",
            Severity.HIGH,
            "no run can start",
            f"{facts.no_worker}.",
            "start the broker and `mmbot workers`; orders go on by themselves when both are up.",
        )


def concurrent_daemons_alert(daemons: Sequence[Daemon]) -> Alert:
    """Return the alert for several daemons on one database."""
    shown = ", ".join(
        f"{sanitized(d.name)} since {d.first_at:%Y-%m-%d %H:%M:%S} UTC" for d in daemons
    )
    return Alert.to_act(
        "daemons",
        Severity.CRITICAL,
        "two bots on one database",
        f"{len(daemons)} daemons are at work at once: {shown}. Nothing is paid twice, for "
        "each step happens once in the database; but schedules run twice, and sensors by turns.",
        "stop all dagster-daemon processes but one; `dagster-daemon run` was started twice.",
    )
