"""One strategy on its way through time: decisions waiting for their trade date, the portfolio, and what is written."""

from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import AnyArray, Int64
from seawall.backtest.config import BacktestConfig, QuantileLongShort, TopK
from seawall.backtest.equity import EquityCurve
from seawall.backtest.ledger import LedgerWriter
from seawall.backtest.market import Market
from seawall.backtest.portfolio import Portfolio
from seawall.backtest.statistics import curve_statistics, drawdown_span
from seawall.backtest.weights import Target, target_weights
from seawall.stores.atomic import replacing, write_json
from seawall.stores.panel import Panel

STALE_PERIODS = 20
"""A position whose last price is older than this many calendar dates at the end counts as stale: a month of trading."""


class Book:
    """State of one strategy from the first date of predictions to the last. Memory is O(entities + dates)."""

    def __init__(
        self,
        strategy: TopK | QuantileLongShort,
        config: BacktestConfig,
        ledger: LedgerWriter,
        num_entities: int,
        span: range,
    ) -> None:
        self.strategy, self.config, self._ledger, self._span = strategy, config, ledger, span
        self._portfolio = Portfolio(num_entities, config, long_only=isinstance(strategy, TopK))
        self.curve = EquityCurve(span.start, len(span), config.initial_equity)
        self._waiting: deque[Target] = deque()
        self._total_cost = 0.0
        self._num_decisions = self._num_skipped = self._num_dropped = 0

    def live(self, market: Market) -> None:
        """Trade what was decided ``delay_periods`` ago, then mark."""
        due = bool(self._waiting) and self._waiting[0].decision + self.config.delay_periods == market.date
        result, trades = self._portfolio.step(market, self._waiting.popleft() if due else None)
        if trades is not None:
            self._ledger.append(market, trades)
        self._total_cost += result.cost
        self.curve.append(result)

    def decide(self, date: int, entities: Int64, predictions: AnyArray) -> None:
        """Decide on this date's predictions, if it is a rebalance date."""
        if (date - self._span.start) % self.strategy.rebalance_periods:
            return
        target = target_weights(self.strategy, date, entities, predictions)
        if target is None:
            self._num_skipped += 1
        elif date + self.config.delay_periods not in self._span:
            self._num_dropped += 1
        else:
            self._num_decisions += 1
            self._waiting.append(target)

    def statistics(self, market: Market, panel: Panel) -> dict[str, Any]:
        """Sum up the finished book as plain JSON values."""
        config, curve = self.config, self.curve
        numbers = curve_statistics(curve, periods_per_year=config.periods_per_year, compounding=config.compounding)
        peak_and_trough = drawdown_span(curve["equity"])
        start, end = (
            (_time(panel, curve.first + place) for place in peak_and_trough) if peak_and_trough else (None, None)
        )
        held = self._portfolio.units_E != 0
        stale = market.last_priced_E[held] < self._span.stop - 1 - STALE_PERIODS
        return {
            **asdict(numbers),
            "max_drawdown_start": start,
            "max_drawdown_end": end,
            "total_cost": self._total_cost / config.initial_equity,
            "num_dates": len(self._span),
            "num_decisions": self._num_decisions,
            "num_decisions_skipped": self._num_skipped,
            "num_decisions_dropped": self._num_dropped,
            "num_trades": self._portfolio.num_trades,
            "num_rejected": self._portfolio.num_rejected,
            "num_stale_positions": int(np.count_nonzero(stale)),
            "periods_per_year": config.periods_per_year,
            "compounding": config.compounding,
            "config": {
                **config.model_dump(mode="json", exclude={"strategies"}),
                "strategy": self.strategy.model_dump(mode="json"),
            },
        }

    def write(self, folder: Path, market: Market, panel: Panel) -> dict[str, Any]:
        """Write the curve and, last, the statistics; give the statistics."""
        with replacing(folder / "equity.parquet") as temporary:
            self.curve.write(temporary, panel)
        statistics = self.statistics(market, panel)
        write_json(folder / "statistics.json", statistics)
        return statistics


@contextmanager
def open_book(
    folder: Path, panel: Panel, names: pa.Array, config: BacktestConfig, strategy: TopK | QuantileLongShort, span: range
) -> Iterator[Book]:
    """Open a book whose ledger is published when it is closed without an error."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "ledger.parquet") as temporary, closing(LedgerWriter(temporary, panel, names)) as ledger:
        yield Book(strategy, config, ledger, len(names), span)


def _time(panel: Panel, date: int) -> str | int:
    if panel.calendar_kind == "timestamp":
        return str(np.datetime_as_string(panel.times_as_datetime()[date], unit="auto"))
    return int(panel.calendar[date])
