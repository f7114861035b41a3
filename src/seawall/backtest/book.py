"""One strategy on its way through time: decisions waiting for their trade date, the portfolio, and what is written."""

from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from seawall.arrays import Bool, Int64
from seawall.backtest.config import BacktestConfig
from seawall.backtest.costs import Costs
from seawall.backtest.equity import EquityCurve
from seawall.backtest.groups import Groups
from seawall.backtest.ledger import Ledger
from seawall.backtest.market import Market
from seawall.backtest.portfolio import Portfolio
from seawall.backtest.predictions import DatePredictions
from seawall.backtest.statistics import curve_statistics, drawdown_span
from seawall.backtest.strategies import AnyStrategy, group_of, is_long_only, volatility_of
from seawall.backtest.summaries import by_period, qlib_analysis, relative_statistics, return_bands
from seawall.backtest.volatility import Volatility
from seawall.backtest.weights import Decision, target_weights
from seawall.errors import ConfigError
from seawall.stores.atomic import replacing, write_json
from seawall.stores.panel import Panel

STALE_PERIODS = 20
"""A position whose last price is older than this many calendar dates at the end counts as stale: a month of trading."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all books of a backtest share."""

    panel: Panel
    config: BacktestConfig
    costs: Costs
    span: range
    """Calendar indexes from the first date of predictions to the last."""


class Book:
    """State of one strategy from the first date of predictions to the last: O(entities), and 1 byte a date."""

    def __init__(self, strategy: AnyStrategy, setting: Setting, ledger: Ledger, curve: EquityCurve) -> None:
        config, panel, span = setting.config, setting.panel, setting.span
        self.strategy, self.config, self._ledger, self.curve, self._span = strategy, config, ledger, curve, span
        num_entities = panel.shape.num_entities
        self._portfolio = Portfolio(
            num_entities,
            config,
            long_only=is_long_only(strategy),
            costs=setting.costs,
            max_turnover=strategy.max_turnover,
        )
        self._rebalances = rebalance_dates(strategy, panel, span)
        scaling, group = volatility_of(strategy), group_of(strategy)
        self._volatility = None if scaling is None else Volatility(scaling, num_entities)
        self._groups = None if group is None else Groups(panel, group)
        self._waiting: deque[Decision] = deque()
        self._total_cost = 0.0
        self._num_decisions = self._num_skipped = self._num_dropped = 0

    def live(self, market: Market, benchmark_return: float) -> None:
        """Trade what was decided ``delay_periods`` ago, then mark."""
        due = bool(self._waiting) and self._waiting[0].decision + self.config.delay_periods == market.date
        result, done = self._portfolio.step(market, self._waiting.popleft() if due else None)
        for trades in done:
            self._ledger.trade(market, trades)
        if self._is_told(market.date, traded=any(len(trades.entities) for trades in done)):
            self._ledger.hold(market, self._portfolio.units_E, result.equity)
        self._total_cost += result.cost
        self.curve.append(result, benchmark_return)
        if self._volatility is not None:
            self._volatility.update(market.previous_E, market.mark_E, market.marked_E)

    def _is_told(self, date: int, *, traded: bool) -> bool:
        return traded or self.config.positions == "every_date" or date == self._span.stop - 1

    def decide(self, today: DatePredictions, entities: Int64) -> None:
        """Decide on this date's predictions, if it is a rebalance date; ``entities`` are those of its rows."""
        date = today.date
        if not self._rebalances[date - self._span.start]:
            return
        volatility = None if self._volatility is None else self._volatility.of(entities)
        groups = None if self._groups is None else self._groups.of(today.rows, entities)
        target = target_weights(self.strategy, date, entities, today.predictions, volatility, groups)
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
        return {
            **asdict(numbers),
            "max_drawdown_start": start,
            "max_drawdown_end": end,
            **self._money(),
            **relative_statistics(curve, config.periods_per_year),
            **({"qlib": qlib_analysis(curve, config.periods_per_year)} if config.convention == "qlib" else {}),
            "bands": return_bands(curve, config.periods_per_year),
            **by_period(curve, panel, config.periods_per_year),
            "num_dates": len(self._span),
            "num_decisions": self._num_decisions,
            "num_decisions_skipped": self._num_skipped,
            "num_decisions_dropped": self._num_dropped,
            **asdict(self._portfolio.counts),
            "num_stale_positions": self._num_stale(market),
            "periods_per_year": config.periods_per_year,
            "compounding": config.compounding,
            "config": {
                **config.model_dump(mode="json", exclude={"strategies"}),
                "strategy": self.strategy.model_dump(mode="json"),
            },
        }

    def _num_stale(self, market: Market) -> int:
        held = self._portfolio.units_E != 0
        return int(np.count_nonzero(market.last_priced_E[held] < self._span.stop - 1 - STALE_PERIODS))

    def _money(self) -> dict[str, Any]:
        """Give sums over the initial equity, and what could have been managed, in its currency."""
        first, book = self.config.initial_equity, self._portfolio
        earned = book.equity - first + self._total_cost
        limit, shares = self.config.participation, self.curve["participation"]
        used = shares[np.isfinite(shares) & (shares > 0)]
        capacity = None
        if limit is not None and len(used):
            capacity = first * limit.max_share / float(np.quantile(used, 0.95))
        return {
            "total_cost": self._total_cost / first,
            "total_borrow_fee": book.total_borrow / first,
            "total_dividend": book.total_dividend / first,
            "total_delisting_loss": book.total_delisting_loss / first,
            "cost_share": self._total_cost / earned if earned > 0 else None,
            "capacity_hint": capacity,
        }

    def write(self, folder: Path, market: Market, panel: Panel) -> dict[str, Any]:
        """Write ledger, positions, curve and, last, the statistics; give these, and let go of what was set aside."""
        self._ledger.write()
        self._ledger.close()
        with replacing(folder / "equity.parquet") as temporary:
            self.curve.write(temporary, panel)
        statistics = self.statistics(market, panel)
        write_json(folder / "statistics.json", statistics)
        self.curve.close()
        return statistics


