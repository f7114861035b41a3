"""Scale breaks: moves no market allows, turned into adjustment factors that never touch an earlier row."""

from dataclasses import dataclass

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
    adjustment = np.ones(len(factors)) if carried is None else np.repeat(carried, np.diff(starts))
    for row in np.flatnonzero(factors != 1.0):
        entity = int(np.searchsorted(starts, row, side="right")) - 1
        adjustment[row : starts[entity + 1]] *= factors[row]
    return adjustment
