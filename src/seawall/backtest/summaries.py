"""What a finished curve says beside its totals: by year and month, against a benchmark, with bands, as Qlib counts."""

import math
from itertools import pairwise
from typing import Any

import numpy as np

from seawall.arrays import AnyArray, Float64
from seawall.backtest.equity import EquityCurve
from seawall.backtest.statistics import drawdowns
from seawall.metrics.bootstrap import mean_band
from seawall.stores.panel import Panel


def relative_statistics(curve: EquityCurve, periods_per_year: float) -> dict[str, Any]:
    """Measure a curve against its benchmark; empty without one.

    Over the n dates on which both returns are defined: ``beta = cov(r, b) / var(b)`` and
    ``alpha = (mean(r) - beta x mean(b)) x periods_per_year`` (ordinary least squares, no riskless rate),
    ``tracking_error`` and ``information_ratio`` of ``r - b`` (mean / standard deviation x root of the year, n - 1).
    """
    returns, benchmark = curve["period_return"][1:], curve["benchmark_return"][1:]
    both = np.isfinite(returns) & np.isfinite(benchmark)
    if not both.any():
        return {}
    r, b = returns[both], benchmark[both]
    excess, root = r - b, math.sqrt(periods_per_year)
    deviation = _deviation(excess)
    found: dict[str, Any] = {
        "benchmark_total_return": float(np.prod(1.0 + b)) - 1.0,
        "annual_excess_return": float(excess.mean()) * periods_per_year,
        "tracking_error": None if deviation is None else deviation * root,
        "information_ratio": float(excess.mean()) / deviation * root if deviation else None,
        "alpha": None,
        "beta": None,
        "benchmark_correlation": None,
    }
    spread = _deviation(b)
    if len(b) > 2 and spread:
        beta = float(((r - r.mean()) * (b - b.mean())).sum() / ((b - b.mean()) ** 2).sum())
        own = _deviation(r)
        found |= {"alpha": (float(r.mean()) - beta * float(b.mean())) * periods_per_year, "beta": beta}
        found["benchmark_correlation"] = beta * spread / own if own else None
    return found


def return_bands(curve: EquityCurve, periods_per_year: float) -> dict[str, list[float] | None]:
    """Give 95 % bands of the mean return a year, and of the excess over the benchmark, by the block bootstrap.

    None where undefined. Source: :func:`seawall.metrics.mean_band`, blocks of the cube root of the number of dates.
    """
    returns = curve["period_return"][1:]
    excess = returns - curve["benchmark_return"][1:]
    bands = {"mean_return": _band(returns, periods_per_year)}
    return bands | ({"excess_return": _band(excess, periods_per_year)} if np.isfinite(excess).any() else {})


def _band(returns: Float64, periods_per_year: float) -> list[float] | None:
    band = mean_band(returns, 1)
    return None if math.isnan(band.low) else [band.low * periods_per_year, band.high * periods_per_year]


def by_period(curve: EquityCurve, panel: Panel, periods_per_year: float) -> dict[str, list[dict[str, Any]]]:
    """Sum up each calendar year and month; empty where the calendar is plain steps.

    ``return`` compounds the period returns of the dates in it; ``max_drawdown`` starts anew with each.
    """
    if panel.calendar_kind != "timestamp":
        return {"years": [], "months": []}
    times = panel.times_as_datetime()[curve.first : curve.first + len(curve["equity"])]
    return {
        "years": [
            {"year": str(label), **_of_period(curve, part, periods_per_year)}
            for label, part in _parts(times.astype("datetime64[Y]"))
        ],
        "months": [
            {"month": str(label), "return": _compounded(curve["period_return"][part])}
            for label, part in _parts(times.astype("datetime64[M]"))
        ],
    }


def _parts(labels: AnyArray) -> list[tuple[Any, slice]]:
    """Stretches of equal labels; the first date has no return and only starts the curve."""
    cuts = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    bounds = [0, *cuts.tolist(), len(labels)]
    stretches = [(labels[a], slice(max(a, 1), b)) for a, b in pairwise(bounds) if b > a]
    return [(label, part) for label, part in stretches if part.stop > part.start]


def _of_period(curve: EquityCurve, part: slice, periods_per_year: float) -> dict[str, Any]:
    returns, root = curve["period_return"][part], math.sqrt(periods_per_year)
    deviation = _deviation(returns) if np.isfinite(returns).all() else None
    moved, benchmark = np.count_nonzero(returns), curve["benchmark_return"][part]
    grown = np.concatenate([[1.0], np.cumprod(1.0 + returns)])
    return {
        "return": _compounded(returns),
        "benchmark_return": _compounded(benchmark),
        "volatility": None if deviation is None else deviation * root,
        "sharpe": float(returns.mean()) / deviation * root if deviation else None,
        "max_drawdown": float(drawdowns(grown).min()) if np.isfinite(grown).all() else None,
        "turnover": float(curve["turnover"][part].sum()),
        "cost": float(curve["cost"][part].sum()) if np.isfinite(curve["cost"][part]).all() else None,
        "hit_rate": int(np.count_nonzero(returns > 0)) / moved if moved else None,
        "num_dates": len(returns),
    }


def _compounded(returns: Float64) -> float | None:
    return float(np.prod(1.0 + returns)) - 1.0 if len(returns) and np.isfinite(returns).all() else None


def qlib_analysis(curve: EquityCurve, periods_per_year: float) -> dict[str, Any]:
    """Sum returns up as Qlib's ``risk_analysis`` in mode ``sum`` does.

    Mean and standard deviation (n - 1) of a series a period, ``annualized_return = mean x periods_per_year`` (Qlib: 238
    days), ``information_ratio = mean / std x sqrt(periods_per_year)``, ``max_drawdown`` of the running sum. Series are
    the return before and after costs, and both less the benchmark where there is one.

    Source: Qlib, ``contrib/evaluate.py``.
    """
    gross, cost = curve["gross_return"][1:], curve["cost"][1:]
    benchmark = curve["benchmark_return"][1:]
    series = {"return_without_cost": gross, "return_with_cost": gross - cost}
    if np.isfinite(benchmark).any():
        series |= {
            "excess_return_without_cost": gross - benchmark,
            "excess_return_with_cost": gross - benchmark - cost,
        }
    return {name: _risk(values[np.isfinite(values)], periods_per_year) for name, values in series.items()}


def _risk(values: Float64, periods_per_year: float) -> dict[str, float | None]:
    if not len(values):
        return {}
    mean, deviation, total = float(values.mean()), _deviation(values), np.cumsum(values)
    return {
        "mean": mean,
        "std": deviation,
        "annualized_return": mean * periods_per_year,
        "information_ratio": mean / deviation * math.sqrt(periods_per_year) if deviation else None,
        "max_drawdown": float((total - np.maximum.accumulate(total)).min()),
    }


def _deviation(values: Float64) -> float | None:
    if len(values) < 2:
        return None
    return float(values.std(ddof=1)) if values.min() < values.max() else 0.0
