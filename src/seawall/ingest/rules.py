"""Row rules: SQL conditions that leave rows out, each seeing one row and nothing else."""

import numpy as np
import pyarrow as pa

from seawall.arrays import Bool, Float64, Int64
from seawall.errors import ConfigError
from seawall.ingest.config import IngestConfig
from seawall.tables.engine import SqlEngine
from seawall.tables.read import RawBlock

WHERE = "ingest.drop_rows"
NUM_CHECKED = 8
"""Rows judged again, of those that fall under a rule and of all others each."""


class RowRules:
    """Evaluate the rules of a config block by block.

    Some rows of the first block are judged a second time, each alone: a rule that looks at other rows would depend on
    where blocks begin, and is refused.
    """

    def __init__(self, config: IngestConfig, engine: SqlEngine) -> None:
        self._config, self._engine = config, engine
        self._is_checked = False

    def hits(self, block: RawBlock, times: Int64, calendar_kind: str) -> dict[str, Bool]:
        """Tell which rows fall under each rule.

        Raises
        ------
        ConfigError
            Naming a rule that fails, or that does not judge a row by itself.
        """
        rules = self._config.drop_rows
        if not rules or not len(times):
            return {}
        table = self._table(block, times, calendar_kind)
        results = self._evaluate(table)
        hits = results == 1.0
        if not self._is_checked and len(times) > 1:
            self._check_alone(table, hits)
            self._is_checked = True
        return {name: hits[:, place] for place, name in enumerate(rules)}

    def _table(self, block: RawBlock, times: Int64, calendar_kind: str) -> pa.Table:
        time = pa.array(times)
        columns = {"__id": pa.array(np.arange(len(times)))}
        columns[self._config.time] = time.cast(pa.timestamp("ns")) if calendar_kind == "timestamp" else time
        for place, name in enumerate(self._config.value_columns):
            columns[name] = pa.array(block.values[:, place], from_pandas=True)
        return pa.table(columns)

    def _evaluate(self, table: pa.Table) -> Float64:
        return self._engine.evaluate(table, self._config.drop_rows, where=WHERE)

    def _check_alone(self, table: pa.Table, hits: Bool) -> None:
        """Judge rows that fall under some rule, and rows all over the block, once more alone."""
        spread = np.linspace(0, len(hits) - 1, NUM_CHECKED).astype(np.int64)
        for row in np.union1d(spread, np.flatnonzero(hits.any(axis=1))[:NUM_CHECKED]).tolist():
            alone = self._evaluate(table.slice(row, 1).set_column(0, "__id", pa.array([0]))) == 1.0
            moved = alone[0] != hits[row]
            if moved.any():
                name = list(self._config.drop_rows)[int(np.argmax(moved))]
                raise ConfigError(
                    f"{WHERE}: {name}",
                    "the rule looks at other rows",
                    found="its answer for a row changes when other rows are removed",
                    do="Use the columns of the row itself, without windows or aggregates.",
                )
