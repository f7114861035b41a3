"""One row per predicted date: names, IC, Rank IC, mean target of each quantile."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Bool, Float64, Int64
from seawall.evaluate.config import EvaluateConfig
from seawall.evaluate.groups import NO_GROUPS, Groups
from seawall.metrics import (
    Decay,
    HorizonDecay,
    RankPersistence,
    average_ranks,
    information_coefficient,
    rank_information_coefficient,
)
from seawall.metrics.quantiles import group_means, quantile_groups
from seawall.stores.atomic import flush, replacing

FIFTHS = 5
MIN_FIFTH_NAMES = 5
"""Fewest names within a fifth that still give an IC."""

_SERIES = ("quantiles", "decay", "horizons", "groups")
_NUMBERS = ("ic", "rank_ic", "top_ic", "bottom_ic", "autocorrelation", "turnover")


HELD_DATES = 1024
"""Dates held before they are set aside on disk."""

PART_DATES = 8192
"""Dates written as one row group: part of the file."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What is judged beside the target: returns over other horizons, and names by group."""

    horizons: tuple[int, ...] = ()
    groups: Groups = NO_GROUPS
    sums: bool = False
    """No returns come with the dates: those over h dates are the sums of h targets of one period."""


class DailyTable:
    """Numbers of each date, in order of time.

    Memory: 1,024 dates x (72 + 8 x (quantiles + lags + horizons) + 16 x groups) bytes, whatever the number of dates:
    earlier ones are set aside in a file and mapped when they are asked for. Beside that 8 bytes a name for each date
    back that the decay looks.

    Parameters
    ----------
    aside
        File for the dates that are not held, made when there are more than 1,024; :meth:`discard` removes it.
    is_dated
        False where times are steps.
    beside
        What is judged beside the target.
    """

    def __init__(
        self, config: EvaluateConfig, aside: Path, *, is_dated: bool = True, beside: Beside = Beside()
    ) -> None:
        self.is_dated, self.beside = is_dated, beside
        self._config = config
        self._aside = aside
        columns = [("time", "<i8"), ("fold", "<i4"), ("num_names", "<i4"), ("num_predictions", "<i4")]
        numbers = [(name, "<f8") for name in _NUMBERS]
        groups = [("quantiles", "<f8", (config.num_quantiles,)), ("decay", "<f8", (len(config.decay_lags),))]
        groups += [("horizons", "<f8", (len(beside.horizons),))]
        by_group = [("groups", "<f8", (len(beside.groups.labels), 2))]
        self._part: AnyArray = np.zeros(HELD_DATES, [*columns, *numbers, *groups, *by_group])
        self._num_in_part = self._num_aside = 0
        self._whole: AnyArray | None = None
        self._persistence, self._decay = RankPersistence(), Decay(config.decay_lags)
        self._sums = HorizonDecay(beside.horizons) if beside.sums else None

    @property
    def num_dates(self) -> int:
        """Dates appended so far."""
        return self._num_aside + self._num_in_part

    def append(
        self,
        time: int,
        fold: int,
        names: Int64,
        prediction: AnyArray,
        target: AnyArray,
        realised: Float64 | None = None,
        groups: Int64 | None = None,
    ) -> None:
        """Judge one date; names without a target are left out, but for what compares predictions with earlier ones.

        Below ``min_names`` everything but the counts is undefined.

        Parameters
        ----------
        time
            In ns, or its plain step.
        names
            int64 [n]; number of each name, the same on every date.
        realised
            float64 [n, H]; what each name earned over each horizon.
        groups
            int64 [n]; the group each name is in, as a place among the labels.
        """
        if self._num_in_part == HELD_DATES:
            self._set_aside()
        row = self._part[self._num_in_part]
        self._num_in_part += 1
        for name in (*_NUMBERS, *_SERIES):
            row[name] = np.nan
        min_names, predicted = self._config.min_names, ~np.isnan(prediction)
        paired = predicted & ~np.isnan(target)
        row["time"], row["fold"] = time, fold
        row["num_names"], row["num_predictions"] = int(paired.sum()), int(predicted.sum())
        self._compare(row, names[predicted], prediction[predicted], target[predicted])
        if realised is not None:
            row["horizons"] = [information_coefficient(prediction, of, min_names=min_names) for of in realised.T]
        if row["num_names"] >= min_names:
            self._judge(row, prediction[paired], target[paired])
            if groups is not None:
                self._judge_groups(row, groups[paired], prediction[paired], target[paired])

    def _compare(self, row: AnyArray, names: Int64, prediction: AnyArray, target: AnyArray) -> None:
        """Set what compares with earlier dates: it needs no target to be known today."""
        min_names, ranks = self._config.min_names, average_ranks(prediction)
        last = self._config.num_quantiles - 1
        is_top = quantile_groups(ranks, self._config.num_quantiles) == last
        found = self._persistence.update(names, ranks, is_top, min_names=min_names)
        row["autocorrelation"], row["turnover"] = found
        row["decay"] = self._decay.update(names, prediction, target, min_names=min_names)
        if self._sums is not None:
            row["horizons"] = self._sums.update(names, prediction, target, min_names=min_names)

    def _judge_groups(self, row: AnyArray, groups: Int64, prediction: AnyArray, target: AnyArray) -> None:
        """Set IC and Rank IC within each group of names; undefined below ``min_names`` of it."""
        min_names = self._config.min_names
        for number in range(len(self.beside.groups.labels)):
            own = groups == number
            row["groups"][number] = (
                information_coefficient(prediction[own], target[own], min_names=min_names),
                rank_information_coefficient(prediction[own], target[own], min_names=min_names),
            )

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

    def _set_aside(self) -> None:
        with self._aside.open("ab" if self._num_aside else "wb") as file:
            file.write(self._part[: self._num_in_part].tobytes())
        flush(self._aside)
        self._num_aside += self._num_in_part
        self._num_in_part = 0

    def _rows(self) -> AnyArray:
        """Give the rows of all dates; those on disk are mapped."""
        if self._whole is None and not self._num_aside:
            return self._part[: self._num_in_part]
        if self._num_in_part and self._num_aside:
            self._set_aside()
            self._whole = None
        if self._whole is None:
            self._whole = np.memmap(self._aside, self._part.dtype, mode="r")
        return self._whole

    def discard(self) -> None:
        """Remove what was set aside; the table has no rows afterwards."""
        self._whole, self._num_aside, self._num_in_part = None, 0, 0
        self._aside.unlink(missing_ok=True)

    @classmethod
    def joined(cls, tables: Sequence["DailyTable"]) -> "DailyTable":
        """Give the rows of several tables one after another, in memory."""
        first = tables[0]
        made = cls(first._config, first._aside, is_dated=first.is_dated, beside=first.beside)
        made._whole = np.concatenate([table._rows() for table in tables])
        return made

    @classmethod
    def averaged(cls, tables: Sequence["DailyTable"]) -> "DailyTable":
        """Give the mean over several tables of the same dates, of what is defined; the fold is -1."""
        made = cls.joined(tables[:1])
        for name in (*_NUMBERS, *_SERIES):
            values = np.stack([table.column(name) for table in tables])
            known = np.isfinite(values)
            counts = known.sum(axis=0)
            made._rows()[name] = np.where(known, values, 0.0).sum(axis=0) / np.where(counts > 0, counts, np.nan)
        made._rows()["fold"] = -1
        return made

    def column(self, name: str) -> AnyArray:
        """Give one number of all dates: float64 [T], NaN where undefined; more of ``quantiles`` and other series."""
        column: AnyArray = self._rows()[name]
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
        rows = self._rows()
        with replacing(path) as temporary:
            writer: pq.ParquetWriter | None = None
            for start in range(0, max(1, len(rows)), PART_DATES):
                part = slice(start, start + PART_DATES)
                table = self._arrow(rows[part], time_type, None if paths is None else paths[part])
                # A dictionary of numbers that hardly repeat is 1 MiB a column, for nothing.
                writer = writer or pq.ParquetWriter(
                    temporary, table.schema, compression="zstd", use_dictionary=["fold", "num_names", "num_predictions"]
                )
                writer.write_table(table)
            if writer is not None:
                writer.close()

    def _arrow(self, rows: AnyArray, time_type: pa.DataType, paths: Int64 | None) -> pa.Table:
        columns = {} if paths is None else {"path": pa.array(paths.astype(np.int32))}
        columns["time"] = pa.array(rows["time"]).cast(time_type)
        columns |= {name: pa.array(rows[name]) for name in ("fold", "num_names", "num_predictions", *_NUMBERS)}
        columns |= {f"q{q + 1}": pa.array(column) for q, column in enumerate(rows["quantiles"].T.copy())}
        decays = zip(self._config.decay_lags, rows["decay"].T.copy(), strict=True)
        columns |= {f"ic_lag_{lag}": pa.array(column) for lag, column in decays}
        horizons = zip(self.beside.horizons, rows["horizons"].T.copy(), strict=True)
        columns |= {f"ic_horizon_{horizon}": pa.array(column) for horizon, column in horizons}
        for number in range(len(self.beside.groups.labels)):
            parts = zip(("ic", "rank_ic"), rows["groups"][:, number].T.copy(), strict=True)
            columns |= {f"{name}_group_{number:02d}": pa.array(column) for name, column in parts}
        return pa.table(columns)
