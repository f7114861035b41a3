"""One row per predicted date: names, IC, Rank IC, mean target of each quantile."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Bool, Float64, Int64
from seawall.evaluate.config import EvaluateConfig
from seawall.metrics import Decay, RankPersistence, average_ranks, information_coefficient
from seawall.metrics.quantiles import group_means, quantile_groups
from seawall.stores.atomic import replacing
from seawall.stores.predictions import ROW_GROUP_ROWS

FIFTHS = 5
MIN_FIFTH_NAMES = 5
"""Fewest names within a fifth that still give an IC."""

_NUMBERS = ("ic", "rank_ic", "top_ic", "bottom_ic", "autocorrelation", "turnover")


class DailyTable:
    """Numbers of each date, in order of time.

    Memory: dates x (60 + 8 x (quantiles + lags)) bytes, and half as much again where their number was not known before;
    beside that 8 bytes a name for each date back that the decay looks. ``is_dated`` is False where times are steps.
    """

    def __init__(self, num_dates: int, config: EvaluateConfig, *, is_dated: bool = True) -> None:
        self.is_dated = is_dated
        self._config = config
        self._num_rows = 0
        columns = [("time", "<i8"), ("fold", "<i4"), ("num_names", "<i4"), ("num_predictions", "<i4")]
        numbers = [(name, "<f8") for name in _NUMBERS]
        groups = [("quantiles", "<f8", (config.num_quantiles,)), ("decay", "<f8", (len(config.decay_lags),))]
        self._rows: AnyArray = np.zeros(num_dates, [*columns, *numbers, *groups])
        self._persistence, self._decay = RankPersistence(), Decay(config.decay_lags)

    def append(self, time: int, fold: int, names: Int64, prediction: AnyArray, target: AnyArray) -> None:
        """Judge one date; names without a target are left out, but for what compares predictions with earlier ones.

        Below ``min_names`` everything but the counts is undefined.

        Parameters
        ----------
        time
            In ns, or its plain step.
        names
            int64 [n]; number of each name, the same on every date.
        """
        if self._num_rows == len(self._rows):
            self._rows = np.resize(self._rows, max(256, 3 * len(self._rows) // 2))
        row = self._rows[self._num_rows]
        self._num_rows += 1
        for name in (*_NUMBERS, "quantiles", "decay"):
            row[name] = np.nan
        predicted = ~np.isnan(prediction)
        paired = predicted & ~np.isnan(target)
        row["time"], row["fold"] = time, fold
        row["num_names"], row["num_predictions"] = int(paired.sum()), int(predicted.sum())
        self._compare(row, names[predicted], prediction[predicted], target[predicted])
        if row["num_names"] >= self._config.min_names:
            self._judge(row, prediction[paired], target[paired])

    def _compare(self, row: AnyArray, names: Int64, prediction: AnyArray, target: AnyArray) -> None:
        """Set what compares with earlier dates: it needs no target to be known today."""
        min_names, ranks = self._config.min_names, average_ranks(prediction)
        last = self._config.num_quantiles - 1
        is_top = quantile_groups(ranks, self._config.num_quantiles) == last
        found = self._persistence.update(names, ranks, is_top, min_names=min_names)
        row["autocorrelation"], row["turnover"] = found
        row["decay"] = self._decay.update(names, prediction, target, min_names=min_names)

    def _judge(self, row: AnyArray, prediction: AnyArray, target: AnyArray) -> None:
        """Set what relates predictions to targets; both are complete."""
        ranks, num_quantiles = average_ranks(prediction), self._config.num_quantiles
        groups = quantile_groups(ranks, num_quantiles)
        row["ic"] = information_coefficient(prediction, target)
        row["rank_ic"] = information_coefficient(ranks, average_ranks(target))
        row["quantiles"] = group_means(groups, target, num_quantiles)
        fifths = groups if num_quantiles == FIFTHS else quantile_groups(ranks, FIFTHS)
        for name, fifth in (("bottom_ic", 0), ("top_ic", FIFTHS - 1)):
            within = fifths == fifth
            row[name] = information_coefficient(prediction[within], target[within], min_names=MIN_FIFTH_NAMES)

    @classmethod
    def joined(cls, tables: Sequence["DailyTable"]) -> "DailyTable":
        """Give the rows of several tables one after another."""
        first = tables[0]
        made = cls(0, first._config, is_dated=first.is_dated)
        made._rows = np.concatenate([table._rows[: table._num_rows] for table in tables])
        made._num_rows = len(made._rows)
        return made

    @classmethod
    def averaged(cls, tables: Sequence["DailyTable"]) -> "DailyTable":
        """Give the mean over several tables of the same dates, of what is defined; the fold is -1."""
        made = cls.joined(tables[:1])
        for name in (*_NUMBERS, "quantiles", "decay"):
            values = np.stack([table.column(name) for table in tables])
            known = np.isfinite(values)
            counts = known.sum(axis=0)
            made._rows[name] = np.where(known, values, 0.0).sum(axis=0) / np.where(counts > 0, counts, np.nan)
        made._rows["fold"] = -1
        return made

    def column(self, name: str) -> AnyArray:
        """Give one number of all dates: float64 [T], NaN where undefined; ``decay`` [T, lags], ``quantiles`` [T, Q]."""
        column: AnyArray = self._rows[: self._num_rows][name]
        return column

    @property
    def num_names(self) -> AnyArray:
        """int32 [T]; names of each date with both prediction and target."""
        return self.column("num_names")

    @property
    def ic(self) -> Float64:
        """float64 [T]; NaN where undefined."""
        return self.column("ic")

    @property
    def rank_ic(self) -> Float64:
        """float64 [T]; NaN where undefined."""
        return self.column("rank_ic")

    @property
    def quantiles(self) -> Float64:
        """float64 [T, Q]; lowest predictions first, NaN where undefined."""
        return self.column("quantiles")

    def in_fold(self, fold: int) -> Bool:
        """Mark the dates of one fold: bool [T]."""
        marks: Bool = self.column("fold") == fold
        return marks

    def write(self, path: Path, time_type: pa.DataType, paths: Int64 | None = None) -> None:
        """Write ``daily.parquet`` as FORMAT.md section 5 has it; given ``paths`` [T], they are a column too."""
        columns = {
            "time": pa.array(self.column("time")).cast(time_type),
            "fold": pa.array(self.column("fold")),
            "num_names": pa.array(self.num_names),
            "num_predictions": pa.array(self.column("num_predictions")),
        }
        columns |= {name: pa.array(self.column(name)) for name in _NUMBERS}
        columns |= {f"q{q + 1}": pa.array(column) for q, column in enumerate(self.quantiles.T.copy())}
        decays = zip(self._config.decay_lags, self.column("decay").T.copy(), strict=True)
        columns |= {f"ic_lag_{lag}": pa.array(column) for lag, column in decays}
        if paths is not None:
            columns = {"path": pa.array(paths.astype(np.int32)), **columns}
        with replacing(path) as temporary:
            pq.write_table(pa.table(columns), temporary, compression="zstd", row_group_size=ROW_GROUP_ROWS)