@contextmanager
def open_book(folder: Path, setting: Setting, names: pa.Array, strategy: AnyStrategy) -> Iterator[Book]:
    """Open a book; nothing is published before :meth:`Book.write`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        closing(Ledger(folder, setting.panel, names)) as ledger,
        closing(EquityCurve(setting.span.start, folder, setting.config.initial_equity)) as curve,
    ):
        yield Book(strategy, setting, ledger, curve)


def rebalance_dates(strategy: AnyStrategy, panel: Panel, span: range) -> Bool:
    """Mark the dates of a span on which a strategy decides: bool [dates].

    Every n-th date from the first, or the first date of the calendar in each ISO week or month, and always the first of
    the span. Whether a date is the first of its week is known on that date; whether it is the last would not be.

    Raises
    ------
    ConfigError
        For weeks or months of a calendar of plain steps.
    """
    if strategy.rebalance is None:
        every: Bool = np.arange(len(span)) % (strategy.rebalance_periods or 1) == 0
        return every
    if panel.calendar_kind != "timestamp":
        where, do = f"backtest.strategies {strategy.name}", "Choose rebalance_periods."
        raise ConfigError(where, "a calendar of steps has no weeks or months", found=strategy.rebalance, do=do)
    days = panel.times_as_datetime()[span.start : span.stop].astype("datetime64[D]")
    # 1970-01-01 was a Thursday: three days on, the weeks of the count begin on Mondays.
    weeks, months = (days.astype(np.int64) + 3) // 7, days.astype("datetime64[M]").astype(np.int64)
    number = weeks if strategy.rebalance == "weekly" else months
    starts = np.ones(len(span), bool)
    starts[1:] = number[1:] != number[:-1]
    return starts


def _time(panel: Panel, date: int) -> str | int:
    if panel.calendar_kind == "timestamp":
        return str(np.datetime_as_string(panel.times_as_datetime()[date], unit="auto"))
    return int(panel.calendar[date])
