"""Numbers that sum up an equity curve. Every formula is stated; what is undefined is None, never 0."""

import math
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Bool, Float64
from seawall.backtest.equity import EquityCurve


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveStatistics:
    """Statistics of one equity curve of n + 1 dates, that is n period returns."""

    total_return: float | None
    """Last equity - 1."""

    annual_return: float | None
    """Geometric: last equity ** (periods_per_year / n) - 1. Arithmetic: mean return x periods_per_year."""

    annual_volatility: float | None
    """Standard deviation of returns (n - 1 in the denominator) x sqrt(periods_per_year)."""

    sharpe: float | None
    """Mean return / standard deviation x sqrt(periods_per_year), no riskless rate; None without volatility."""

    max_drawdown: float | None
    """Lowest equity / highest equity so far - 1: zero or below."""

    annual_turnover: float | None
    """Mean turnover (buys plus sells) of the n periods x periods_per_year."""

    hit_rate: float | None
    """Positive returns / returns other than zero."""

    sortino: float | None
    """Mean return / sqrt(mean(min(return, 0)^2)) x sqrt(periods_per_year); None where no return is negative."""

    calmar: float | None
    """annual_return / -max_drawdown; None without a drawdown."""

    longest_drawdown_periods: int | None
    """Most dates in a row below an earlier highest equity."""

    mean_long_exposure: float | None
    """Mean of long positions over equity, of the n dates."""

    mean_short_exposure: float | None
    share_invested: float | None
    """Share of the n dates that end with a position."""


def curve_statistics(curve: EquityCurve, *, periods_per_year: float, compounding: str) -> CurveStatistics:
    """Compute the statistics of a curve.

    Once equity has been zero or below, returns are undefined and so is everything computed from them.
    """
    equity, returns = curve["equity"], curve["period_return"][1:]
    mean, deviation = _mean(returns), _deviation(returns)
    root = math.sqrt(periods_per_year)
    annual = _annual(equity, mean, periods_per_year, compounding)
    turnover = _mean(curve["turnover"][1:])
    moved = np.count_nonzero(returns)
    falls = drawdowns(equity)
    worst, downside = float(falls.min()) if len(equity) else None, _downside(returns)
    long, short = curve["long_exposure"][1:], curve["short_exposure"][1:]
    held = (long > 0) | (short > 0)
    return CurveStatistics(
        total_return=float(equity[-1]) - 1.0 if len(equity) else None,
        annual_return=annual,
        annual_volatility=None if deviation is None else deviation * root,
        sharpe=None if mean is None or not deviation else mean / deviation * root,
        max_drawdown=worst,
        annual_turnover=None if turnover is None else turnover * periods_per_year,
        hit_rate=np.count_nonzero(returns > 0) / moved if moved and mean is not None else None,
        sortino=None if mean is None or not downside else mean / downside * root,
        calmar=None if annual is None or not worst else annual / -worst,
        longest_drawdown_periods=_longest_run(falls < 0) if len(equity) else None,
        mean_long_exposure=_mean(long),
        mean_short_exposure=_mean(short),
        share_invested=float(held.mean()) if len(held) else None,
    )


def drawdown_span(equity: Float64) -> tuple[int, int] | None:
    """Find the places of the peak and of the trough of the largest drawdown; None where equity never fell."""
    if not len(equity):
        return None
    falls = drawdowns(equity)
    trough = int(np.argmin(falls))
    if falls[trough] >= 0:
        return None
    return int(np.argmax(equity[: trough + 1])), trough


def drawdowns(equity: Float64) -> Float64:
    """Give how far each place of a curve is below its highest so far: zero or below."""
    return equity / np.maximum.accumulate(equity) - 1.0


def _annual(equity: Float64, mean: float | None, periods_per_year: float, compounding: str) -> float | None:
    if mean is None:
        return None
    if compounding == "arithmetic":
        return mean * periods_per_year
    exponent = periods_per_year / (len(equity) - 1)
    try:
        return float(equity[-1]) ** exponent - 1.0 if equity[-1] > 0 else None
    except OverflowError:  # one wild period at thousands of periods a year is beyond any float
        return None


def _downside(returns: Float64) -> float | None:
    return math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean())) if _mean(returns) is not None else None


def _longest_run(marks: Bool) -> int:
    """Count the longest stretch of True."""
    ends = np.flatnonzero(~np.concatenate([[False], marks, [False]]))
    return int(np.diff(ends).max()) - 1


def _mean(values: Float64) -> float | None:
    return float(values.mean()) if len(values) and np.isfinite(values).all() else None


def _deviation(values: Float64) -> float | None:
    if len(values) < 2 or not np.isfinite(values).all():
        return None
    # Equal returns have no deviation; the rounding of their mean would show one, and a huge Sharpe ratio with it.
    return float(values.std(ddof=1)) if values.min() < values.max() else 0.0
