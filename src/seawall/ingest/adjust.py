"""Scale breaks: declared factors, or moves no market allows, that never touch an earlier row."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seawall.arrays import Bool, Float64, Int64


@dataclass(frozen=True, slots=True)
class Bars:
    """Price columns of rows sorted by (entity, time); ``first`` marks the first row of each entity."""

    open: Float64
    high: Float64
    low: Float64
    close: Float64
    first: Bool


def detect_breaks(bars: Bars, min_ratio: float) -> Float64:
    """Find rows whose whole bar lies beyond ``min_ratio`` times the previous close, above or below.

    A row is a break where ``low > min_ratio * previous close`` or ``high < previous close / min_ratio``; the factor is
    ``open / previous close``, so the overnight move over a break, which cannot be told apart from the change of scale,
    counts as zero and the move within the bar stays real. A real +60 % survives a ``min_ratio`` of 2.

    Only the row itself and the row before it are read: a later row changes nothing.

    Returns
    -------
    float64 [n]
        Factor of each row, 1 where there is no break or a price is missing.
    """
    previous = np.roll(bars.close, 1)
    previous[bars.first] = np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        up = bars.low > min_ratio * previous
        down = bars.high < previous / min_ratio
        factor = bars.open / previous
        usable = (previous > 0) & (bars.low > 0) & (factor > 0) & np.isfinite(factor)
    return np.where((up | down) & usable, factor, 1.0)


def cumulate(factors: Float64, starts: Int64, carried: Float64 | None = None) -> Float64:
    """Multiply factors along each entity, from its first row on.

    Parameters
    ----------
    starts
        int64 [e + 1], first row of each entity and the end.
    carried
        float64 [e], adjustment of each entity's first row here, where rows before it are left out; 1 where missing.

    Returns
    -------
    float64 [n]
        Adjustment of each row; ``price / adjustment`` is on the scale of the entity's first row.
    """
    adjustment = factors.copy()
    if carried is not None:
        adjustment[starts[:-1]] *= carried
    for start, stop in pairwise(starts.tolist()):
        np.multiply.accumulate(adjustment[start:stop], out=adjustment[start:stop])
    return adjustment


def factors_of(column: Float64, starts: Int64, kind: str) -> Float64:
    """Turn a column of factors into the factor of each row; a row reads itself and the one before it, nothing later.

    Parameters
    ----------
    column
        float64 [n], sorted by (entity, time), without what :func:`no_factors` finds. ``per_date``: new price / old
        price, 1 or NaN where nothing changes. Cumulative: adjusted price = price x ``multiplier``, or price /
        ``divisor``; only ratios of rows count.
    starts
        int64 [e + 1], first row of each entity and the end. The first row's factor is 1: nothing lies before it.
    """
    if kind == "per_date":
        factors = np.where(np.isnan(column), 1.0, column)
    else:
        before = np.roll(column, 1)
        factors = column / before if kind == "divisor" else before / column
    factors[starts[:-1]] = 1.0
    return factors


def no_factors(column: Float64, kind: str) -> Bool:
    """Mark what no factor can be: 0, negative, infinite, and missing where factors are cumulative."""
    usable = (column > 0) & np.isfinite(column)
    return ~(usable | np.isnan(column)) if kind == "per_date" else ~usable
