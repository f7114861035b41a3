"""The finer parts of a fake run's records: decay, tails, years and months of the IC, and of a strategy."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from seawall.arrays import AnyArray, Float64

Series: TypeAlias = Callable[[Float64], dict[str, Any]]
LAGS = (1, 2, 5, 10)


def more_metrics(
    rng: np.random.Generator,
    series: Callable[[Float64], dict[str, Any]],
    times: AnyArray,
    ic: Float64,
    rank_ic: Float64,
) -> dict[str, Any]:
    """Give the keys of the block ``overall`` beside those of every block."""

    def with_band(values: Float64) -> dict[str, Any]:
        found = series(values)
        return {**found, "mean_low": found["mean"] - 0.008, "mean_high": found["mean"] + 0.008}

    return {
        "spread": with_band(rng.normal(0.004, 0.03, len(ic))),
        "top_ic": with_band(rng.normal(0.01, 0.2, len(ic))),
        "bottom_ic": with_band(rng.normal(-0.004, 0.2, len(ic))),
        "monotonicity": 0.9,
        "autocorrelation": 0.874,
        "turnover": 0.251,
        "coverage": 0.9937,
        "decay": [{"lag": lag, **with_band(ic / lag**0.5)} for lag in LAGS],
        "years": [
            {"year": year, "num_dates": int(of.sum()), "ic": _mean(ic[of]), "rank_ic": _mean(rank_ic[of])}
            for year, of in _spans(times, "Y")
        ],
    }


def more_statistics(times: AnyArray, net: Float64) -> dict[str, Any]:
    """Give bands, years and months of a strategy from its returns after costs, the first date left out."""
    returns = np.concatenate([[0.0], net])
    return {
        "bands": {"mean_return": [-0.04, 0.31]},
        "longest_drawdown_periods": 211,
        "cost_share": 0.42,
        "num_limited": 7,
        "years": [
            {
                "year": year,
                "return": float(np.prod(1 + returns[of]) - 1),
                "benchmark_return": 0.051,
                "volatility": 0.12,
                "sharpe": None,
                "max_drawdown": -0.08,
                "turnover": 24.0,
                "cost": 0.03,
                "hit_rate": 0.51,
            }
            for year, of in _spans(times, "Y")
        ],
        "months": [{"month": month, "return": float(np.prod(1 + returns[of]) - 1)} for month, of in _spans(times, "M")],
    }


def _mean(values: Float64) -> float:
    return float(np.nanmean(values))


def _spans(times: AnyArray, unit: str) -> list[tuple[str, AnyArray]]:
    """Give each year or month with the dates in it; none where times are steps."""
    if times.dtype.kind != "M":
        return []
    spans = times.astype(f"datetime64[{unit}]")
    return [(str(span), spans == span) for span in np.unique(spans)]
