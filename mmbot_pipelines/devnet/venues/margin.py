"""What accounts of a simulated venue have, and what that allows them to order. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from mmbot_pipelines.core.exchange.market import Lots, Market, MarketKind, Side, Ticks
from mmbot_pipelines.core.exchange.position import Position
from mmbot_pipelines.devnet.venues.engine import SimOrder, Trade


@dataclass(slots=True)
class Wallet:
    """The assets of one account, of all its markets."""

    assets: dict[str, Fraction] = field(default_factory=dict)

    def has(self, asset: str) -> Fraction:
        return self.assets.get(asset, Fraction(0))

    def add(self, asset: str, amount: Fraction) -> None:
        self.assets[asset] = self.has(asset) + amount


@dataclass(slots=True, kw_only=True)
class Accounts:
    """Balances and positions on one market; a perpetual's are margined in its quote asset."""

    market: Market
    wallets: dict[str, Wallet]
    maker_fee: Decimal = Decimal(0)  # of the notional; below 0 is paid to the maker
    taker_fee: Decimal = Decimal(0)
    leverage: int = 10
    positions: dict[str, Position] = field(default_factory=dict)
    mark: Ticks | None = None  # the last trade's price

    def position(self, account: str) -> Position:
        return self.positions.get(account, Position())

    def allows(self, order: SimOrder, worst: Ticks, resting: Iterable[SimOrder]) -> bool:
        """Return whether balance or margin covers an order beside what rests already."""
        own = [o for o in resting if o.account == order.account and o.side is order.side]
        if self.market.kind is MarketKind.PERPETUAL:
            return self._is_margined(order, worst, Lots(sum(o.left for o in own)))
        wallet = self.wallets[order.account]
        if order.side is Side.SELL:
            bound = sum(o.left for o in own) + order.size
            return wallet.has(self.market.base) >= Fraction(self.market.size(Lots(bound)))
        costs = sum(self._cost(o.price, o.left) for o in own if o.price is not None)
        return wallet.has(self.market.quote) >= costs + self._cost(worst, order.size)

    def reducible(self, order: SimOrder) -> Lots:
        """Return how many lots of a position an order's side can close; on spot all it names."""
        if self.market.kind is MarketKind.SPOT:
            return order.left
        held = -order.side.sign * self.position(order.account).quantity
        return Lots(max(0, min(held, order.left)))

    def fee(self, trade: Trade, order: SimOrder) -> Fraction:
        """Return what a trade costs one of its orders, in the quote asset."""
        rate = self.taker_fee if order is trade.taker else self.maker_fee
        return Fraction(rate) * Fraction(self.market.notional(trade.price, trade.size))

    def trade(self, trade: Trade) -> None:
        """Move what was traded between both accounts, and take the fees."""
        self.mark = trade.price
        notional = self.market.notional(trade.price, trade.size)
        for order in (trade.taker, trade.maker):
            wallet, before = self.wallets[order.account], self.position(order.account)
            after = before.after(order.side, trade.size, notional)
            self.positions[order.account] = after
            wallet.add(self.market.quote, -self.fee(trade, order))
            if self.market.kind is MarketKind.PERPETUAL:
                wallet.add(self.market.quote, after.realized - before.realized)
            else:
                wallet.add(
                    self.market.base, order.side.sign * Fraction(self.market.size(trade.size))
                )
                wallet.add(self.market.quote, -order.side.sign * Fraction(notional))

    def equity(self, account: str) -> Fraction:
        """Return an account's balance with the open profit of its position, in the quote asset."""
        position, balance = self.position(account), self.wallets[account].has(self.market.quote)
        if self.mark is None:
            return balance
        value = self.market.notional(self.mark, position.quantity)
        return balance + position.profit_at(value) - position.realized

    def _is_margined(self, order: SimOrder, worst: Ticks, resting: Lots) -> bool:
        held = self.position(order.account).quantity
        after = abs(held + order.side.sign * (resting + order.size))
        if after <= abs(held) or order.reduce_only:
            return True
        needed = Fraction(self.market.notional(worst, Lots(after))) / self.leverage
        return self.equity(order.account) >= needed

    def _cost(self, price: Ticks, lots: Lots) -> Fraction:
        """Return what a buy takes from the balance at most."""
        fee = max(self.taker_fee, self.maker_fee, Decimal(0))
        return Fraction(self.market.notional(price, lots)) * (1 + Fraction(fee))
