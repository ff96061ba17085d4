"""The metrics by name: what each one means, and the labels it has.

Names and units follow Prometheus' practice; money is in wei, as everywhere else here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from mmbot_pipelines.adapters.db.bridge.figures import (
    BUCKETS,
    CONDITIONS,
    Counts,
    Durations,
    Figures,
)
from mmbot_pipelines.adapters.rpc.health import NodeHealthReport
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.alerts import Severity
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.safety import GLOBAL, State


def order_metrics(figures: Figures, origins: Sequence[str]) -> Iterator[Metric]:
    """Yield orders by status, their durations, and failures."""
    zeros = {(o, s.value, c): 0.0 for o in origins for s in Status for c in CONDITIONS}
    yield _gauges(
        "orders",
        "Orders by where they stand; parked ones wait for a person.",
        ("origin", "status", "condition"),
        zeros | dict(figures.orders),
    )
    ages = {(origin, condition): 0.0 for origin in origins for condition in CONDITIONS}
    yield _gauges(
        "oldest_unfinished_order_age_seconds",
        "Since the oldest order that is neither completed nor dropped was found.",
        ("origin", "condition"),
        ages | dict(figures.oldest_seconds),
    )
    yield _histogram(
        "order_transfer_seconds",
        "From finding an order until its recipient is paid.",
        figures.to_transfer,
        origins,
    )
    yield _histogram(
        "order_repayment_seconds",
        "From finding an order until the escrow has paid us.",
        figures.to_repayment,
        origins,
    )
    yield _counters(
        "failures",
        "Errors by the step they happened in and their class.",
        ("step", "kind"),
        figures.failures,
    )


def money_metrics(figures: Figures, origins: Sequence[str]) -> Iterator[Metric]:
    """Yield exposure, earnings and costs, in wei."""
    none = {(origin,): 0.0 for origin in origins}
    yield _gauges(
        "exposure_wei",
        "What is paid out, or about to be, and not yet repaid.",
        ("origin",),
        none | dict(figures.exposure_wei),
    )
    yield _counters(
        "fees_wei",
        "Fees of the completed orders.",
        ("origin",),
        none | dict(figures.fees_wei),
    )
    yield _counters(
        "gas_wei",
        "What mined transactions have paid for gas on L1.",
        ("purpose",),
        figures.gas_wei,
    )
    yield _counters(
        "messages_wei",
        "What mined claims have paid for their messages to the L2.",
        ("origin",),
        none | dict(figures.messages_wei),
    )
    yield _counters(
        "refunds_wei",
        "What claims' messages gave back on the L2, unused or failed.",
        ("origin",),
        none | dict(figures.refunds_wei),
    )
    yield _counters(
        "starknet_fees_fri",
        "What our own transactions on L2s have paid, in fri (10^-18 STRK).",
        (),
        {(): figures.starknet_fees_fri},
    )


def transaction_metrics(figures: Figures) -> Iterator[Metric]:
    """Yield transactions in flight, and replacements."""
    none = {(purpose,): 0.0 for purpose in ("transfer", "repay")}
    yield _gauges(
        "transactions_in_flight",
        "Transactions signed and not yet mined.",
        ("purpose",),
        none | dict(figures.in_flight),
    )
    yield gauge(
        "oldest_transaction_in_flight_age_seconds",
        "Since the oldest transaction that is not yet mined was signed.",
        figures.in_flight_seconds,
    )
    yield _counters(
        "replacements",
        "Transactions that were sent again with higher fees.",
        ("purpose",),
        none | dict(figures.replacements),
    )


def safety_metrics(figures: Figures, origins: Sequence[str]) -> Iterator[Metric]:
    """Yield the safety states, and open and unsent alerts."""
    now = dict.fromkeys((GLOBAL, *origins), State.NORMAL.value) | dict(figures.safety)
    yield _gauges(
        "safety_state",
        "1 for the state that a scope is in.",
        ("scope", "state"),
        {
            (scope, state.value): float(state == held)
            for scope, held in now.items()
            for state in State
        },
    )
    yield _gauges(
        "alerts_open",
        "Open alerts: conditions that were reported and still hold.",
        ("severity",),
        {(severity.value,): 0.0 for severity in Severity} | dict(figures.alerts_open),
    )
    yield _gauges(
        "alerts_unsent",
        "Alerts and recoveries that a channel has not taken yet.",
        ("channel",),
        figures.alerts_unsent,
    )


def node_metrics(nodes: Sequence[NodeHealthReport]) -> Iterator[Metric]:
    """Yield health, latency and lag of every RPC node."""
    labels = ("chain", "node")
    yield _gauges(
        "rpc_up",
        "Whether an RPC node answers and serves the right chain.",
        labels,
        {(n.chain, n.host): float(n.head is not None) for n in nodes},
    )
    yield _gauges(
        "rpc_response_seconds",
        "Time that an RPC node takes to answer, on average of about the last five times.",
        labels,
        {(n.chain, n.host): n.seconds for n in nodes if n.head and n.seconds is not None},
    )
    yield _gauges(
        "rpc_head_block",
        "The newest block that an RPC node has.",
        labels,
        {(n.chain, n.host): float(n.head.height) for n in nodes if n.head},
    )


def lag(cursors: Counts, nodes: Iterable[NodeHealthReport]) -> Metric:
    """Compare how far an origin was read with its highest node."""
    heads: dict[str, int] = {}
    for node in nodes:
        if node.head is not None:
            heads[node.chain] = max(node.head.height, heads.get(node.chain, 0))
    return _gauges(
        "sensor_lag_blocks",
        "Blocks of an origin that its sensor, or the backfill of accepted ones, has not read.",
        ("origin", "cursor"),
        {
            (origin, kind): max(0.0, heads[origin] - number)
            for (origin, kind), number in cursors.items()
            if origin in heads
        },
    )


def wallet_metrics(balances: Mapping[Address, Wei], floor: Wei) -> Iterator[Metric]:
    """Yield what each L1 wallet has, and its floor where there is one; both in wei."""
    if balances:
        has: dict[tuple[str, ...], float] = {
            (wallet,): float(balance) for wallet, balance in balances.items()
        }
        yield _gauges("wallet_balance_wei", "What an L1 wallet has.", ["wallet"], has)
        if floor:
            floors = dict.fromkeys(has, float(floor))
            text = "Balance below which an L1 wallet needs funds."
            yield _gauges("wallet_floor_wei", text, ["wallet"], floors)


def gauge(name: str, text: str, value: float) -> Metric:
    """Make a metric of one value."""
    return GaugeMetricFamily(f"mmbot_{name}", text, value=value)


def _gauges(name: str, text: str, labels: Sequence[str], values: Counts) -> Metric:
    family = GaugeMetricFamily(f"mmbot_{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _counters(name: str, text: str, labels: Sequence[str], values: Counts) -> Metric:
    family = CounterMetricFamily(f"mmbot_{name}", text, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, text: str, values: Mapping[str, Durations], origins: Sequence[str]
) -> Metric:
    family = HistogramMetricFamily(f"mmbot_{name}", text, labels=["origin"])
    none = Durations(at_most=(0,) * len(BUCKETS), count=0, seconds=0.0)
    for origin, taken in sorted((dict.fromkeys(origins, none) | dict(values)).items()):
        bounds = [(str(float(b)), float(n)) for b, n in zip(BUCKETS, taken.at_most, strict=True)]
        family.add_metric([origin], [*bounds, ("+Inf", float(taken.count))], taken.seconds)
    return family
