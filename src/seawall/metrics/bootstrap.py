"""How far a mean could be off, when neighbouring dates depend on each other: resample whole blocks of dates."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BLOCKS_AT_ONCE = 65_536
"""Blocks drawn at once, of as many resamples as that makes: memory does not grow with the dates."""


class Band(NamedTuple):
    """Ends of a two-sided band; NaN where undefined."""

    low: float
    high: float


def block_length(num_dates: int, horizon_periods: int) -> int:
    """Choose dates per block: the cube root of their number, and no fewer than a target overlaps.

    Source: P. Hall, J. L. Horowitz, B.-Y. Jing, On blocking rules for the bootstrap with dependent data, 1995.
    """
    return max(1, horizon_periods, math.ceil(math.cbrt(num_dates)))


def mean_band(
    series: npt.ArrayLike, horizon_periods: int, *, level: float = 0.95, num_resamples: int = 2000, seed: int = 0
) -> Band:
    """Compute the percentile band of a mean by the circular block bootstrap.

    Parameters
    ----------
    series
        One number a date in order of time; undefined ones are left out.
        Shape [T]; NaN and infinite values count as undefined.
    horizon_periods
        Periods a target looks ahead; no block of dates is shorter.
    level
        Share of resampled means inside the band.
    num_resamples
        Means drawn.
    seed
        The same seed gives the same band.

    Returns
    -------
    Band
        ``low`` and ``high`` in the unit of the series; NaN where undefined.

    Notes
    -----
    Memory is 8 bytes a date, and 40 for each of the 65,536 blocks drawn at once. Undefined below four blocks of dates.
    Source: D. N. Politis, J. P. Romano, A circular block-resampling procedure for stationary data, 1992.

    Examples
    --------
    >>> band = mean_band(np.sin(np.arange(400)) + 0.5, 5)
    >>> band.low < 0.5 < band.high
    True
    """
    values = np.asarray(series, np.float64)
    values = values[np.isfinite(values)]
    n = len(values)
    length = block_length(n, horizon_periods)
    if n < 4 * length:
        return Band(math.nan, math.nan)
    # The sum of a block is a difference of two running sums; blocks run round the end. Sums are taken around the mean,
    # where they stay small and keep their digits.
    centre = math.fsum(values) / n
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[: length - 1]]) - centre)])
    num_blocks = n // length
    rng, means = np.random.default_rng(seed), np.empty(num_resamples)
    at_once = max(1, BLOCKS_AT_ONCE // num_blocks)
    for first in range(0, num_resamples, at_once):
        part = means[first : first + at_once]
        starts = rng.integers(0, n, (len(part), num_blocks))
        part[:] = (sums[starts + length] - sums[starts]).sum(axis=1) / (num_blocks * length)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Band(centre + float(low), centre + float(high))
