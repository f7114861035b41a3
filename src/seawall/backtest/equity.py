"""The equity curve: one row per calendar date, set aside on disk while the backtest walks, in memory at its end."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray
from seawall.backtest.portfolio import DateResult
from seawall.backtest.spool import Rows, Spool
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

RECORD = np.dtype([(name, np.float64) for name in COLUMNS] + [("num_positions", np.int32)])

BUFFER_ROWS = 256
"""20 KiB: a year of dates between two writes."""


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

    Memory is 20 KiB until a column is asked for; then all columns, 76 bytes a date, until :meth:`close`. Nothing is
    appended after that.
    """

    def __init__(self, first: int, folder: Path, initial_equity: float) -> None:
        self.first = first
        self._initial_equity = initial_equity
        self._before = initial_equity
        self._spool = Spool(folder, RECORD, BUFFER_ROWS)
        self._rows: Rows | None = None

    def __len__(self) -> int:
        """Count the dates."""
        return len(self._spool)

    def __getitem__(self, name: str) -> AnyArray:
        """Give a column: float64 [dates], ``num_positions`` int32."""
        if self._rows is None:
            self._rows = next(self._spool.blocks(max(1, len(self))), np.empty(0, RECORD))
        return self._rows[name]

    def append(self, result: DateResult, benchmark_return: float = np.nan) -> None:
        """Add the next date."""
        before, row = self._before, dict.fromkeys(COLUMNS, np.nan)
        row |= {"equity": result.equity / self._initial_equity, "turnover": result.turnover}
        row |= {"benchmark_return": benchmark_return, "participation": result.participation}
        if before > 0:
            row["cost"] = result.cost / before
            row["period_return"] = result.equity / before - 1.0
            row["gross_return"] = (result.equity + result.cost) / before - 1.0
        if result.equity > 0:
            row["long_exposure"] = result.long_value / result.equity
            row["short_exposure"] = result.short_value / result.equity
        self._spool.append({**row, "num_positions": result.num_positions}, 1)
        self._before = result.equity

    def write(self, path: Path, panel: Panel) -> None:
        """Write the curve as Parquet."""
        times = panel.calendar[self.first : self.first + len(self)]
        columns = {
            "time": pa.array(times).cast(time_type(panel)),
            **{name: pa.array(np.ascontiguousarray(self[name])) for name in (*COLUMNS, "num_positions")},
        }
        pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=False, row_group_size=65_536)

    def close(self) -> None:
        """Let go of the rows, in memory and on disk."""
        self._rows = None
        self._spool.close()
