"""Read the backtest table date by date and prove, on the way, that it is sorted and belongs to this panel."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Int64
from seawall.backtest.memory import TABLE_BATCH_ROWS
from seawall.errors import DataError, FormatError
from seawall.stores.panel import Panel
from seawall.stores.predictions import time_type
from seawall.stores.table_parts import table_parts

COLUMNS = ("row", "time", "prediction")


@dataclass(frozen=True, slots=True)
class DatePredictions:
    """All predictions of one date, in the order of entities."""

    date: int
    """Calendar index."""

    rows: Int64
    predictions: AnyArray


class PredictionTable:
    """The predictions of a backtest table, in order of time.

    Memory is one batch of three columns, the footer of one part, and the largest date.

    Raises
    ------
    FormatError
        Where the file cannot be read, lacks a column, or a column has another type or empty places.
    DataError
        Where rows are not sorted by (time, entity), come twice, or are not of this panel.
    """

    def __init__(self, path: Path, panel: Panel) -> None:
        self._path, self._panel = path, panel
        parts = table_parts(path)
        if not parts:
            raise FormatError(str(path), "no backtest table", do="Run the join stage first.")
        self._groups: list[tuple[Path, int]] = []
        self.num_rows = 0
        for part in parts:
            self._see(part)

    def _see(self, part: Path) -> None:
        """Check the columns of a part, and note its row groups that hold rows."""
        types = {"row": pa.int64(), "time": time_type(self._panel)}
        with self._opened(part) as file:
            groups = range(file.num_row_groups)
            self._groups += [(part, group) for group in groups if file.metadata.row_group(group).num_rows]
            self.num_rows += int(file.metadata.num_rows)
            schema = file.schema_arrow
        for name in COLUMNS:
            if name not in schema.names:
                raise FormatError(str(part), f"column {name!r} is missing", found=", ".join(schema.names[:12]))
            found = schema.field(name).type
            right = found == types[name] if name in types else pa.types.is_floating(found)
            if not right:
                allowed = str(types.get(name, "float32"))
                raise FormatError(str(part), f"column {name!r} has the wrong type", found=str(found), allowed=allowed)

    def span(self) -> range:
        """Find the calendar indexes from the first date to the last; empty where the table is."""
        if not self._groups:
            return range(0)
        first, last = (self._times_of_group(*self._groups[place]) for place in (0, -1))
        start, stop = self._calendar_index(np.array([first[0], last[-1]])).tolist()
        if start > stop:
            raise self._disorder(stop, "times go backwards")
        return range(start, stop + 1)

    def dates(self) -> Iterator[DatePredictions]:
        """Read date by date; a date is never split."""
        held: list[DatePredictions] = []
        for batch in self._batches(self._groups, list(COLUMNS)):
            for part in self._dates_of(batch):
                if held and part.date < held[-1].date:
                    raise self._disorder(part.date, "times go backwards")
                if held and part.date > held[-1].date:
                    yield self._whole(held)
                    held = []
                held.append(part)
        if held:
            yield self._whole(held)

    def _dates_of(self, batch: pa.RecordBatch) -> Iterator[DatePredictions]:
        dates = self._calendar_index(self._integers(batch, "time"))
        row_ids, values = self._integers(batch, "row"), batch.column("prediction").to_numpy(zero_copy_only=False)
        cuts = [0, *(np.flatnonzero(np.diff(dates)) + 1).tolist(), len(dates)]
        for start, stop in pairwise(cuts):
            if stop > start:
                yield DatePredictions(int(dates[start]), row_ids[start:stop], values[start:stop])

    def _whole(self, parts: list[DatePredictions]) -> DatePredictions:
        date = parts[0].date
        rows = parts[0].rows if len(parts) == 1 else np.concatenate([part.rows for part in parts])
        values = parts[0].predictions if len(parts) == 1 else np.concatenate([part.predictions for part in parts])
        if (np.diff(rows) <= 0).any():
            raise self._disorder(date, "entities are out of order or come twice")
        bounds = self._panel.time_offsets
        of_date = self._panel.by_time[bounds[date] : bounds[date + 1]]
        places = np.searchsorted(of_date, rows)
        if places[-1] >= len(of_date) or not np.array_equal(of_date[places], rows):
            raise DataError(
                str(self._path),
                "rows do not belong to their date in this panel",
                found=f"calendar index {date}",
                do="Run seawall join again on the panel that made the predictions.",
            )
        return DatePredictions(date, rows, values)

    def _calendar_index(self, times: Int64) -> Int64:
        calendar = self._panel.calendar
        index = np.searchsorted(calendar, times)
        known = calendar[np.minimum(index, len(calendar) - 1)] == times
        if not known.all():
            raise DataError(
                str(self._path),
                "a time is not in the panel's calendar",
                found=str(times[~known][0]),
                allowed=f"the {len(calendar):,} times of {self._panel.path}",
                do="Run seawall join again on the panel that made the predictions.",
            )
        return index

    def _times_of_group(self, part: Path, group: int) -> Int64:
        batches = self._batches([(part, group)], ["time"])
        ends = [self._integers(batch, "time")[[0, -1]] for batch in batches if batch.num_rows]
        return np.concatenate([ends[0], ends[-1]])

    def _integers(self, batch: pa.RecordBatch, name: str) -> Int64:
        column = batch.column(name)
        if column.null_count:
            raise FormatError(str(self._path), f"column {name!r} may not be empty", found=f"{column.null_count} nulls")
        integers: Int64 = column.cast(pa.int64()).to_numpy()
        return integers

    def _batches(self, groups: Iterable[tuple[Path, int]], columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Read row groups of one part after another; only one part is open at a time."""
        for part, members in groupby(groups, key=itemgetter(0)):
            with self._opened(part) as file:
                for _, group in members:
                    yield from file.iter_batches(
                        TABLE_BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False
                    )

    @contextmanager
    def _opened(self, part: Path) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(part, pre_buffer=False) as file:
                yield file
        except (OSError, pa.ArrowException) as error:
            found = (str(error).splitlines() or [type(error).__name__])[0]
            raise FormatError(str(part), "cannot be read as a backtest table", found=found) from error

    def _disorder(self, date: int, what: str) -> DataError:
        return DataError(
            str(self._path),
            "not sorted by (time, entity)",
            found=f"{what} at calendar index {date}",
            do="Run seawall join again.",
        )
