"""One strategy's money: units held, equity, and the exact rules by which an order becomes a position.

Equity is carried as a sum of gains and costs, not as cash plus positions: cash is what is left of equity when positions
are taken off. So constant prices leave equity bit for bit where it was.
"""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import Bool, Float64, Int64
from seawall.backtest.config import BacktestConfig
from seawall.backtest.costs import Costs
from seawall.backtest.market import Market
from seawall.backtest.weights import Decision, Ranking, Target

DUST = 1e-12
"""An order below this fraction of equity is rounding, not a wish: it is not sent (closing a position always is)."""


@dataclass(frozen=True, slots=True)
class Trades:
    """The trades of one date, in the order of entities."""

    decision: int
    entities: Int64
    units: Float64
    """Signed, adjusted."""

    cost: Float64
    price: Float64 | None = None
    """Unadjusted; None means the trade price of the date."""


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
    participation: float = np.nan
    """Share of the market's volume that the trades took, weighed by notional; NaN without volume or trade."""


@dataclass(slots=True)
class Counts:
    """What happened to orders and positions."""

    num_trades: int = 0
    num_rejected: int = 0
    """Names without a trade price on their trade date."""
    num_limited: int = 0
    """Orders a daily limit stopped."""
    num_partial: int = 0
    """Orders the market's volume cut."""
    num_delisted: int = 0


