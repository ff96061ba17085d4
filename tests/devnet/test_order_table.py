"""What `mmbot demo` draws, on terminals of several widths."""

import io

import pytest
from rich.console import Console

from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.devnet.order_table import order_table, tally
from tests.bridge.orders import NOON, an_order

WHY = "fee 0.000000000000000001 ETH (1 wei) is below the cost 0.0003 ETH (300000000000000 wei)"


def orders() -> list[Order]:
    dropped = an_order(10, origin="starknet", fee=1).after(Fact.REFUSED, at=NOON, reason=WHY)
    accepted = an_order(11).after(Fact.ACCEPTED, at=NOON)
    parked = accepted.with_failure(
        "SimulationReverted: no thanks", failed=True, next_attempt_at=None
    )
    return [dropped, parked, an_order(12)]


def drawn(width: int) -> str:
    out = io.StringIO()
    found = orders()
    terminal = Console(file=out, width=width, force_terminal=True, color_system=None)
    terminal.print(order_table(found, found, 12, "http://127.0.0.1:3000"))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 1000])
def test_only_the_reason_gives_way_on_a_narrow_terminal(width: int) -> None:
    lines = drawn(width).splitlines()
    assert lines[0] == "3 of 12 orders   Dagster UI: http://127.0.0.1:3000"
    assert len(lines) == 6
    for part in ("starknet:10", "0.01 ETH", "1 wei", "○○○○○○○", "DROPPED", "fee 0.0000"):
        assert part in lines[2]
    for part in ("zksync:11", "●●○○○○○", "PROCESSING parked", "SimulationRe"):
        assert part in lines[3]
    assert max(map(len, lines)) <= width


def test_the_whole_reason_is_reported_where_there_is_room() -> None:
    assert WHY in drawn(1000)
    assert WHY not in drawn(80)


def test_parked_orders_are_counted_apart() -> None:
    assert tally(orders()) == "DROPPED 1   PENDING 1   parked 1"
