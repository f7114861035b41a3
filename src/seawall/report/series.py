"""Small computations on series: thinning for a screen, drawdown, means by month, cost of trading."""

import numpy as np

from seawall.arrays import AnyArray, Bool, Float64, Int64

MAX_POINTS = 4_000
"""Points drawn per line: more than the pixels of a wide screen, few enough to keep the page small."""


def thin(values_T: Float64, *, max_points: int = MAX_POINTS, keep_T: Bool | None = None) -> Int64:
    """Choose the points of a long series to draw, so that no extreme is lost.

    The series is cut into ``max_points // 2`` runs of nearly equal length; the lowest and the highest value of each run
    stay, and so do the first and the last point.

    Parameters
    ----------
    values_T
        float64 [T]. NaN is never an extreme; a run of NaN alone keeps one, so a gap stays a gap.
    keep_T
        bool [T], points that stay whatever their value.

    Returns
    -------
    int64 [m]
        Increasing indices; all of them where T <= ``max_points``. m may pass ``max_points`` by the kept points and two.
    """
    length = len(values_T)
    if length <= max_points:
        return np.arange(length)
    bounds = np.linspace(0, length, max_points // 2 + 1).astype(np.int64)
    chosen = {0, length - 1}
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        part = values_T[start:stop]
        defined = np.flatnonzero(~np.isnan(part))
        if len(defined) == 0:
            chosen.add(start)
            continue
        chosen.add(start + int(defined[np.argmin(part[defined])]))
        chosen.add(start + int(defined[np.argmax(part[defined])]))
    indices = np.array(sorted(chosen), np.int64)
    return indices if keep_T is None else np.union1d(indices, np.flatnonzero(keep_T))


def drawdown(equity_T: Float64) -> Float64:
    """Compute equity over its highest value so far, minus one: 0 at a new high, -0.2 when a fifth is lost.

    Returns
    -------
    float64 [T]
        NaN where equity is NaN. Looks back only.
    """
    peak_T = np.fmax.accumulate(equity_T)
    return np.asarray(equity_T / peak_T - 1.0)


def compounded(returns_T: Float64) -> Float64:
    """Grow 1.0 by period returns.

    Leading undefined returns leave 1.0; a later undefined one makes everything after it undefined.
    """
    defined = np.flatnonzero(~np.isnan(returns_T))
    filled_T = returns_T.copy()
    filled_T[: defined[0] if len(defined) else len(filled_T)] = 0.0
    return np.asarray(np.cumprod(1.0 + filled_T), np.float64)


def annual_cost(gross_T: Float64, net_T: Float64, periods_per_year: float | None) -> float | None:
    """Compute what trading cost a year: mean of gross minus net period return, times periods per year.

    The first date has no return yet and is left out. None where a return is undefined, or the length of a year is not
    known.
    """
    costs_T = gross_T[1:] - net_T[1:]
    if periods_per_year is None or len(costs_T) == 0 or not np.isfinite(costs_T).all():
        return None
    return float(costs_T.mean()) * periods_per_year


def running_sum(values_T: Float64) -> Float64:
    """Sum values up to each date; an undefined date adds nothing and is itself left undefined."""
    return np.where(np.isnan(values_T), np.nan, np.nancumsum(values_T))


def month_table(times_T: AnyArray, values_T: Float64) -> tuple[list[int], Float64]:
    """Average a daily series by calendar month.

    Parameters
    ----------
    times_T
        datetime64 [T].

    Returns
    -------
    years, means_YM
        The years in order and float64 [years, 12]; NaN for a month without a defined date.
    """
    months_T = times_T.astype("datetime64[M]").astype(np.int64)
    first_year = int(months_T.min()) // 12
    num_years = int(months_T.max()) // 12 - first_year + 1
    defined_T = ~np.isnan(values_T)
    place_T = months_T[defined_T] - first_year * 12
    return [1970 + first_year + i for i in range(num_years)], _means(
        place_T, values_T[defined_T], num_years * 12
    ).reshape(num_years, 12)


def block_means(values_T: Float64, num_blocks: int) -> Float64:
    """Average a series over ``num_blocks`` runs of nearly equal length; NaN for a run without a defined value."""
    place_T = np.arange(len(values_T)) * num_blocks // max(len(values_T), 1)
    defined_T = ~np.isnan(values_T)
    return _means(place_T[defined_T], values_T[defined_T], num_blocks)


def _means(place: Int64, values: Float64, size: int) -> Float64:
    sums = np.bincount(place, weights=values, minlength=size)
    counts = np.bincount(place, minlength=size)
    means: Float64 = np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)
    return means
