"""The blocks of ``metrics.json``: pooled numbers, summaries of the daily series, quantiles; undefined is None."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from scipy.special import stdtr

from seawall.arrays import Float64
from seawall.metrics import PointwiseResult, SeriesSummary, pooled_t


def pooled_block(result: PointwiseResult) -> dict[str, Any]:
    """Give the pooled numbers and the t of their correlation."""
    return _defined({**asdict(result), "pooled_t": pooled_t(result.pearson, result.n)})


def series_block(summary: SeriesSummary) -> dict[str, Any]:
    """Give the summary of a daily series with two-sided p values of both t statistics."""
    p_values = {
        "p_plain": _two_sided_p(summary.t_plain, summary.num_defined - 1),
        "p_hac": _two_sided_p(summary.t_hac, summary.dof_hac),
    }
    return _defined({**asdict(summary), **p_values})


def quantile_block(quantiles_TQ: Float64) -> list[float | None]:
    """Average each quantile over the dates on which it is defined."""
    means = []
    for values in quantiles_TQ.T:
        defined = values[~np.isnan(values)]
        means.append(_or_none(math.fsum(defined) / len(defined)) if len(defined) else None)
    return means


def _two_sided_p(t: float, dof: int) -> float:
    return 2.0 * float(stdtr(dof, -abs(t))) if dof >= 1 else math.nan


def _defined(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: _or_none(value) for name, value in numbers.items()}


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
