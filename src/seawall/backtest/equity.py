"""The equity curve: one row per calendar date, held in memory (O(dates)) and written once at the end."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Float64, Int32
from seawall.backtest.portfolio import DateResult
from seawall.stores.panel import Panel
from seawall.stores.predictions import time_type

COLUMNS = (
    "equity",
    "period_return",
    "gross_return",
    "cost",
    "turnover",
    "long_exposure",
    "short_exposure",
    "benchmark_return",
    "participation",
)


class EquityCurve:
    """Columns of ``equity.parquet`` from the first date of the table to its last.

    equity
        Value of the portfolio over the initial equity, after the costs of the date; 1 on the first date.
    period_return
        ``equity / equity of the date before - 1``; 0 on the first date.
    cost
        Money paid for the date's trades and for shares borrowed over the equity of the date before.
    gross_return
        What the date would have returned had its trades been free: ``period_return + cost``.
    turnover
        Traded notional, buys plus sells, over the equity just before the trade; 0 without a trade.
    long_exposure, short_exposure
        Value of long and of short positions at the date's marks over its equity, both as positive numbers.

    benchmark_return
        Return of the benchmark over the date; NaN without one.
    participation
        Share of the market's volume the date's trades took, weighed by notional; NaN without volume or trade.

    Once equity is zero or below, ratios to it are undefined and NaN.
    """

    def __init__(self, first: int, num_dates: int, initial_equity: float) -> None:
        self.first = first
        self._initial_equity = initial_equity
        self._before = initial_equity
        self._num_filled = 0
        self._columns: dict[str, Float64] = {name: np.full(num_dates, np.nan) for name in COLUMNS}
        self._num_positions: Int32 = np.zeros(num_dates, np.int32)

    def __getitem__(self, name: str) -> Float64:
        """Give a column: float64 [dates]."""
        return self._columns[name]

    def append(self, result: DateResult, benchmark_return: float = np.nan) -> None:
        """Add the next date."""
        before, row = self._before, self._num_filled
        values = {"equity": result.equity / self._initial_equity, "turnover": result.turnover}
        values |= {"benchmark_return": benchmark_return, "participation": result.participation}
        if before > 0:
            values["cost"] = result.cost / before
            values["period_return"] = result.equity / before - 1.0
            values["gross_return"] = (result.equity + result.cost) / before - 1.0
        if result.equity > 0:
            values["long_exposure"] = result.long_value / result.equity
            values["short_exposure"] = result.short_value / result.equity
        for name, value in values.items():
            self._columns[name][row] = value
        self._num_positions[row] = result.num_positions
        self._before = result.equity
        self._num_filled += 1

    def write(self, path: Path, panel: Panel) -> None:
        """Write the curve as Parquet."""
        times = panel.calendar[self.first : self.first + self._num_filled]
        columns = {
            "time": pa.array(times).cast(time_type(panel)),
            **{name: pa.array(values) for name, values in self._columns.items()},
            "num_positions": pa.array(self._num_positions),
        }
        pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=False, row_group_size=65_536)