class Portfolio:
    """Units held and equity of one strategy.

    Parameters
    ----------
    long_only
        Buys are then limited to the cash at hand: nothing is borrowed.
    """

    def __init__(
        self,
        num_entities: int,
        config: BacktestConfig,
        *,
        long_only: bool,
        costs: Costs | None = None,
        max_turnover: float | None = None,
    ) -> None:
        self.units_E: Float64 = np.zeros(num_entities)
        self.equity = config.initial_equity
        self.counts = Counts()
        self.total_borrow = self.total_dividend = self.total_delisting_loss = 0.0
        self._config = config
        self._costs = costs if costs is not None else Costs(config, num_entities)
        self._long_only, self._max_turnover = long_only, max_turnover

    def step(self, market: Market, target: Decision | None) -> tuple[DateResult, list[Trades]]:
        """Live through one date: fees and dividends, trade towards the target if there is one, then mark.

        Call once after each :meth:`Market.advance`. Nothing in the trade looks at this date's marks.
        """
        cost = self._borrow(market)
        self._receive(market)
        done = self._delist(market)
        turnover, participation, base_E = 0.0, np.nan, market.previous_E
        if target is not None:
            self._gain(market.previous_E, market.at_E)
            base_E = market.at_E
            if self.equity > 0:
                trades = self._trade(market, target)
                paid = float(trades.cost.sum())
                notional = np.abs(trades.units * market.at_E[trades.entities])
                turnover, participation = float(notional.sum()) / self.equity, _share(market, trades, notional)
                self.equity -= paid
                cost += paid
                done.append(trades)
        self._gain(base_E, market.mark_E)
        held = np.flatnonzero(self.units_E)
        values = self.units_E[held] * market.mark_E[held]
        sides = float(values[values > 0].sum()), float(-values[values < 0].sum())
        return DateResult(self.equity, cost, turnover, *sides, len(held), participation), done

    def _gain(self, before_E: Float64, after_E: Float64) -> None:
        held = np.flatnonzero(self.units_E)
        self.equity += float((self.units_E[held] * (after_E[held] - before_E[held])).sum())

    def _borrow(self, market: Market) -> float:
        """Pay for one date of shares sold short, at their last marks."""
        rate = self._config.borrow_bps_per_year or 0.0
        short = np.flatnonzero(self.units_E < 0)
        if not rate or not len(short):
            return 0.0
        value = -float((self.units_E[short] * market.previous_E[short]).sum())
        fee = value * rate / 10_000 / self._config.periods_per_year
        self.equity -= fee
        self.total_borrow += fee
        return fee

    def _receive(self, market: Market) -> None:
        """Take the dividends of shares held over the date before, and pay those of shares sold short."""
        if market.dividend_E is None:
            return
        held = np.flatnonzero(self.units_E)
        cash = float((self.units_E[held] * market.dividend_E[held]).sum())
        self.equity += cash
        self.total_dividend += cash

    def _delist(self, market: Market) -> list[Trades]:
        """Close positions in names that have stopped trading, at what is declared to be left of their last mark."""
        rule = self._config.delisting
        if rule is None:
            return []
        gone = np.flatnonzero((self.units_E != 0) & (market.date - market.last_priced_E >= rule.stale_periods))
        if not len(gone):
            return []
        units, mark = self.units_E[gone], market.previous_E[gone]
        loss = float((units * mark).sum()) * rule.loss_share
        self.equity -= loss
        self.total_delisting_loss += loss
        self.units_E[gone] = 0.0
        self.counts.num_delisted += len(gone)
        price = mark * market.adjustment_E[gone] * (1.0 - rule.loss_share)
        return [Trades(market.date, gone, -units, np.zeros(len(gone)), price)]

    def _trade(self, market: Market, target: Decision) -> Trades:
        if isinstance(target, Ranking):
            names, change = self._swap(market, target)
        else:
            names, change = self._towards(market, target)
            names, change = self._capped(market, names, change)
        if self._long_only:
            names, change = self._affordable(market, names, change)
        self.units_E[names] += change
        self.counts.num_trades += len(names)
        cost = self._costs(names, change * market.at_E[names])
        return Trades(target.decision, names, change, cost)

    def _towards(self, market: Market, target: Target) -> tuple[Int64, Float64]:
        """Orders that bring every name held or wanted to its weight, in the order of entities."""
        names = np.union1d(np.flatnonzero(self.units_E), target.entities)
        weights = np.zeros(len(names))
        weights[np.searchsorted(names, target.entities)] = target.weights
        tradable = market.tradable_E[names]
        self.counts.num_rejected += int(np.count_nonzero(~tradable))
        names, weights = names[tradable], weights[tradable]
        price, held = market.at_E[names], self.units_E[names]
        change = weights * self.equity / price - held
        closing = (weights == 0) & (held != 0)
        sent = closing | (np.abs(change) * price > DUST * self.equity)
        return names[sent], change[sent]

    def _swap(self, market: Market, ranking: Ranking) -> tuple[Int64, Float64]:
        """Orders that sell the worst names held and buy the best not held, for equal parts of the cash then at hand.

        Source: Qlib, ``TopkDropoutStrategy`` with ``method_sell: bottom``, ``method_buy: top``.
        """
        last = len(ranking.entities)
        place_E = np.full(len(self.units_E), last)
        place_E[ranking.entities] = np.arange(last)
        held = np.flatnonzero(self.units_E)
        num_new = max(0, ranking.n_drop + ranking.k - len(held))
        new = ranking.entities[self.units_E[ranking.entities] == 0][:num_new]
        pool = np.concatenate([held, new])
        worst = pool[np.argsort(place_E[pool], kind="stable")][-ranking.n_drop :]
        sell = worst[self.units_E[worst] != 0]
        buy = new[: max(0, len(sell) + ranking.k - len(held))]
        sold = self._open(market, sell, -self.units_E[sell])
        cash = self._cash(market) - float((-self.units_E[sold] * market.at_E[sold]).sum())
        cash -= float(self._costs(sold, -self.units_E[sold] * market.at_E[sold]).sum())
        bought = self._open(market, buy, np.ones(len(buy)))
        each = max(cash, 0.0) * ranking.cash_share / max(1, len(buy))
        names = np.concatenate([sold, bought])
        change = np.concatenate([-self.units_E[sold], each / market.at_E[bought]])
        order = np.argsort(names, kind="stable")
        return self._filled(market, names[order], change[order])

    def _open(self, market: Market, names: Int64, change: Float64) -> Int64:
        """Keep the names that can be traded, counting the others."""
        tradable, is_open = market.tradable_E[names], market.open_to(names, change)
        self.counts.num_rejected += int(np.count_nonzero(~tradable))
        self.counts.num_limited += int(np.count_nonzero(tradable & ~is_open))
        return names[is_open]

    def _capped(self, market: Market, names: Int64, change: Float64) -> tuple[Int64, Float64]:
        """Drop what a limit stops, cut what the volume does not bear, and scale all to the largest turnover."""
        is_open: Bool = market.open_to(names, change)
        self.counts.num_limited += int(np.count_nonzero(~is_open))
        names, change = self._filled(market, names[is_open], change[is_open])
        if self._max_turnover is not None:
            traded = float(np.abs(change * market.at_E[names]).sum())
            room = self._max_turnover * self.equity
            change = change * (room / traded) if traded > room else change
        return names, change

    def _filled(self, market: Market, names: Int64, change: Float64) -> tuple[Int64, Float64]:
        """Cut orders to the share of the date's volume that may be taken."""
        rule = self._config.participation
        if rule is None or market.volume_E is None:
            return names, change
        most = rule.max_share * market.volume_E[names] / market.at_E[names]
        cut = np.abs(change) > most
        self.counts.num_partial += int(np.count_nonzero(cut))
        change = np.where(cut, np.sign(change) * most, change)
        return names[change != 0], change[change != 0]

    def _cash(self, market: Market) -> float:
        held = np.flatnonzero(self.units_E)
        return self.equity - float((self.units_E[held] * market.at_E[held]).sum())

    def _affordable(self, market: Market, names: Int64, change: Float64) -> tuple[Int64, Float64]:
        """Scale all buys by one factor so that cash, after sells and the cost of the full orders, pays for them."""
        price = market.at_E[names]
        notional = change * price
        bought = float(notional[notional > 0].sum())
        at_hand = self._cash(market) - float(notional[notional < 0].sum()) - float(self._costs(names, notional).sum())
        if bought <= at_hand:
            return names, change
        factor = max(at_hand, 0.0) / bought if bought else 1.0
        change = np.where(change > 0, change * factor, change)
        kept = (change < 0) | (change * price > DUST * self.equity)
        return names[kept], change[kept]


def _share(market: Market, trades: Trades, notional: Float64) -> float:
    """Mean share of the volume that trades took, weighed by their notional."""
    total = float(notional.sum())
    if market.volume_E is None or not total:
        return float("nan")
    volume = market.volume_E[trades.entities]
    return float((notional * notional / np.maximum(volume, np.finfo(float).tiny)).sum()) / total
