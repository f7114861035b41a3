"""The blocks of ``metrics.json``: pooled numbers, summaries of the daily series, quantiles; undefined is None."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import stdtr

from seawall.arrays import Float64
from seawall.metrics import (
    PointwiseResult,
    mean_band,
    pooled_t,
    rank_information_coefficient,
    summarise_series,
)


def pooled_block(result: PointwiseResult) -> dict[str, Any]:
    """Give the pooled numbers and the t of their correlation."""
    return _defined({**asdict(result), "pooled_t": pooled_t(result.pearson, result.n)})


def series_block(series: Float64, horizon_periods: int) -> dict[str, Any]:
    """Summarise a daily series, with two-sided p values of its t statistics and a bootstrap band of its mean."""
    summary = summarise_series(series, horizon_periods)
    p_values = {
        "p_plain": _two_sided_p(summary.t_plain, summary.num_defined - 1),
        "p_hac": _two_sided_p(summary.t_hac, summary.dof_hac),
        "p_newey_west": _two_sided_p(summary.t_newey_west, summary.num_defined - 1),
        "p_non_overlapping": _two_sided_p(summary.t_non_overlapping, summary.num_non_overlapping - 1),
    }
    band = mean_band(series, horizon_periods)
    return _defined({**asdict(summary), **p_values, "mean_low": band.low, "mean_high": band.high})


def mean_of(series: Float64) -> float | None:
    """Average a daily series over the dates on which it is defined; None where it is on none."""
    defined = series[np.isfinite(series)]
    return math.fsum(defined) / len(defined) if len(defined) else None


def monotonicity(quantiles: Sequence[float | None]) -> float | None:
    """Correlate the order of the groups with the order of their means: 1 where each higher group earned more."""
    if any(value is None for value in quantiles):
        return None
    found = rank_information_coefficient(np.arange(len(quantiles)), np.array(quantiles, np.float64))
    return _or_none(found)


def _two_sided_p(t: float, dof: int) -> float:
    return 2.0 * float(stdtr(dof, -abs(t))) if dof >= 1 else math.nan


def _defined(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: _or_none(value) for name, value in numbers.items()}


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
