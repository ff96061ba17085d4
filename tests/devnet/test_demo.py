"""What `mmbot demo` does when something is not as it should be."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.cli.screen import console
from mmbot_pipelines.core.errors import StoreUnavailable
from mmbot_pipelines.devnet import demo
from mmbot_pipelines.devnet.local_chain import ChainError
from mmbot_pipelines.devnet.orders import OrderKind, OrderSpec
from mmbot_pipelines.devnet.stack import Stack, StackError
from tests.bridge.orders import NOON, an_order
from tests.cli.command import caller

USER = to_checksum_address("0x" + "aa" * 20)
ORDER_SPEC = OrderSpec(
    kind=OrderKind.LOW_FEE, origin="zksync", user=USER, recipient=USER, amount=1, fee=1
)


class AwayAtFirst:
    """Orders in a database that is started again after the first look."""

    def __init__(self) -> None:
        self.looks = 0

    def find(self, wanted: OrderFilter) -> list[Order]:
        self.looks += 1
        if self.looks == 1:
            raise StoreUnavailable("the database is shutting down")
        return [an_order(7).after(Fact.REFUSED, at=NOON, reason="fee too low")]


def test_a_restart_of_postgres_does_not_end_the_demo(capsys: pytest.CaptureFixture[str]) -> None:
    store: Any = AwayAtFirst()
    stack: Any = SimpleNamespace(ui="http://127.0.0.1:3000")
    placed = {"zksync:7": ORDER_SPEC}
    wrong = demo._watch(console(), stack, store, placed, 1, threading.Event(), 60)
    assert wrong is None
    assert store.looks == 2
    assert capsys.readouterr().out.endswith("fee too low \nDROPPED 1\n")


@pytest.mark.parametrize("error", [StackError, ChainError])
def test_what_does_not_start_is_one_line(
    error: type[Exception],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: object) -> None:
        raise error("anvil is not installed: run `make setup`")

    monkeypatch.setattr(Stack, "start", fail)
    logged = caller({}, capsys, monkeypatch)("demo", "--home", str(tmp_path / "demo"))
    assert logged.code == 1
    assert logged.out == "the demo did not start: anvil is not installed: run `make setup`\n"
