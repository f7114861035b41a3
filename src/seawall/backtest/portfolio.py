"""One strategy's money: units held, equity, and the exact rules by which an order becomes a position.

Equity is carried as a sum of gains and costs, not as cash plus positions: cash is what is left of equity when positions
are taken off. So constant prices leave equity bit for bit where it was.
"""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.backtest.config import BacktestConfig
from seawall.backtest.market import Market
from seawall.backtest.weights import Target

DUST = 1e-12
"""An order below this fraction of equity is rounding, not a wish: it is not sent (closing a position always is)."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a trade costs, paid from cash when it is made."""

    fee_rate: float
    slippage_rate: float
    minimum_fee: float

    @classmethod
    def of(cls, config: BacktestConfig) -> "Costs":
        """Read the rates from the config."""
        return cls(config.cost_bps / 10_000, config.slippage_bps / 10_000, config.minimum_fee)

    def __call__(self, notional: Float64) -> Float64:
        """Give each trade's cost: ``max(fee rate x notional, minimum fee) + slippage rate x notional``."""
        return np.maximum(self.fee_rate * notional, self.minimum_fee) + self.slippage_rate * notional


@dataclass(frozen=True, slots=True)
class Trades:
    """The trades of one date, in the order of entities."""

    decision: int
    entities: Int64
    units: Float64
    """Signed, adjusted."""

    cost: Float64


@dataclass(frozen=True, slots=True)
class DateResult:
    """One date of one strategy, in the currency of the initial equity."""

    equity: float
    cost: float
    turnover: float
    """Traded notional (buys plus sells) over the equity before the trade."""

    long_value: float
    short_value: float
    num_positions: int


class Portfolio:
    """Units held and equity of one strategy.

    Parameters
    ----------
    long_only
        Buys are then limited to the cash at hand: nothing is borrowed.
    """

    def __init__(self, num_entities: int, config: BacktestConfig, *, long_only: bool) -> None:
        self.units_E: Float64 = np.zeros(num_entities)
        self.equity = config.initial_equity
        self.num_trades = 0
        self.num_rejected = 0
        self._costs = Costs.of(config)
        self._long_only = long_only

    def step(self, market: Market, target: Target | None) -> tuple[DateResult, Trades | None]:
        """Live through one date: trade towards the target, if there is one, then mark every position.

        Call once after each :meth:`Market.advance`. Nothing in the trade looks at this date's marks.
        """
        trades, cost, turnover = None, 0.0, 0.0
        base_E = market.previous_E
        if target is not None:
            self._gain(market.previous_E, market.at_E)
            base_E = market.at_E
            if self.equity > 0:
                trades = self._trade(market, target)
                cost = float(trades.cost.sum())
                turnover = float(np.abs(trades.units * market.at_E[trades.entities]).sum()) / self.equity
                self.equity -= cost
        self._gain(base_E, market.mark_E)
        held = np.flatnonzero(self.units_E)
        values = self.units_E[held] * market.mark_E[held]
        long_value, short_value = float(values[values > 0].sum()), float(-values[values < 0].sum())
        return DateResult(self.equity, cost, turnover, long_value, short_value, len(held)), trades

    def _gain(self, before_E: Float64, after_E: Float64) -> None:
        held = np.flatnonzero(self.units_E)
        self.equity += float((self.units_E[held] * (after_E[held] - before_E[held])).sum())

    def _trade(self, market: Market, target: Target) -> Trades:
        names, weights = self._orders(target)
        tradable = market.tradable_E[names]
        self.num_rejected += int(np.count_nonzero(~tradable))
        names, weights = names[tradable], weights[tradable]
        price, held = market.at_E[names], self.units_E[names]
        change = weights * self.equity / price - held
        closing = (weights == 0) & (held != 0)
        sent = closing | (np.abs(change) * price > DUST * self.equity)
        names, change, price = names[sent], change[sent], price[sent]
        if self._long_only:
            names, change, price = self._affordable(market, names, change, price)
        self.units_E[names] += change
        self.num_trades += len(names)
        return Trades(target.decision, names, change, self._costs(np.abs(change) * price))

    def _orders(self, target: Target) -> tuple[Int64, Float64]:
        """Every name held or wanted, in the order of entities, with its weight."""
        names = np.union1d(np.flatnonzero(self.units_E), target.entities)
        weights = np.zeros(len(names))
        weights[np.searchsorted(names, target.entities)] = target.weights
        return names, weights

    def _affordable(
        self, market: Market, names: Int64, change: Float64, price: Float64
    ) -> tuple[Int64, Float64, Float64]:
        """Scale all buys by one factor so that cash, after sells and the cost of the full orders, pays for them."""
        notional = change * price
        held = np.flatnonzero(self.units_E)
        cash = self.equity - float((self.units_E[held] * market.at_E[held]).sum())
        bought = float(notional[notional > 0].sum())
        at_hand = cash - float(notional[notional < 0].sum()) - float(self._costs(np.abs(notional)).sum())
        if bought <= at_hand:
            return names, change, price
        factor = max(at_hand, 0.0) / bought if bought else 1.0
        change = np.where(change > 0, change * factor, change)
        kept = (change < 0) | (change * price > DUST * self.equity)
        return names[kept], change[kept], price[kept]
