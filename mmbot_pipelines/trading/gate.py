"""What an order has to pass before it is stored to be sent: the first refusal is its reason. Pure.

Ticks and lots; limits and balances in the market's quote or base units. What only cancels never
comes here: nothing may keep a cancel waiting.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from mmbot_pipelines.core.exchange.book import Touch
from mmbot_pipelines.core.exchange.market import Lots, Market, MarketKind, Side, Ticks
from mmbot_pipelines.core.exchange.strategy import Intent
from mmbot_pipelines.core.safety import ScopeState, State

_WHOLE = 100  # per cent


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an operator allows one account; None: no limit."""

    max_order_notional: Decimal | None = None  # quote units
    max_position_notional: Decimal | None = None  # quote units, with all open orders filled
    max_open_orders: int | None = None
    max_daily_loss: Decimal | None = None  # quote units
    price_band_percent: Decimal = Decimal(5)  # around the middle of the book
    max_book_age: float = 5.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountView:
    """What is known of an account when one of its sessions wants an order."""

    at: datetime  # UTC
    market: Market
    touch: Touch | None
    state: ScopeState  # the strictest of all scopes that hold for it
    position: Lots  # signed, by its fills
    open_buys: Lots  # that orders not yet settled may still fill
    open_sells: Lots
    open_orders: int
    lost_today: Fraction  # quote units; below 0 is a profit
    available: Fraction | None  # what a spot order takes: quote for a buy, base for a sell
    rate_budget: float  # requests that may be sent now


def refusal(order: Intent, account: AccountView, limits: Limits) -> str | None:
    """Return why an order is not sent, or None; an order at the market counts at the touch."""
    return next(_refusals(order, account, limits), None)


def _refusals(order: Intent, account: AccountView, limits: Limits) -> Iterator[str]:
    reduces = _reduces(order, account)
    yield from _by_safety(account.state, reduces=reduces)
    touch, market = account.touch, account.market
    price = order.price if order.price is not None else _far_touch(touch, order.side)
    if touch is None or price is None:
        yield "there is no book that can be believed"
        return
    if (age := (account.at - touch.at).total_seconds()) > limits.max_book_age:
        yield f"the book is {age:.1f} s old, more than {limits.max_book_age:g} s"
    if (reason := market.refusal(price, order.size)) is not None:
        yield reason
    yield from _by_band(price, touch, market, limits.price_band_percent)
    if not reduces:
        yield from _by_limits(order, price, account, limits)
    yield from _by_balance(order, price, account)
    if account.rate_budget < 1:
        yield "the venue's budget of requests is used up"


def _by_safety(state: ScopeState, *, reduces: bool) -> Iterator[str]:
    if state.state is State.HALTED:
        yield state.summary
    elif state.is_slowed and not reduces:
        yield f"only what reduces a position is sent: {state.summary}"


def _by_band(price: Ticks, touch: Touch, market: Market, percent: Decimal) -> Iterator[str]:
    """Refuse a price that is far from the middle of the book: a mistake, or a book gone wrong."""
    best = [tick for tick in (touch.bid, touch.ask) if tick is not None]
    middle = Fraction(sum(best), len(best))
    if abs(price - middle) > middle * Fraction(percent) / _WHOLE:
        yield (
            f"price {market.price(price)} is more than {percent} % from the middle of "
            f"{' and '.join(str(market.price(tick)) for tick in best)}"
        )


def _by_limits(order: Intent, price: Ticks, account: AccountView, limits: Limits) -> Iterator[str]:
    market = account.market
    notional = market.notional(price, order.size)
    if limits.max_order_notional is not None and notional > limits.max_order_notional:
        yield f"notional {notional} is above max_order_notional {limits.max_order_notional}"
    held = market.notional(price, _position_after(order, account))
    if limits.max_position_notional is not None and held > limits.max_position_notional:
        yield (
            f"a position of {held} with all open orders is above max_position_notional "
            f"{limits.max_position_notional}"
        )
    if limits.max_open_orders is not None and account.open_orders >= limits.max_open_orders:
        yield f"max_open_orders {limits.max_open_orders} are open"
    if limits.max_daily_loss is not None and account.lost_today >= limits.max_daily_loss:
        lost = f"{_shown(account.lost_today):.2f}"
        yield f"a loss of {lost} today reached max_daily_loss {limits.max_daily_loss}"


def _by_balance(order: Intent, price: Ticks, account: AccountView) -> Iterator[str]:
    """Refuse what a spot balance does not cover; a perpetual's margin is the venue's to judge."""
    market = account.market
    if market.kind is not MarketKind.SPOT or account.available is None:
        return
    buys = order.side is Side.BUY
    needed = market.notional(price, order.size) if buys else market.size(order.size)
    if needed > account.available:
        asset = market.quote if buys else market.base
        yield f"{needed} {asset} are needed, and {_shown(account.available):g} are free"


def _shown(amount: Fraction) -> Decimal:
    """Return an amount for people, rounded to 28 digits."""
    return Decimal(amount.numerator) / Decimal(amount.denominator)


def _reduces(order: Intent, account: AccountView) -> bool:
    """Return whether an order can only bring the position closer to 0."""
    held = -order.side.sign * account.position
    bound = account.open_sells if order.side is Side.SELL else account.open_buys
    return 0 < order.size + bound <= held


def _position_after(order: Intent, account: AccountView) -> Lots:
    """Return the largest position there can be once the order and its side's others are filled."""
    bound = account.open_buys if order.side is Side.BUY else account.open_sells
    return Lots(abs(account.position + order.side.sign * (bound + order.size)))


def _far_touch(touch: Touch | None, side: Side) -> Ticks | None:
    """Return the best price that an order at the market would take."""
    if touch is None:
        return None
    return touch.ask if side is Side.BUY else touch.bid
