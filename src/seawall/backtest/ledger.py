"""The ledger of one strategy: every trade, and what was held after trading. Set aside while walking, then Parquet."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import Float64
from seawall.backtest.market import Market
from seawall.backtest.memory import LEDGER_GROUP_ROWS, SPOOL_ROWS
from seawall.backtest.portfolio import Trades
from seawall.backtest.spool import Rows, Spool
from seawall.stores.atomic import DirtyWindow, replacing
from seawall.stores.panel import Panel
from seawall.stores.predictions import time_type

DATES = ("decision_time", "time")
KEYS = (*DATES, "entity")
"""Columns with few values. Dictionaries of the others would hold 6 MiB and make the file larger."""

TRADE = np.dtype(
    [(name, np.int32) for name in KEYS] + [(name, np.float64) for name in ("shares", "price", "notional", "cost")]
)
POSITION = np.dtype(
    [(name, np.int32) for name in KEYS[1:]] + [(name, np.float64) for name in ("shares", "price", "value", "weight")]
)


class Ledger:
    """Trades in order of (time, entity), delistings first in their date; and positions in order of (time, entity).

    Of trades ``shares`` are signed and unadjusted, ``price`` is the unadjusted trade price, ``notional`` is
    ``|shares| * price``, ``cost`` is what was paid; the last two in the currency of the initial equity. Of positions
    ``price`` is the unadjusted mark of the date or the last before it, ``value`` what they are worth at it in the same
    currency, negative where short, and ``weight`` that over the equity.

    Parameters
    ----------
    folder
        Where both files go.
    """

    def __init__(self, folder: Path, panel: Panel, names: pa.Array) -> None:
        self._folder, self._panel, self._names = folder, panel, names
        self._trades, self._positions = Spool(folder, TRADE, SPOOL_ROWS), Spool(folder, POSITION, SPOOL_ROWS)

    def trade(self, market: Market, trades: Trades) -> None:
        """Add the trades of the market's current date."""
        shares = trades.units / market.adjustment_E[trades.entities]
        price = market.fill_E[trades.entities] if trades.price is None else trades.price
        columns = {
            "decision_time": trades.decision,
            "time": market.date,
            "entity": trades.entities,
            "shares": shares,
            "price": price,
            "notional": np.abs(shares) * price,
            "cost": trades.cost,
        }
        self._trades.append(columns, len(trades.entities))

    def hold(self, market: Market, units_E: Float64, equity: float) -> None:
        """Add what is held at the marks of the market's current date."""
        held = np.flatnonzero(units_E)
        value, adjustment = units_E[held] * market.mark_E[held], market.adjustment_E[held]
        columns = {
            "time": market.date,
            "entity": held,
            "shares": units_E[held] / adjustment,
            "price": market.mark_E[held] * adjustment,
            "value": value,
            "weight": value / equity if equity > 0 else np.nan,
        }
        self._positions.append(columns, len(held))

    def write(self) -> None:
        """Write ``ledger.parquet`` and ``positions.parquet``; each takes the place of an earlier one once whole."""
        for name, spool in (("ledger", self._trades), ("positions", self._positions)):
            with replacing(self._folder / f"{name}.parquet") as temporary:
                self._write(temporary, spool)

    def _write(self, path: Path, spool: Spool) -> None:
        names = spool.dtype.names or ()
        schema = pa.schema([(name, self._type(name)) for name in names])
        keys = [name for name in names if name in KEYS]
        window = None
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=keys) as writer:
            for rows in spool.blocks(LEDGER_GROUP_ROWS):
                columns = [self._column(name, rows) for name in names]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
                window = window or DirtyWindow(path)
                window.note()

    def _type(self, name: str) -> pa.DataType:
        if name == "entity":
            return pa.dictionary(pa.int32(), pa.string())
        return time_type(self._panel) if name in DATES else pa.float64()

    def _column(self, name: str, rows: Rows) -> pa.Array:
        values = np.ascontiguousarray(rows[name])
        if name == "entity":
            return pa.DictionaryArray.from_arrays(pa.array(values), self._names)
        if name in DATES:
            return pa.array(self._panel.calendar[values]).cast(time_type(self._panel))
        return pa.array(values)

    def close(self) -> None:
        """Give back the disk space of what was set aside."""
        self._trades.close()
        self._positions.close()
