"""Orders, fills and events for the tests of core/exchange."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from mmbot_pipelines.core.exchange.market import Lots, Market, MarketKind, Side, Ticks
from mmbot_pipelines.core.exchange.order import (
    Fill,
    Order,
    OrderEvent,
    OrderType,
    Status,
    TimeInForce,
    Word,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SIZE = Lots(10)


def a_market(**changed: Any) -> Market:
    given = {
        "symbol": "SOL_USDC",
        "base": "SOL",
        "quote": "USDC",
        "kind": MarketKind.SPOT,
        "tick_size": Decimal("0.01"),
        "lot_size": Decimal("0.1"),
        "min_size": Decimal("0.1"),
    }
    return Market(**given | changed)


def an_order(status: Status = Status.SUBMITTING, **changed: Any) -> Order:
    given: dict[str, Any] = {
        "client_id": 7,
        "account": "backpack-main",
        "session": "1",
        "symbol": "SOL_USDC",
        "side": Side.BUY,
        "type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "price": Ticks(2_000),
        "size": SIZE,
        "deadline_at": NOON,
        "status": status,
    }
    return Order(**given | changed)


def a_fill(trade_id: str, size: int, price: str = "20.00") -> Fill:
    return Fill(
        trade_id=trade_id,
        price=Decimal(price),
        size=Lots(size),
        quote=Decimal(price) * size / 10,
        fee=Decimal("0.001"),
        fee_asset="USDC",
        is_maker=True,
        at=NOON,
    )


def filled(trade_id: str, size: int, total: int | None = None) -> OrderEvent:
    total_lots = None if total is None else Lots(total)
    return OrderEvent(word=Word.FILL, fill=a_fill(trade_id, size), venue_filled=total_lots)


def event(word: Word, total: int | None = None, **changed: Any) -> OrderEvent:
    return OrderEvent(word=word, venue_filled=None if total is None else Lots(total), **changed)
