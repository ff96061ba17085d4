"""The matching engine: who meets whom, at what price, and what is left."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.exchange.market import Lots, MarketKind, Side, Ticks
from mmbot_pipelines.core.exchange.order import OrderEvent, Status, TimeInForce, Word, apply
from mmbot_pipelines.devnet.venues.engine import (
    End,
    Ended,
    Engine,
    Event,
    LevelChanged,
    Rested,
    SelfTrade,
    SimOrder,
    Trade,
)
from mmbot_pipelines.devnet.venues.margin import Accounts, Wallet
from tests.core.exchange.orders import a_fill, a_market, an_order

RICH = {"SOL": Fraction(10**6), "USDC": Fraction(10**6)}


def an_engine(kind: MarketKind = MarketKind.SPOT, **changed: Any) -> Engine:
    market = a_market(kind=kind, **changed.pop("market", {}))
    wallets = {name: Wallet(dict(RICH)) for name in ("ann", "bob", "cat")}
    return Engine(market, Accounts(market=market, wallets=wallets, **changed))


def an_accounts(engine: Engine) -> Accounts:
    assert isinstance(engine.margin, Accounts)
    return engine.margin


_IDS = iter(range(1, 10**9))


def sim(account: str, side: Side, size: int, price: int | None = None, **changed: Any) -> SimOrder:
    at = None if price is None else Ticks(price)
    return SimOrder(id=next(_IDS), account=account, side=side, size=Lots(size), price=at, **changed)


def trades(events: Sequence[Event]) -> list[tuple[int, int, str]]:
    found = [each for each in events if isinstance(each, Trade)]
    return [(each.price, each.size, each.maker.account) for each in found]


def test_the_best_price_goes_first_and_the_oldest_at_it() -> None:
    engine = an_engine()
    for account, price in (("ann", 101), ("bob", 100), ("cat", 100)):
        engine.submit(sim(account, Side.SELL, 5, price), 0)
    buy = sim("ann", Side.BUY, 12, 101, self_trade=SelfTrade.REJECT_MAKER)
    assert trades(engine.submit(buy, 0)) == [(100, 5, "bob"), (100, 5, "cat")]
    assert engine.levels(Side.SELL) == []
    assert engine.levels(Side.BUY) == [(101, 2)]


def test_what_is_left_rests_and_a_limit_holds() -> None:
    engine = an_engine()
    engine.submit(sim("ann", Side.SELL, 5, 100), 0)
    order = sim("bob", Side.BUY, 8, 100)
    events = engine.submit(order, 0)
    assert trades(events) == [(100, 5, "ann")]
    assert events[-2:] == [
        Rested(order),
        LevelChanged(side=Side.BUY, price=Ticks(100), size=Lots(3)),
    ]
    assert trades(engine.submit(sim("cat", Side.SELL, 3, 101), 0)) == []


@pytest.mark.parametrize(
    ("changed", "filled", "end"),
    [
        ({"time_in_force": TimeInForce.IOC, "price": 100}, 5, End.IOC),
        ({"time_in_force": TimeInForce.FOK, "price": 100}, 0, End.FOK),
        ({"price": None}, 7, End.IOC),
        ({"post_only": True, "price": 100}, 0, End.POST_ONLY),
        ({"expires_at": 1.0, "price": 100}, 0, End.EXPIRED),
        ({"size": 0, "price": 100}, 0, End.MARKET),
        ({"size": 10**8, "price": 100}, 0, End.MARGIN),
    ],
)
def test_how_orders_end(changed: dict[str, Any], filled: int, end: End) -> None:
    engine = an_engine()
    engine.submit(sim("ann", Side.SELL, 5, 100), 0)
    engine.submit(sim("ann", Side.SELL, 2, 103), 0)
    order = sim("bob", Side.BUY, changed.pop("size", 9), changed.pop("price"), **changed)
    events = engine.submit(order, 2.0)
    assert (order.filled, order.ended, events[-1]) == (filled, end, Ended(order))
    assert engine.best(Side.BUY) is None


def test_an_order_at_the_market_needs_one() -> None:
    order = sim("ann", Side.BUY, 1)
    an_engine().submit(order, 0)
    assert order.ended is End.IOC


def test_a_whole_order_is_filled_whole() -> None:
    engine = an_engine()
    engine.submit(sim("ann", Side.SELL, 5, 100), 0)
    engine.submit(sim("ann", Side.SELL, 5, 101), 0)
    order = sim("bob", Side.BUY, 7, 101, time_in_force=TimeInForce.FOK)
    engine.submit(order, 0)
    assert (order.filled, order.ended) == (7, End.FILLED)


def test_cancel_and_expiry_take_out_of_the_book() -> None:
    engine = an_engine()
    first = sim("ann", Side.SELL, 5, 100)
    second = sim("bob", Side.SELL, 3, 100, expires_at=10.0)
    for order in (first, second):
        engine.submit(order, 0)
    level = LevelChanged(side=Side.SELL, price=Ticks(100), size=Lots(3))
    assert engine.cancel(first.id) == [Ended(first), level]
    assert engine.cancel(first.id) == []
    assert engine.expire(9.9) == []
    assert engine.expire(10.0)[0] == Ended(second)
    assert (first.ended, second.ended, engine.resting) == (End.CLIENT, End.EXPIRED, {})


@pytest.mark.parametrize(
    ("mode", "taker", "maker"),
    [
        (SelfTrade.ALLOW, End.FILLED, End.FILLED),
        (SelfTrade.REJECT_TAKER, End.SELF_TRADE, None),
        (SelfTrade.REJECT_MAKER, None, End.SELF_TRADE),
        (SelfTrade.REJECT_BOTH, End.SELF_TRADE, End.SELF_TRADE),
    ],
)
def test_an_order_that_meets_its_own_account(
    mode: SelfTrade, taker: End | None, maker: End | None
) -> None:
    engine = an_engine()
    resting = sim("ann", Side.SELL, 5, 100)
    engine.submit(resting, 0)
    order = sim("ann", Side.BUY, 5, 100, self_trade=mode)
    engine.submit(order, 0)
    assert (order.ended, resting.ended) == (taker, maker)


def test_reduce_only_closes_a_position_and_no_more() -> None:
    engine = an_engine(MarketKind.PERPETUAL)
    flat = sim("ann", Side.SELL, 5, 100, reduce_only=True)
    engine.submit(flat, 0)
    assert flat.ended is End.REDUCE_ONLY
    engine.submit(sim("bob", Side.SELL, 4, 100), 0)
    engine.submit(sim("ann", Side.BUY, 4, 100), 0)
    engine.submit(sim("bob", Side.BUY, 9, 99), 0)
    close = sim("ann", Side.SELL, 9, 99, reduce_only=True)
    engine.submit(close, 0)
    assert (close.filled, close.ended) == (4, End.REDUCE_ONLY)
    assert an_accounts(engine).position("ann").quantity == 0


def test_a_resting_reduce_only_order_goes_with_its_position() -> None:
    engine = an_engine(MarketKind.PERPETUAL)
    engine.submit(sim("bob", Side.SELL, 4, 100), 0)
    engine.submit(sim("ann", Side.BUY, 4, 100), 0)
    resting = sim("ann", Side.SELL, 4, 105, reduce_only=True)
    engine.submit(resting, 0)
    engine.submit(sim("cat", Side.BUY, 4, 95), 0)
    engine.submit(sim("ann", Side.SELL, 4, 95), 0)  # closes it elsewhere
    buy = sim("bob", Side.BUY, 4, 105)
    assert trades(engine.submit(buy, 0)) == []
    assert (resting.ended, buy.left) == (End.REDUCE_ONLY, 4)


def test_fees_and_profit_reach_the_wallet() -> None:
    engine = an_engine(
        MarketKind.PERPETUAL, taker_fee=Decimal("0.001"), maker_fee=Decimal("-0.0005")
    )
    accounts = an_accounts(engine)
    engine.submit(sim("bob", Side.SELL, 10, 10_000), 0)  # 1 SOL at 100 USDC
    engine.submit(sim("ann", Side.BUY, 10, 10_000), 0)
    assert accounts.wallets["ann"].has("USDC") == 10**6 - Fraction(1, 10)
    assert accounts.wallets["bob"].has("USDC") == 10**6 + Fraction(1, 20)
    engine.submit(sim("cat", Side.BUY, 10, 11_000), 0)
    engine.submit(sim("ann", Side.SELL, 10, 11_000), 0)
    assert accounts.wallets["ann"].has("USDC") == 10**6 + 10 - Fraction(1, 10) - Fraction(11, 100)


def test_margin_bounds_a_position_but_not_its_end() -> None:
    engine = an_engine(MarketKind.PERPETUAL, leverage=2)
    accounts = an_accounts(engine)
    accounts.wallets["ann"] = Wallet({"USDC": Fraction(100)})
    engine.submit(sim("bob", Side.SELL, 99, 10_000), 0)
    too_much, all_of_it = sim("ann", Side.BUY, 21, 10_000), sim("ann", Side.BUY, 20, 10_000)
    engine.submit(too_much, 0)
    engine.submit(all_of_it, 0)
    assert (too_much.ended, all_of_it.ended) == (End.MARGIN, End.FILLED)
    engine.submit(sim("cat", Side.BUY, 20, 5_001), 0)
    close = sim("ann", Side.SELL, 20, 5_001)
    engine.submit(close, 0)
    assert close.ended is End.FILLED


_ORDERS = st.builds(
    sim,
    account=st.sampled_from(["ann", "bob", "cat"]),
    side=st.sampled_from(Side),
    size=st.integers(1, 9),
    price=st.one_of(st.none(), st.integers(95, 105)),
    time_in_force=st.sampled_from(TimeInForce),
    post_only=st.booleans(),
    reduce_only=st.booleans(),
    self_trade=st.sampled_from(SelfTrade),
    expires_at=st.one_of(st.none(), st.floats(0, 30)),
)


def reported(order: SimOrder, events: Sequence[Event]) -> list[OrderEvent]:
    """Return what a venue would report of one order, with its totals."""
    found, total = list[OrderEvent](), 0
    for each in events:
        if isinstance(each, Rested) and each.order is order:
            found.append(OrderEvent(word=Word.ACCEPTED, venue_filled=Lots(total)))
        elif isinstance(each, Trade) and order in (each.taker, each.maker):
            total += each.size
            fill = a_fill(str(each.id), each.size)
            found.append(OrderEvent(word=Word.FILL, fill=fill, venue_filled=Lots(total)))
        elif isinstance(each, Ended) and each.order is order:
            word = Word.FILLED if order.ended is End.FILLED else Word.CANCELED
            found.append(OrderEvent(word=word, venue_filled=order.filled, reason=str(order.ended)))
    return found


@given(st.lists(_ORDERS, min_size=1, max_size=25), st.sampled_from(MarketKind), st.data())
def test_nothing_is_made_or_lost(
    orders: list[SimOrder], kind: MarketKind, data: st.DataObject
) -> None:
    engine = an_engine(kind, leverage=1)
    orders = [replace(order, filled=Lots(0), ended=None) for order in orders]
    book: dict[Side, dict[int, int]] = defaultdict(dict)
    events: list[Event] = []
    for now, order in enumerate(orders):
        events += engine.submit(order, float(now))
        bid, ask = engine.best(Side.BUY), engine.best(Side.SELL)
        assert bid is None or ask is None or bid < ask
    for each in events:
        if isinstance(each, LevelChanged):
            book[each.side][each.price] = each.size
        elif isinstance(each, Trade):
            assert each.taker.side is each.maker.side.opposite
            assert each.maker.price == each.price
    for side in Side:  # the changes add up to the book
        assert dict(engine.levels(side)) == {p: s for p, s in book[side].items() if s}
    for order in orders:
        assert 0 <= order.filled <= order.size
        assert (order.ended is None) == (order.id in engine.resting)
        assert (order.ended is End.FILLED) == (order.filled == order.size)
        history = reported(order, events)
        mixed = data.draw(st.permutations([*history, *history[:2]]))
        ours = an_order(Status.SUBMITTING, size=order.size)
        for each in mixed:
            ours = apply(ours, each).order
        assert ours.filled == order.filled
        assert ours.is_settled == (order.ended is not None)
    accounts = an_accounts(engine)
    assert sum(position.quantity for position in accounts.positions.values()) == 0
    cash = sum((wallet.has("USDC") for wallet in accounts.wallets.values()), Fraction(0))
    open_cost = sum((p.cost for p in accounts.positions.values()), Fraction(0))
    assert cash - (open_cost if kind is MarketKind.PERPETUAL else 0) == 3 * 10**6
    if kind is MarketKind.SPOT:
        assert sum(w.has("SOL") for w in accounts.wallets.values()) == 3 * 10**6
        assert all(w.has(asset) >= 0 for w in accounts.wallets.values() for asset in RICH)
