"""How wild each name is: an exponential mean of squared returns from mark to mark, one number an entity."""

import numpy as np

from seawall.arrays import Bool, Float64, Int64
from seawall.backtest.strategies import VolatilityScaling


class Volatility:
    """Volatility per period of every entity, as known at the current marks. Memory is 24 bytes an entity.

    ``sqrt(sum w_i r_i^2 / sum w_i)`` over the entity's own returns, latest first, with ``w_i = 2^(-i / half life)``.
    A date without a new mark adds no return. No later value is used.

    Source: J.P. Morgan, RiskMetrics Technical Document, 1996, chapter 5 (mean return taken as zero).
    """

    def __init__(self, config: VolatilityScaling, num_entities: int) -> None:
        self._decay = 0.5 ** (1.0 / config.half_life_periods)
        self._min_periods = config.min_periods
        self._squares_E, self._weight_E = np.zeros(num_entities), np.zeros(num_entities)
        self._count_E: Int64 = np.zeros(num_entities, np.int64)

    def update(self, previous_E: Float64, mark_E: Float64, marked_E: Bool) -> None:
        """Take the marks of the next date; ``marked_E`` tells which of them are new."""
        moved = np.flatnonzero(marked_E & np.isfinite(previous_E))
        returns = mark_E[moved] / previous_E[moved] - 1.0
        self._squares_E[moved] = self._decay * self._squares_E[moved] + returns * returns
        self._weight_E[moved] = self._decay * self._weight_E[moved] + 1.0
        self._count_E[moved] += 1

    def of(self, entities: Int64) -> Float64:
        """Give volatilities; NaN where too few returns are known, or all of them are zero."""
        enough = (self._count_E[entities] >= self._min_periods) & (self._squares_E[entities] > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.sqrt(self._squares_E[entities] / self._weight_E[entities])
        return np.where(enough, found, np.nan)
