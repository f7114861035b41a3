"""Row rules: SQL conditions that leave rows out, each seeing one row and nothing else."""

import numpy as np
import pyarrow as pa

from seawall.arrays import Bool, Float64, Int64
from seawall.errors import ConfigError
from seawall.ingest.config import IngestConfig
from seawall.tables.engine import SqlEngine
from seawall.tables.read import RawBlock

WHERE = "ingest.drop_rows"


class RowRules:
    """Evaluate the rules of a config block by block.

    The first block is evaluated a second time with every other row taken away: a rule that looks at other rows would
    depend on where blocks begin, and is refused.
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
        if not self._is_checked and len(times) > 1:
            self._check_one_row(table, results)
            self._is_checked = True
        return {name: results[:, place] == 1.0 for place, name in enumerate(rules)}

    def _table(self, block: RawBlock, times: Int64, calendar_kind: str) -> pa.Table:
        time = pa.array(times)
        columns = {"__id": pa.array(np.arange(len(times)))}
        columns[self._config.time] = time.cast(pa.timestamp("ns")) if calendar_kind == "timestamp" else time
        for place, name in enumerate(self._config.value_columns):
            columns[name] = pa.array(block.values[:, place], from_pandas=True)
        return pa.table(columns)

    def _evaluate(self, table: pa.Table) -> Float64:
        return self._engine.evaluate(table, self._config.drop_rows, where=WHERE)

    def _check_one_row(self, table: pa.Table, full: Float64) -> None:
        kept = np.arange(0, table.num_rows, 2)
        fewer = table.take(pa.array(kept)).set_column(0, "__id", pa.array(np.arange(len(kept))))
        moved = ((self._evaluate(fewer) == 1.0) != (full[kept] == 1.0)).any(axis=0)
        if moved.any():
            name = list(self._config.drop_rows)[int(np.argmax(moved))]
            raise ConfigError(
                f"{WHERE}: {name}",
                "the rule looks at other rows",
                found="its answer for a row changes when other rows are removed",
                do="Use the columns of the row itself, without windows or aggregates.",
            )
