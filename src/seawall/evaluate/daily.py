"""One row per predicted date: names, IC, Rank IC, mean target of each quantile."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Bool, Float64
from seawall.evaluate.config import EvaluateConfig
from seawall.metrics import information_coefficient, quantile_means, rank_information_coefficient
from seawall.stores.atomic import replacing
from seawall.stores.predictions import ROW_GROUP_ROWS


class DailyTable:
    """Numbers of each date, in order of time.

    Memory: dates x (32 + 8 x num_quantiles) bytes, and half as much again where their number was not known before.
    """

    def __init__(self, num_dates: int, config: EvaluateConfig) -> None:
        self._config = config
        self._num_rows = 0
        columns = [("time", "<i8"), ("fold", "<i4"), ("num_names", "<i4"), ("ic", "<f8"), ("rank_ic", "<f8")]
        self._rows: AnyArray = np.zeros(num_dates, [*columns, ("quantiles", "<f8", (config.num_quantiles,))])

    def append(self, time: int, fold: int, prediction: AnyArray, target: AnyArray) -> None:
        """Judge one date: ``time`` in ns, or its plain step; names without a target are left out.

        Below ``min_names`` everything but the count of names is undefined.
        """
        if self._num_rows == len(self._rows):
            self._rows = np.resize(self._rows, max(256, 3 * len(self._rows) // 2))
        row = self._rows[self._num_rows]
        self._num_rows += 1
        num_names = int((~(np.isnan(prediction) | np.isnan(target))).sum())
        min_names = self._config.min_names
        row["time"], row["fold"], row["num_names"] = time, fold, num_names
        row["ic"] = information_coefficient(prediction, target, min_names=min_names)
        row["rank_ic"] = rank_information_coefficient(prediction, target, min_names=min_names)
        row["quantiles"] = np.nan
        if num_names >= min_names:
            row["quantiles"] = quantile_means(prediction, target, self._config.num_quantiles)

    def _column(self, name: str) -> AnyArray:
        column: AnyArray = self._rows[: self._num_rows][name]
        return column

    @property
    def num_names(self) -> AnyArray:
        """int32 [T]; names of each date with both prediction and target."""
        return self._column("num_names")

    @property
    def ic(self) -> Float64:
        """float64 [T]; NaN where undefined."""
        return self._column("ic")

    @property
    def rank_ic(self) -> Float64:
        """float64 [T]; NaN where undefined."""
        return self._column("rank_ic")

    @property
    def quantiles(self) -> Float64:
        """float64 [T, Q]; lowest predictions first, NaN where undefined."""
        return self._column("quantiles")

    def in_fold(self, fold: int) -> Bool:
        """Mark the dates of one fold: bool [T]."""
        marks: Bool = self._column("fold") == fold
        return marks

    def write(self, path: Path, time_type: pa.DataType) -> None:
        """Write ``daily.parquet`` as FORMAT.md section 5 has it."""
        columns = {
            "time": pa.array(self._column("time")).cast(time_type),
            "fold": pa.array(self._column("fold")),
            "num_names": pa.array(self.num_names),
            "ic": pa.array(self.ic),
            "rank_ic": pa.array(self.rank_ic),
        }
        columns |= {f"q{q + 1}": pa.array(column) for q, column in enumerate(self.quantiles.T.copy())}
        with replacing(path) as temporary:
            pq.write_table(pa.table(columns), temporary, compression="zstd", row_group_size=ROW_GROUP_ROWS)
