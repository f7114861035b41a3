"""The backtest table: columns of FORMAT.md section 4, one row group per block of predictions."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seawall.arrays import Bool, Int32
from seawall.errors import ConfigError
from seawall.join.gather import RowGather
from seawall.stores.panel import Panel
from seawall.stores.predictions import PredictionBatch, key_columns, time_type

_BEFORE_PRICES = ("row", "time", "entity", "fold", "prediction", "forward_return")
_AFTER_PRICES = ("adjustment",)


def table_schema(panel: Panel, prices: tuple[str, ...]) -> pa.Schema:
    """Build the schema of the table.

    Raises
    ------
    ConfigError
        Where a price is asked for twice, or has the name of another column of the table.
    """
    taken = {*_BEFORE_PRICES, *_AFTER_PRICES}
    for name in prices:
        if name in taken:
            raise ConfigError(
                "join.prices",
                "this name would stand twice in the table",
                found=repr(name),
                do="Name each price once; a price named like another column must be renamed at ingest.",
            )
        taken.add(name)
    keys = [
        ("row", pa.int64()),
        ("time", time_type(panel)),
        ("entity", pa.dictionary(pa.int32(), pa.string())),
        ("fold", pa.int32()),
        ("prediction", pa.float32()),
    ]
    return pa.schema([*keys, *((name, pa.float64()) for name in ("forward_return", *prices, *_AFTER_PRICES))])


@dataclass(frozen=True, slots=True)
class TableBlock:
    """Rows of the table with what is counted of them: calendar index, and whether the forward return is defined."""

    table: pa.Table
    dates: Int32
    matched: Bool


class TableBuilder:
    """Turn blocks of predictions into blocks of the table; holds the entity names and nothing of the rows."""

    def __init__(self, panel: Panel, gather: RowGather, prices: tuple[str, ...]) -> None:
        self.schema = table_schema(panel, prices)
        self._panel = panel
        self._gather = gather
        self._entities = pa.array(panel.entities, pa.string())

    def build(self, batch: PredictionBatch) -> TableBlock:
        """Make the block of some predictions: their rows in their order. An undefined forward return becomes null."""
        times, entities = key_columns(self._panel, batch.row, self._entities)
        forward_returns = self._gather.forward_returns(batch.row)
        matched = ~np.isnan(forward_returns)
        columns = [
            pa.array(batch.row),
            times,
            entities,
            pa.array(batch.fold.astype(np.int32)),
            pa.array(batch.prediction),
            pa.array(forward_returns, mask=~matched),
            *(pa.array(values) for values in self._gather.price_columns(batch.row)),
            pa.array(self._gather.adjustments(batch.row)),
        ]
        table = pa.Table.from_arrays(columns, schema=self.schema)
        return TableBlock(table, self._gather.dates(batch.row), matched)
