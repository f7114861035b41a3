"""Is the mean of a daily series different from zero? Neighbouring days share most of a horizon: a plain t misleads."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seawall.arrays import Float64
from seawall.metrics.cosines import low_cosine_energy


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """Summary of one number a date; NaN where undefined.

    ``num_dates`` counts all dates, ``num_undefined`` those of them without a number; everything else rests on the
    ``num_defined`` others. ``std`` divides by ``num_defined - 1``. ``icir`` is mean / std, not annualised.
    """

    mean: float
    std: float
    icir: float
    share_positive: float
    t_plain: float
    t_hac: float
    dof_hac: int
    t_newey_west: float
    t_non_overlapping: float
    num_non_overlapping: int
    num_dates: int
    num_undefined: int

    @property
    def num_defined(self) -> int:
        """Dates that have a number."""
        return self.num_dates - self.num_undefined


def summarise_series(series: npt.ArrayLike, horizon_periods: int) -> SeriesSummary:
    """Summarise a daily series such as the IC, with a t statistic that holds for overlapping targets.

    Parameters
    ----------
    series
        One axis, in order of time; NaN (or infinite) where a date is undefined: left out and counted.
    horizon_periods
        Periods a target looks ahead, h: neighbouring values share h - 1 of them.

    Returns
    -------
    SeriesSummary
        float64 numbers; NaN where undefined.

    Raises
    ------
    ValueError
        For a horizon below one period.

    Notes
    -----
    Memory is 33 bytes a date, and up to 6 MiB for the transforms of a long series.

    ``t_newey_west`` has Bartlett weights over h - 1 lags (W. K. Newey, K. D. West, Econometrica 55, 1987): familiar,
    and too large for long horizons. ``t_non_overlapping`` is the plain t of every h-th date: honest, and wasteful.
    ``t_plain`` takes dates as independent. ``t_hac`` is the equal-weighted-cosine estimate: the long-run variance is
    the mean of nu = floor(T / 2h) squared cosine transforms, and t is compared with Student t of nu degrees of freedom
    (``dof_hac``). It is undefined for nu < 2, where the reference distribution has not even a mean, and for a series
    without variance. Its size at 5 % was 4.8-6.0 % in trials where Newey-West had 10-15 %.
    Source: E. Lazarus, D. J. Lewis, J. H. Stock, M. W. Watson, HAR inference: recommendations for practice,
    Journal of Business & Economic Statistics 36(4), 2018.

    Examples
    --------
    >>> summary = summarise_series([0.02, 0.04, float("nan"), -0.01, 0.03], horizon_periods=1)
    >>> round(summary.mean, 6), summary.share_positive, round(summary.t_plain, 6), summary.num_undefined
    (0.02, 0.75, 1.85164, 1)
    """
    if horizon_periods < 1:
        raise ValueError(f"horizon_periods is {horizon_periods}: must be at least 1")
    values = np.asarray(series, dtype=np.float64)
    defined = values[np.isfinite(values)]
    n = len(defined)
    mean = _mean(defined)
    centred = defined - mean
    std = math.sqrt(math.fsum(centred**2) / (n - 1)) if n > 1 else math.nan
    icir = mean / std if std > 0 else math.nan
    dof = n // (2 * horizon_periods)
    long_run = _long_run_variance(centred, dof)
    newey_west = _newey_west_variance(centred, horizon_periods)
    apart = values[::horizon_periods]
    apart = apart[np.isfinite(apart)]
    return SeriesSummary(
        mean=mean,
        std=std,
        icir=icir,
        share_positive=float((defined > 0).sum()) / n if n else math.nan,
        t_plain=icir * math.sqrt(n),
        t_hac=math.sqrt(n) * mean / math.sqrt(long_run) if long_run > 0 else math.nan,
        dof_hac=dof,
        t_newey_west=math.sqrt(n) * mean / math.sqrt(newey_west) if newey_west > 0 else math.nan,
        t_non_overlapping=_plain_t(apart),
        num_non_overlapping=len(apart),
        num_dates=len(values),
        num_undefined=len(values) - n,
    )


def _mean(values: Float64) -> float:
    """Average exactly; taken around the first value, so that values all alike have themselves as their mean."""
    if len(values) == 0:
        return math.nan
    return float(values[0]) + math.fsum(values - values[0]) / len(values)


def _plain_t(values: Float64) -> float:
    n, mean = len(values), _mean(values)
    std = math.sqrt(math.fsum((values - mean) ** 2) / (n - 1)) if n > 1 else math.nan
    return math.sqrt(n) * mean / std if std > 0 else math.nan


def _newey_west_variance(centred: Float64, horizon_periods: int) -> float:
    """Sum autocovariances up to lag h - 1 with Bartlett weights 1 - lag / h; NaN where the series is shorter."""
    n = len(centred)
    if n <= horizon_periods:
        return math.nan
    covariances = [float(centred[lag:] @ centred[: n - lag]) / n for lag in range(horizon_periods)]
    weighted = (2.0 * (1.0 - lag / horizon_periods) * covariances[lag] for lag in range(1, horizon_periods))
    return covariances[0] + math.fsum(weighted)


def _long_run_variance(centred: Float64, dof: int) -> float:
    """Average the squares of the first ``dof`` cosine transforms sqrt(2/T) sum_t y_t cos(pi j (t - 1/2) / T), j = 1 ..

    A constant has none of them, so the series may come centred, and then one without variance gives exactly zero
    instead of rounding dust.
    """
    if dof < 2:
        return math.nan
    return low_cosine_energy(centred, dof) * 2.0 / len(centred) / dof
