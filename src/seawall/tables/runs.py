"""Bring the rows of a table into order of (time, entity) in bounded memory: sorted runs on disk, merged date by date.

Source: D. E. Knuth, The Art of Computer Programming 3, section 5.4 (external sorting by merging).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np

from seawall.arrays import AnyArray, Bool, Float64, Int64
from seawall.tables.order import dense_ranks, stable_order

DuplicatePolicy = Literal["error", "first", "last"]

MAX_RUNS = 256
"""Runs merged at once: each holds a file and a block of rows open; more of them are merged in groups first."""

SMALLEST_BLOCK_ROWS = 128
"""Rows read of a run at once: fewer would read a disk page for less than a page."""


def row_dtype(num_values: int) -> np.dtype[np.void]:
    """Layout of one row in a run: time, entity code, values."""
    return np.dtype([("time", "<i8"), ("code", "<i4"), ("values", "<f8", (num_values,))])


@dataclass(frozen=True, slots=True)
class SortedRows:
    """Rows in order of (time, entity rank); rows with equal keys stand in order of the source."""

    times: Int64
    ranks: Int64
    """Place of the entity among all names, sorted."""
    values: Float64
    """float64 [n, V]; NaN where missing."""

    def __len__(self) -> int:
        return len(self.times)

    def keep(self, rows: AnyArray) -> "SortedRows":
        """Take some of the rows."""
        return SortedRows(self.times[rows], self.ranks[rows], self.values[rows])


class RunWriter:
    """Fill a buffer, sort it by time, write it to disk as a run; again and again.

    Memory: the buffer, and as much again while it is sorted and written.
    """

    def __init__(self, folder: Path, num_values: int, buffer_rows: int) -> None:
        self.paths: list[Path] = []
        self.num_rows = 0
        self.first_time, self.last_time = 0, 0
        self._folder, self._num_values, self._buffer_rows = folder, num_values, buffer_rows
        self._rows: AnyArray = np.empty(buffer_rows, row_dtype(num_values))
        self._filled = 0
        self._num_files = 0

    def add(self, times: Int64, codes: Int64, values: Float64) -> None:
        """Take rows in the order of the source."""
        if not len(times):
            return
        lowest, highest = int(times.min()), int(times.max())
        self.first_time = min(self.first_time, lowest) if self.num_rows else lowest
        self.last_time = max(self.last_time, highest) if self.num_rows else highest
        self.num_rows += len(times)
        taken = 0
        while taken < len(times):
            part = min(len(times) - taken, len(self._rows) - self._filled)
            here, there = self._rows[self._filled : self._filled + part], slice(taken, taken + part)
            here["time"], here["code"], here["values"] = times[there], codes[there], values[there]
            self._filled += part
            taken += part
            if self._filled == len(self._rows):
                self._spill()

    def finish(self) -> None:
        """Write what is left, give the buffer back, and merge runs until all can be read at once."""
        if self._filled:
            self._spill()
        self._rows = self._rows[:0].copy()
        while len(self.paths) > MAX_RUNS:
            # Neighbours only: rows with equal keys must stay in order of the source.
            groups = [self.paths[start : start + MAX_RUNS] for start in range(0, len(self.paths), MAX_RUNS)]
            self.paths = [self._merge(group) for group in groups]

    def _spill(self) -> None:
        rows = self._rows[: self._filled]
        order = stable_order(dense_ranks(np.ascontiguousarray(rows["time"]))[1])
        path = self._new_path()
        with path.open("wb") as file:
            np.take(rows, order).tofile(file)
            file.flush()
            os.fsync(file.fileno())  # its pages stay: they will be read soon, and clean ones the kernel can take back
        self.paths.append(path)
        self._filled = 0

    def _merge(self, paths: list[Path]) -> Path:
        merged = self._new_path()
        with merged.open("wb") as file:
            for rows in _Merge(paths, self._num_values, self._buffer_rows).chunks():
                np.take(rows, stable_order(dense_ranks(np.ascontiguousarray(rows["time"]))[1])).tofile(file)
                file.flush()
                os.fsync(file.fileno())
        for path in paths:
            path.unlink()
        return merged

    def _new_path(self) -> Path:
        self._num_files += 1
        return self._folder / f"run-{self._num_files:05d}.rows"


class _Run:
    """One sorted run, read a block at a time with plain reads.

    Not mapped: under a tight limit the kernel's read-ahead around each of many places throws away what the others will
    need next, and the same bytes are read from disk over and over.
    """

    def __init__(self, path: Path, dtype: np.dtype[np.void], block_rows: int) -> None:
        self._file = path.open("rb", buffering=0)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        self._dtype, self._block_rows = dtype, block_rows
        self._rows: AnyArray = np.empty(0, dtype)
        self.fill()

    def close(self) -> None:
        self._file.close()

    def fill(self) -> bool:
        """Hold at least half a block, as long as the file has more; False at the end of the run."""
        missing = self._block_rows - len(self._rows)
        if not self._file.closed and 2 * missing > self._block_rows:
            more = np.frombuffer(self._file.read(missing * self._dtype.itemsize), self._dtype)
            self._rows = np.concatenate([self._rows, more])
            if not len(more):
                self._file.close()
        return len(self._rows) > 0

    @property
    def last_time(self) -> int:
        """Time of the last row that is held."""
        return int(self._rows["time"][-1])

    def take(self, time: int) -> Iterator[AnyArray]:
        """Give all rows at or before a time."""
        while len(self._rows) and self.last_time <= time:
            yield self._rows
            self._rows = self._rows[:0]
            self.fill()
        if len(self._rows):
            end = int(np.searchsorted(self._rows["time"], time, side="right"))
            if end:
                yield self._rows[:end]
                self._rows = self._rows[end:]


class _Merge:
    """Take rows of several runs at once, up to a time: whole dates, each run's rows in order of time."""

    def __init__(self, paths: list[Path], num_values: int, buffer_rows: int) -> None:
        self._dtype = row_dtype(num_values)
        block_rows = max(SMALLEST_BLOCK_ROWS, buffer_rows // max(1, len(paths)))
        self._runs = [_Run(path, self._dtype, block_rows) for path in paths]

    def close(self) -> None:
        for run in self._runs:
            run.close()

    def take(self, last_time: int | None) -> AnyArray:
        """Take the next whole dates, none later than ``last_time``; no rows where there are none."""
        self._runs = [run for run in self._runs if run.fill()]
        bound = min((run.last_time for run in self._runs), default=0)
        bound = bound if last_time is None else min(bound, last_time)
        pieces = [piece for run in self._runs for piece in run.take(bound)]
        return np.concatenate(pieces) if pieces else np.empty(0, self._dtype)

    def chunks(self) -> Iterator[AnyArray]:
        while len(rows := self.take(None)):
            yield rows


class RunReader:
    """Merge runs into whole dates in order of (time, entity), duplicates still in.

    Memory: ``buffer_rows`` rows held and as many merged, or one date where that is more.

    Parameters
    ----------
    paths
        Runs of a :class:`RunWriter`, in order of the source.
    ranks
        int64 [E]; sort place of each entity code.
    """

    def __init__(self, paths: list[Path], num_values: int, ranks: Int64, buffer_rows: int) -> None:
        self._merge = _Merge(paths, num_values, buffer_rows)
        self._ranks = ranks

    def take(self, last_time: int | None = None) -> SortedRows:
        """Take the next whole dates, none later than ``last_time``; no rows where there are none."""
        rows = self._merge.take(last_time)
        times, ranks = np.ascontiguousarray(rows["time"]), self._ranks[rows["code"]]
        order = stable_order(dense_ranks(times)[1], ranks)
        return SortedRows(times[order], ranks[order], np.take(rows["values"], order, axis=0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._merge.close()

    def __iter__(self) -> Iterator[SortedRows]:
        while len(rows := self.take()):
            yield rows


def repeated(rows: SortedRows) -> Bool:
    """Mark rows that have the keys of the row before them: bool [n]."""
    same = np.zeros(len(rows), bool)
    same[1:] = (rows.times[1:] == rows.times[:-1]) & (rows.ranks[1:] == rows.ranks[:-1])
    return same


def without_duplicates(rows: SortedRows, policy: DuplicatePolicy) -> tuple[SortedRows, int]:
    """Keep the first or last of the rows with equal keys, in order of the source, and count the others.

    Under ``error`` the rows come back as they are: the caller has names for its message.
    """
    same = repeated(rows)
    num_repeated = int(same.sum())
    if not num_repeated or policy == "error":
        return rows, num_repeated
    keep = ~same if policy == "first" else np.append(~same[1:], True)
    return rows.keep(keep), num_repeated
