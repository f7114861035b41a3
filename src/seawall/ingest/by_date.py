"""The pass by date: features and targets that compare the names of one date, filled into a segment being written.

A slab of whole dates is held at a time. Rows lie by entity, so a slab is one run of each entity: read once and
written back once, nothing else is touched. Features are thus written twice and read once in all; a run costs at most
one page more at either end, so the reads are (run + 8 KiB) / run of the file, with run = slab bytes / entities.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from seawall.arrays import AnyArray, Float64, Int64
from seawall.budget.heartbeat import Beat
from seawall.ingest.config import IngestConfig
from seawall.ingest.cross_section import compare, group
from seawall.ingest.cross_section_config import CrossSection
from seawall.ingest.date_checkpoint import DateCheckpoint, DateState
from seawall.stores.atomic import WINDOW_BYTES
from seawall.stores.npy import HEADER_BYTES


@dataclass(frozen=True, slots=True)
class Rows:
    """Where the rows of a segment being written are: its folder, first row of each entity, rows of each date."""

    folder: Path
    offsets: Int64
    rows_per_date: Int64


class RowFile:
    """One row array, read and written in runs of rows."""

    def __init__(self, path: Path, dtype: str, width: int) -> None:
        self.path, self._dtype, self._width = path, np.dtype(dtype), width
        self._row_bytes = self._dtype.itemsize * width
        self._file = os.open(path, os.O_RDWR)

    def read(self, runs: Sequence[tuple[int, int]]) -> AnyArray:
        """Read runs one after another, [rows, width]."""
        out = np.empty((sum(count for _, count in runs), self._width), self._dtype)
        view, place = out.reshape(-1).view(np.uint8), 0
        for first, count in runs:
            size = count * self._row_bytes
            os.preadv(self._file, [view.data[place : place + size]], HEADER_BYTES + first * self._row_bytes)
            place += size
        return out

    def write(self, runs: Sequence[tuple[int, int]], rows: AnyArray) -> None:
        """Write the runs back and let the kernel forget them: dirty pages never pile up beyond a slab."""
        view, place, flushed = np.ascontiguousarray(rows).reshape(-1).view(np.uint8), 0, 0
        for first, count in runs:
            size = count * self._row_bytes
            os.pwrite(self._file, view.data[place : place + size], HEADER_BYTES + first * self._row_bytes)
            place += size
            if place - flushed >= WINDOW_BYTES:
                self._flush()
                flushed = place
        self._flush()

    def _flush(self) -> None:
        os.fsync(self._file)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


@dataclass(frozen=True, slots=True)
class Slab:
    """Rows of some whole dates: a run of each entity that has any, and what decides who is compared."""

    runs: list[tuple[int, int]]
    entity: Int64
    date: Int64
    in_universe: AnyArray


class DatePass:
    """Fill in what compares names of one date.

    Parameters
    ----------
    codes
        int64 [entities] by static attribute: equal numbers for equal values, -1 where there is none.
    slab_rows
        Rows held at a time; one date is always held whole.
    checkpoint
        Where a pass over the same rows that was killed is gone on with.
    """

    def __init__(
        self,
        config: IngestConfig,
        rows: Rows,
        codes: Mapping[str, Int64],
        slab_rows: int,
        checkpoint: DateCheckpoint | None = None,
    ) -> None:
        self._config, self._rows, self._codes, self._slab_rows = config, rows, codes, slab_rows
        self._checkpoint, self._is_neutral = checkpoint, any(t.market_neutral for t in config.targets.values())
        self._names = list(config.feature_names)
        self._missing = dict.fromkeys(config.cross_sectional, 0)
        widths = {"features": len(self._names), "returns": len(config.targets)}
        files = {
            "time_index": ("<i4", 1),
            "universe": ("|u1", 1),
            "features": ("<f4", widths["features"]),
            "returns": ("<f8", widths["returns"]),
            "targets": ("<f4", widths["returns"]),
            "target_end": ("<i4", widths["returns"]),
        }
        self._files = {
            name: RowFile(rows.folder / f"{name}.npy", dtype, width)
            for name, (dtype, width) in files.items()
            if (rows.folder / f"{name}.npy").exists()
        }

    def run(self, beat: Beat, first_date: int = 0) -> None:
        """Go through all dates in order, or through those from a calendar index on."""
        num_dates = len(self._rows.rows_per_date)
        begun = None if self._checkpoint is None else self._checkpoint.load()
        if begun is not None:
            first_date, self._missing = begun.start, begun.missing
            self._undo(begun)
        for slab, start, stop in self._slabs(first_date):
            returns = self._files["returns"].read(slab.runs) if self._is_neutral else None
            self._note(DateState(start, stop, self._missing, returns))
            if self._config.cross_sectional:
                self._fill_features(slab)
            if returns is not None:
                self._fill_targets(slab, returns)
            beat("compare names of a date", stop, num_dates)
        self._note(DateState(num_dates, num_dates, self._missing))

    def _note(self, state: DateState) -> None:
        if self._checkpoint is not None:
            self._checkpoint.save(state)

    def _undo(self, begun: DateState) -> None:
        """Put the targets of a slab back as they were before a kill within it."""
        if begun.returns is not None:
            slab = self._slab(self._first_rows(begun.start), begun.start, begun.stop)
            self._files["returns"].write(slab.runs, begun.returns)

    def missing_shares(self) -> dict[str, float]:
        """Share of rows without a value, by feature that was filled in."""
        num_rows = int(self._rows.offsets[-1])
        return {name: count / max(1, num_rows) for name, count in self._missing.items()}

    def _slabs(self, start: int) -> Iterator[tuple[Slab, int, int]]:
        ends = np.cumsum(self._rows.rows_per_date)
        cursor = self._first_rows(start)
        while start < len(ends):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + self._slab_rows, side="right")))
            yield self._slab(cursor, start, stop), start, stop
            start = stop

    def _first_rows(self, date: int) -> Int64:
        """Find the first row of each entity at or after a date."""
        rows = self._rows.offsets[:-1].copy()
        for number, (first, end) in enumerate(zip(rows.tolist(), self._rows.offsets[1:].tolist(), strict=True)):
            if date and first < end:
                found = self._files["time_index"].read([(first, min(end - first, date))])[:, 0]
                rows[number] += int(np.searchsorted(found, date))
        return rows

    def _slab(self, cursor: Int64, start: int, stop: int) -> Slab:
        """Take the next rows of every entity up to a date; an entity has at most one row a date."""
        times = self._files["time_index"]
        runs, entities, dates = [], [], []
        for number, (first, end) in enumerate(zip(cursor.tolist(), self._rows.offsets[1:].tolist(), strict=True)):
            if first == end:
                continue
            found = times.read([(first, min(end - first, stop - start))])[:, 0]
            count = int(np.searchsorted(found, stop))
            if count:
                runs.append((first, count))
                entities.append(np.full(count, number))
                dates.append(found[:count].astype(np.int64) - start)
                cursor[number] += count
        universe = self._files["universe"].read(runs)[:, 0] == 1
        return Slab(runs, np.concatenate(entities), np.concatenate(dates), universe)

    def _fill_features(self, slab: Slab) -> None:
        features = self._files["features"].read(slab.runs)
        for name, rule in self._config.cross_sectional.items():
            values = features[:, self._names.index(rule.feature)].astype(np.float64)
            keys = self._keys(rule, slab, features)
            compared = compare(rule, values, keys)
            self._missing[name] += int(np.isnan(compared).sum())
            features[:, self._names.index(name)] = compared
        self._files["features"].write(slab.runs, features)

    def _keys(self, rule: CrossSection, slab: Slab, features: AnyArray) -> Int64:
        """Code the groups of each date; -1 for rows that are not compared."""
        takes_part = slab.in_universe if rule.within == "universe" else np.ones(len(slab.date), bool)
        if rule.group is None:
            return np.where(takes_part, slab.date, -1)
        if rule.group in self._codes:
            codes = self._codes[rule.group][slab.entity]
        else:
            column = features[:, self._names.index(rule.group)]
            codes = np.where(np.isnan(column), -1, np.unique(column, return_inverse=True)[1])
        return np.where(takes_part & (codes >= 0), slab.date * (int(codes.max(initial=0)) + 1) + codes, -1)

    def _fill_targets(self, slab: Slab, returns: Float64) -> None:
        ends = self._files["target_end"].read(slab.runs)
        times = self._files["time_index"].read(slab.runs)[:, 0]
        for place, target in enumerate(self._config.targets.values()):
            if target.market_neutral:
                prompt = slab.in_universe & (ends[:, place] == times + target.end_periods)
                values = returns[:, place] - market_means(returns[:, place], slab.date, prompt, target.min_names)
                returns[:, place] = np.sign(values) if target.sign else values
        self._files["returns"].write(slab.runs, returns)
        self._files["targets"].write(slab.runs, returns.astype(np.float32))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()


def market_means(values: Float64, dates: Int64, prompt: AnyArray, min_names: int) -> Float64:
    """Average, for each row's date, the values of the names that are known as early as can be.

    A name that is suspended knows its return later than the others; with it in the mean, every other target would
    have to wait for it, and the folds would have to purge them all.
    """
    groups = group(values, np.where(prompt, dates, -1))
    means = np.full(int(dates.max(initial=0)) + 1, np.nan)
    if len(groups.order):
        found = np.where(groups.counts >= min_names, groups.means(groups.values), np.nan)
        means[dates[groups.order[groups.starts[:-1]]]] = found
    return means[dates]
