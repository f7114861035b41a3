"""The portfolio backtest a third time, name by name: cash and shares in plain dictionaries."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from seawall.arrays import Float64

Weigh = Callable[[pd.Series, pd.Series], dict[int, float]]
"""From a date's finite scores and volatilities, by name, to weights."""


@dataclass
class Rules:
    delay: int = 1
    every: int = 1
    long_only: bool = True
    buy_bps: float = 0.0
    sell_bps: float = 0.0
    slippage_bps: float = 0.0
    minimum: float = 0.0
    borrow_bps: float = 0.0
    periods_per_year: float = 252.0
    limit: float = math.inf
    max_share: float = math.inf
    max_turnover: float = math.inf
    half_life: float = 0.0
    min_periods: int = 2
    stale: int = 0
    loss: float = 0.0
    dropout: tuple[int, int, float] | None = None


@dataclass
class Money:
    cash: float = 1.0
    shares: dict[int, float] = field(default_factory=dict)

    def value(self, prices: Float64) -> float:
        return self.cash + sum(units * float(prices[name]) for name, units in self.shares.items())

    def trade(self, name: int, units: float, price: float, rules: Rules) -> None:
        self.cash -= units * price + fee(units * price, rules)
        self.shares[name] = self.shares.get(name, 0.0) + units
        if self.shares[name] == 0.0:
            del self.shares[name]


@dataclass
class Day:
    at: Float64
    before: Float64
    trade: Float64
    volume: Float64


def fee(notional: float, rules: Rules) -> float:
    bps = rules.buy_bps if notional > 0 else rules.sell_bps
    return max(abs(notional) * bps / 1e4, rules.minimum) + abs(notional) * rules.slippage_bps / 1e4


def play(
    trade: pd.DataFrame,
    mark: pd.DataFrame,
    scores: pd.DataFrame,
    volume: pd.DataFrame,
    weigh: Weigh | None,
    rules: Rules,
) -> pd.Series:
    """Equity by date; frames are dates x names of adjusted prices, money traded and scores."""
    trade_DN = trade.where(trade > 0).to_numpy()
    mark_DN = mark.where(mark > 0).fillna(trade.where(trade > 0)).to_numpy()
    last = np.full(trade.shape[1], np.nan)
    seen = np.full(trade.shape[1], -1)
    returns: dict[int, list[float]] = {name: [] for name in range(trade.shape[1])}
    money, curve = Money(), []
    due: dict[int, tuple[pd.Series, pd.Series]] = {}
    for date in range(len(trade)):
        before, now = last.copy(), mark_DN[date]
        seen[~np.isnan(now)] = date
        lent = -sum(units * before[name] for name, units in money.shares.items() if units < 0)
        money.cash -= lent * rules.borrow_bps / 1e4 / rules.periods_per_year
        for name in [name for name in money.shares if rules.stale and date - seen[name] >= rules.stale]:
            money.cash += money.shares.pop(name) * before[name] * (1 - rules.loss)
        if date in due:
            at = np.where(np.isnan(trade_DN[date]), before, trade_DN[date])
            day = Day(at, before, trade_DN[date], volume.to_numpy()[date])
            rebalance(money, due[date], day, weigh, rules)
        last = np.where(np.isnan(now), before, now)
        for name in np.flatnonzero(~np.isnan(now) & ~np.isnan(before)).tolist():
            returns[name].append(now[name] / before[name] - 1)
        curve.append(money.value(last))
        today = scores.iloc[date].dropna()
        if date % rules.every == 0 and len(today):
            due[date + rules.delay] = (today, pd.Series({n: ewma(returns[n], rules) for n in today.index}, dtype=float))
    return pd.Series(curve)


def ewma(returns: list[float], rules: Rules) -> float:
    if not rules.half_life:
        return 1.0
    weights = [0.5 ** (age / rules.half_life) for age in range(len(returns))]
    total = sum(w * r * r for w, r in zip(weights, reversed(returns), strict=True))
    return math.sqrt(total / sum(weights)) if len(returns) >= rules.min_periods and total > 0 else math.nan


def rebalance(money: Money, decided: tuple[pd.Series, pd.Series], day: Day, weigh: Weigh | None, rules: Rules) -> None:
    scores, volatility = decided
    at, volume = day.at, day.volume
    equity = money.value(at)
    if equity <= 0:
        return
    if rules.dropout is not None:
        wish = swap(money, scores, day, rules, rules.dropout)
    else:
        weights = weigh(scores, volatility) if weigh is not None else {}
        if not weights:
            return
        wish = {}
        for name in sorted(set(weights) | set(money.shares)):
            change = weights.get(name, 0.0) * equity / at[name] - money.shares.get(name, 0.0)
            small = abs(change) * at[name] <= 1e-12 * equity and weights.get(name, 0.0)
            if is_open(name, change, day, rules) and change and not small:
                most = rules.max_share * volume[name] / at[name] if rules.max_share < math.inf else math.inf
                wish[name] = math.copysign(min(abs(change), most), change)
        traded = sum(abs(change * at[name]) for name, change in wish.items())
        if traded > rules.max_turnover * equity:
            wish = {name: change * rules.max_turnover * equity / traded for name, change in wish.items()}
    wish = {name: change for name, change in wish.items() if change}
    if rules.long_only:
        bought = sum(change * at[name] for name, change in wish.items() if change > 0)
        room = money.cash - sum(change * at[name] for name, change in wish.items() if change < 0)
        room -= sum(fee(change * at[name], rules) for name, change in wish.items())
        if bought > room:
            wish = {name: change * max(room, 0) / bought if change > 0 else change for name, change in wish.items()}
    for name, change in wish.items():
        money.trade(name, change, at[name], rules)


def is_open(name: int, change: float, day: Day, rules: Rules) -> bool:
    trade, before = day.trade, day.before
    if np.isnan(trade[name]):
        return False
    move = float(trade[name] / before[name]) - 1 if not np.isnan(before[name]) else 0.0
    return not (change > 0 and move >= rules.limit - 1e-9) and not (change < 0 and move <= -rules.limit + 1e-9)


def swap(money: Money, scores: pd.Series, day: Day, rules: Rules, dropout: tuple[int, int, float]) -> dict[int, float]:
    """Qlib's rule: drop the worst n of held and new, refill to k with equal parts of the cash."""
    (k, n_drop, share), at = dropout, day.at
    ranked = scores.sort_values(ascending=False, kind="stable").index.tolist()
    held = sorted(money.shares)
    new = [name for name in ranked if name not in money.shares][: max(0, n_drop + k - len(held))]
    by_score = sorted(held + new, key=lambda name: ranked.index(name) if name in ranked else len(ranked))
    sell = [name for name in by_score[-n_drop:] if name in money.shares]
    buy = new[: max(0, len(sell) + k - len(held))]
    sell = [name for name in sell if is_open(name, -1, day, rules)]
    cash = money.cash
    for name in sell:
        proceeds = money.shares[name] * at[name]
        cash += proceeds - fee(-proceeds, rules)
    wish = {name: -money.shares[name] for name in sell}
    for name in buy:
        if is_open(name, 1, day, rules):
            wish[name] = cash * share / len(buy) / at[name]
    return wish
