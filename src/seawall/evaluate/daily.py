"""One row per predicted date: names, IC, Rank IC, mean target of each quantile."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Bool, Float64
from seawall.evaluate.config import EvaluateConfig
from seawall.metrics import information_coefficient, quantile_means, rank_information_coefficient
from seawall.stores.atomic import replacing
from seawall.stores.panel import Panel
from seawall.stores.predictions import ROW_GROUP_ROWS, time_type


class DailyTable:
    """Numbers of each date, in order of time.

    Memory is fixed when it is made: num_dates x (32 + 8 x num_quantiles) bytes.
    """

    def __init__(self, num_dates: int, config: EvaluateConfig) -> None:
        self._config = config
        self._num_rows = 0
        self._date = np.empty(num_dates, np.int64)
        self._fold = np.empty(num_dates, np.int32)
        self._num_names = np.empty(num_dates, np.int32)
        self._ic = np.empty(num_dates)
        self._rank_ic = np.empty(num_dates)
        self._quantiles_TQ = np.full((num_dates, config.num_quantiles), np.nan)

    def append(self, date: int, fold: int, prediction: AnyArray, target: AnyArray) -> None:
        """Judge one date: ``date`` is its calendar index; names without a target are left out.

        Below ``min_names`` everything but the count of names is undefined.
        """
        place = self._num_rows
        self._num_rows += 1
        num_names = int((~(np.isnan(prediction) | np.isnan(target))).sum())
        min_names = self._config.min_names
        self._date[place], self._fold[place], self._num_names[place] = date, fold, num_names
        self._ic[place] = information_coefficient(prediction, target, min_names=min_names)
        self._rank_ic[place] = rank_information_coefficient(prediction, target, min_names=min_names)
        if num_names >= min_names:
            self._quantiles_TQ[place] = quantile_means(prediction, target, self._config.num_quantiles)

    @property
    def last_date(self) -> int:
        """Calendar index of the last date, -1 where there is none."""
        return int(self._date[self._num_rows - 1]) if self._num_rows else -1

    @property
    def num_names(self) -> AnyArray:
        """int32 [T]; names of each date with both prediction and target."""
        return self._num_names[: self._num_rows]

    @property
    def ic(self) -> Float64:
        """float64 [T]; NaN where undefined."""
        return self._ic[: self._num_rows]

    @property
    def rank_ic(self) -> Float64:
        """float64 [T]; NaN where undefined."""
        return self._rank_ic[: self._num_rows]

    @property
    def quantiles(self) -> Float64:
        """float64 [T, Q]; lowest predictions first, NaN where undefined."""
        return self._quantiles_TQ[: self._num_rows]

    def in_fold(self, fold: int) -> Bool:
        """Mark the dates of one fold: bool [T]."""
        marks: Bool = self._fold[: self._num_rows] == fold
        return marks

    def write(self, path: Path, panel: Panel) -> None:
        """Write ``daily.parquet`` as FORMAT.md section 5 has it."""
        columns = {
            "time": pa.array(panel.calendar[self._date[: self._num_rows]]).cast(time_type(panel)),
            "fold": pa.array(self._fold[: self._num_rows]),
            "num_names": pa.array(self.num_names),
            "ic": pa.array(self.ic),
            "rank_ic": pa.array(self.rank_ic),
        }
        columns |= {f"q{q + 1}": pa.array(column) for q, column in enumerate(self.quantiles.T.copy())}
        with replacing(path) as temporary:
            pq.write_table(pa.table(columns), temporary, compression="zstd", row_group_size=ROW_GROUP_ROWS)
