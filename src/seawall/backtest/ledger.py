"""The ledger: every trade of one strategy, streamed to Parquet through buffers of fixed size."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray
from seawall.backtest.market import Market
from seawall.backtest.memory import LEDGER_GROUP_ROWS
from seawall.backtest.portfolio import Trades
from seawall.stores.atomic import flush
from seawall.stores.panel import Panel
from seawall.stores.predictions import time_type

FLUSH_GROUPS = 8
"""Row groups (at most 14 MiB) after which what was written is forced to disk and leaves the page cache."""

KEYS = ("decision_time", "time", "entity")
"""Columns with few values. Dictionaries of the others hold 6 MiB in every open writer and make the file larger."""

_BUFFERS = {
    "decision_time": np.int64,
    "time": np.int64,
    "entity": np.int32,
    "shares": np.float64,
    "price": np.float64,
    "notional": np.float64,
    "cost": np.float64,
}


class LedgerWriter:
    """Append trades in order of (time, entity); on a date with delistings, these come first.

    ``shares`` are signed and unadjusted, ``price`` is the unadjusted trade price, ``notional`` is ``|shares| * price``,
    ``cost`` is what was paid; the last two in the currency of the initial equity.
    """

    def __init__(self, path: Path, panel: Panel, names: pa.Array) -> None:
        self._path, self._names = path, names
        self._calendar, self._time_type = panel.calendar, time_type(panel)
        entity_type = pa.dictionary(pa.int32(), pa.string())
        numbers = [(name, pa.float64()) for name in ("shares", "price", "notional", "cost")]
        times = [("decision_time", self._time_type), ("time", self._time_type)]
        self._schema = pa.schema([*times, ("entity", entity_type), *numbers])
        self._buffers: dict[str, AnyArray] = {
            name: np.empty(LEDGER_GROUP_ROWS, dtype) for name, dtype in _BUFFERS.items()
        }
        self._filled = self._num_groups = 0
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", use_dictionary=list(KEYS))

    def append(self, market: Market, trades: Trades) -> None:
        """Add the trades of the market's current date."""
        for start in range(0, len(trades.entities), LEDGER_GROUP_ROWS):
            part = slice(start, start + LEDGER_GROUP_ROWS)
            self._fill(market, _part_of(trades, part))

    def _fill(self, market: Market, trades: Trades) -> None:
        if self._filled + len(trades.entities) > LEDGER_GROUP_ROWS:
            self._flush()
        shares = trades.units / market.adjustment_E[trades.entities]
        price = market.fill_E[trades.entities] if trades.price is None else trades.price
        columns = {
            "decision_time": self._calendar[trades.decision],
            "time": self._calendar[market.date],
            "entity": trades.entities,
            "shares": shares,
            "price": price,
            "notional": np.abs(shares) * price,
            "cost": trades.cost,
        }
        part = slice(self._filled, self._filled + len(trades.entities))
        for name, values in columns.items():
            self._buffers[name][part] = values
        self._filled = part.stop

    def _flush(self) -> None:
        held = {name: buffer[: self._filled] for name, buffer in self._buffers.items()}
        columns = [
            pa.array(held["decision_time"]).cast(self._time_type),
            pa.array(held["time"]).cast(self._time_type),
            pa.DictionaryArray.from_arrays(pa.array(held["entity"]), self._names),
            *(pa.array(held[name]) for name in ("shares", "price", "notional", "cost")),
        ]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._filled = 0
        self._num_groups += 1
        if self._num_groups % FLUSH_GROUPS == 0:
            flush(self._path)

    def close(self) -> None:
        """Write what is still held and the footer."""
        if self._filled:
            self._flush()
        self._writer.close()


def _part_of(trades: Trades, part: slice) -> Trades:
    price = None if trades.price is None else trades.price[part]
    return Trades(trades.decision, trades.entities[part], trades.units[part], trades.cost[part], price)
