"""How long a score lasts: its ranks from one date to the next, who leaves the top group, what old scores still tell."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.metrics.correlation import information_coefficient


class Persistence(NamedTuple):
    """Numbers of one date against the date before; NaN where undefined."""

    autocorrelation: float
    """Pearson correlation of the ranks of both dates, over names on both."""
    turnover: float
    """Share of the names of the top group that were not in it on the date before."""


class RankPersistence:
    """Compare each date's ranks with those of the date before; memory is 9 bytes a name.

    Both figures are those of alphalens (``factor_rank_autocorrelation``, ``quantile_turnover`` of the top quantile).
    Dates are fed in order of time; nothing of a later date is needed.
    """

    def __init__(self) -> None:
        self._ranks = np.empty(0)
        self._is_top = np.empty(0, bool)
        self._num_dates = 0

    def update(self, names: Int64, ranks: Float64, is_top: AnyArray, *, min_names: int = 2) -> Persistence:
        """Take the next date.

        Parameters
        ----------
        names
            int64 [n]; number of each name, the same on every date.
        ranks
            float64 [n]; rank of its prediction among the names of the date.
        is_top
            bool [n]; whether it is in the top group.
        min_names
            Fewest names on both dates that still give an autocorrelation.

        Returns
        -------
        Persistence
            NaN on the first date, and where a figure is undefined.
        """
        found = Persistence(math.nan, math.nan)
        if self._num_dates:
            num_top, num_left = int(is_top.sum()), int((is_top & ~_of_names(self._is_top, names, False)).sum())
            turnover = num_left / num_top if num_top and self._is_top.any() else math.nan
            before = _of_names(self._ranks, names, math.nan)
            found = Persistence(information_coefficient(before, ranks, min_names=min_names), turnover)
        self._ranks, self._is_top = _dense(ranks, names, math.nan), _dense(is_top, names, False)
        self._num_dates += 1
        return found


class Decay:
    """IC of predictions made some dates ago with the target of now; memory is 8 bytes x (longest lag) x names.

    Parameters
    ----------
    lags
        Dates back, each at least 1.
    """

    def __init__(self, lags: Sequence[int]) -> None:
        self._lags = tuple(lags)
        self._held: list[Float64] = []

    def update(self, names: Int64, prediction: AnyArray, target: AnyArray, *, min_names: int = 2) -> Float64:
        """Take the next date and give the IC at each lag.

        Parameters
        ----------
        names
            int64 [n]; number of each name, the same on every date.
        prediction, target
            Shape [n]; a NaN on either side leaves the name out.
        min_names
            Fewest names that still give a number.

        Returns
        -------
        numpy.ndarray
            float64 [lags]; NaN where undefined, and until as many dates have been seen.
        """
        found = np.full(len(self._lags), np.nan)
        for place, lag in enumerate(self._lags):
            if lag <= len(self._held):
                earlier = _of_names(self._held[-lag], names, math.nan)
                found[place] = information_coefficient(earlier, target, min_names=min_names)
        self._held.append(_dense(prediction, names, math.nan))
        del self._held[: -max(self._lags, default=1)]
        return found


class HorizonDecay:
    """IC of predictions with the sum of the targets of the next h dates; memory is 16 bytes x (longest h) x names.

    For targets of one period, so that the sum is what holding so long earned (of log returns exactly, of simple ones to
    first order). A number stands at the date its sum is complete, h - 1 dates after the prediction. A name that misses
    one of the dates, or its target, is left out of that sum. Neighbouring numbers share h - 1 targets: judge them with
    ``summarise_series(..., horizon_periods=h)``.

    Parameters
    ----------
    horizons
        Dates to hold, each at least 1.
    """

    def __init__(self, horizons: Sequence[int]) -> None:
        self._horizons = tuple(horizons)
        self._predictions: list[Float64] = []
        self._sums: list[Float64] = []

    def update(self, names: Int64, prediction: AnyArray, target: AnyArray, *, min_names: int = 2) -> Float64:
        """Take the next date and give the IC at each horizon.

        Parameters
        ----------
        names
            int64 [n]; number of each name, the same on every date.
        prediction, target
            Shape [n]; a NaN on either side leaves the name out.
        min_names
            Fewest names that still give a number.

        Returns
        -------
        numpy.ndarray
            float64 [horizons]; NaN where undefined, and until as many dates have been seen.
        """
        earned = _dense(target, names, math.nan)
        for held in self._sums:
            common = min(len(held), len(earned))
            held[:common] += earned[:common]
            held[common:] = np.nan
        self._predictions.append(_dense(prediction, names, math.nan))
        self._sums.append(earned)
        found = np.full(len(self._horizons), np.nan)
        for place, horizon in enumerate(self._horizons):
            if horizon <= len(self._sums):
                held, total = self._predictions[-horizon], self._sums[-horizon]
                found[place] = information_coefficient(held, total, min_names=min_names)
        num_done = max(0, len(self._sums) + 1 - max(self._horizons, default=1))
        del self._predictions[:num_done], self._sums[:num_done]
        return found


def _dense(values: AnyArray, names: Int64, missing: float) -> AnyArray:
    """Put the value of each name at its number, in the type of ``missing``."""
    dense = np.full(int(names.max()) + 1 if len(names) else 0, missing)
    dense[names] = values
    return dense


def _of_names(dense: AnyArray, names: Int64, missing: float) -> AnyArray:
    """Look up names; ``missing`` for those not there."""
    values = np.full(len(names), missing, dense.dtype)
    known = names < len(dense)
    values[known] = dense[names[known]]
    return values
