"""What the strategies are measured against: one entity, or every predicted name in equal weights."""

import numpy as np

from seawall.arrays import AnyArray, Int64
from seawall.backtest.market import Market
from seawall.backtest.rules import Benchmark
from seawall.errors import ConfigError, nearest
from seawall.stores.panel import Panel


class BenchmarkReturns:
    """Return of the benchmark over each date, from marks and dividends. Memory is the names of one date.

    ``entity``: its mark and the date's dividend over its mark before, less 1. ``equal_weighted``: mean of that over the
    names predicted with a finite value on the last date with predictions before, set to equal weights anew each date,
    free of costs; a name without a new mark returns 0. NaN where no mark before is known.
    """

    def __init__(self, config: Benchmark | None, panel: Panel) -> None:
        self._config = config
        self._names: Int64 = np.empty(0, np.int64)
        if config is not None and config.entity is not None:
            if config.entity not in panel.entities:
                where, do = "backtest.benchmark.entity", nearest(config.entity, panel.entities)
                raise ConfigError(where, "the panel has no such entity", found=repr(config.entity), do=do)
            self._names = np.array([panel.entities.index(config.entity)])

    def over(self, market: Market) -> float:
        """Give the return over the market's current date."""
        before = market.previous_E[self._names]
        known = np.isfinite(before)
        if not known.any():
            return float("nan")
        names = self._names[known]
        after = market.mark_E[names]
        if market.dividend_E is not None:
            after = after + market.dividend_E[names]
        returns = after / before[known] - 1.0
        return float(returns.mean())

    def predicted(self, entities: Int64, predictions: AnyArray) -> None:
        """Take the names of the current date, for the next."""
        if self._config is not None and self._config.kind == "equal_weighted" and len(entities):
            self._names = entities[np.isfinite(predictions)]
