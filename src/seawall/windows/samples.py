"""Which rows are legal samples of a segment, kept as runs of consecutive rows: memory grows with breaks, not rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash

from seawall.arrays import Bool, Int32, Int64
from seawall.stores.panel import Panel

BLOCK_ROWS = 65_536
"""Rows looked at together while samples are chosen: about 3 MiB of scratch."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows that samples end at, in row order: run ``i`` is ``lengths[i]`` consecutive rows from ``first_rows[i]``.

    ``num_purged`` rows were legal but for a target that ends too late; ``num_missing`` had no target to learn from.
    """

    first_rows: Int64
    before: Int64
    """int64 [R + 1]: samples before each run, and in all."""
    num_purged: int = 0
    num_missing: int = 0

    @property
    def num_samples(self) -> int:
        """Samples in all runs."""
        return int(self.before[-1])

    @property
    def lengths(self) -> Int64:
        """int64 [R], rows of each run."""
        return np.diff(self.before)

    @property
    def key(self) -> str:
        """Tell these samples from any others: a hash of their runs, 16 hexadecimal digits."""
        digest = xxhash.xxh3_64(np.ascontiguousarray(self.first_rows, "<i8").data)
        digest.update(np.ascontiguousarray(self.before, "<i8").data)
        return digest.hexdigest()

    def rows(self, positions: Int64) -> Int64:
        """Find the row each sample ends at; ``positions`` are any of 0 .. num_samples - 1."""
        run = np.searchsorted(self.before, positions, side="right") - 1
        return self.first_rows[run] + (positions - self.before[run])

    def blocks(self, block_rows: int = BLOCK_ROWS) -> Iterator[Int64]:
        """Give the rows of all samples in row order, ``block_rows`` at a time (the last block may be short)."""
        for start in range(0, self.num_samples, block_rows):
            yield self.rows(np.arange(start, min(start + block_rows, self.num_samples)))

    def contains(self, rows: Int64) -> Bool:
        """Tell which row ids are samples."""
        if not len(self.first_rows):
            return np.zeros(rows.shape, bool)
        run = np.searchsorted(self.first_rows, rows, side="right") - 1
        inside: Bool = (run >= 0) & (rows - self.first_rows[run] < self.lengths[run])
        return inside


def select_samples(
    panel: Panel,
    segment: tuple[int, int],
    lookback_periods: int,
    *,
    targets: tuple[int, ...] = (),
    known_before: int | None = None,
) -> Samples:
    """Choose the legal samples of a segment of dates.

    A row is legal where its date lies in the segment, it is in the universe, and its entity has ``lookback_periods``
    rows ending there; the lookback may reach back across the start of the segment. With ``known_before`` (train and
    valid) a row is purged where any of ``targets`` *ends* at or after that date, and left out where none of them has a
    value. Without it (test, prediction) targets are not looked at.

    Parameters
    ----------
    segment
        Half-open range of calendar indices.
    targets
        Columns of ``panel.targets`` that are learnt from.
    known_before
        Calendar index: the start of the next segment, less the embargo.

    Returns
    -------
    Samples
        Memory while choosing: 40 bytes an entity, 16 a run, and one block.
    """
    candidates = _candidates(panel, [segment], lookback_periods)
    if known_before is None:
        return _chosen(panel, candidates)
    return _chosen(panel, candidates, targets, lambda rows, ends: np.any(ends >= known_before, axis=1))


def select_ranges(panel: Panel, ranges: Sequence[tuple[int, int]], lookback_periods: int) -> Samples:
    """Choose the legal samples of several ranges of dates, whatever their targets; else as :func:`select_samples`."""
    return _chosen(panel, _candidates(panel, ranges, lookback_periods))


def select_clear_samples(
    panel: Panel,
    ranges: Sequence[tuple[int, int]],
    lookback_periods: int,
    *,
    targets: tuple[int, ...],
    held: Sequence[tuple[int, int]],
) -> Samples:
    """Choose the legal samples of several ranges of dates whose targets keep clear of what is held out.

    The life of a row is the dates from its own to the end of its latest target. It is purged where that life shares a
    date with any of ``held``, whether it lies before or after it (López de Prado, "Advances in Financial Machine
    Learning", 2018, section 7.4.1). A row without a value of any target is left out.

    Parameters
    ----------
    ranges
        Half-open ranges of calendar indices, apart from one another.
    held
        First and last calendar index, both included: lives of what is held out, embargo added. See :func:`life_end`.

    Returns
    -------
    Samples
        Memory while choosing as in :func:`select_samples`.
    """

    def meets(rows: Int64, ends: Int32) -> Bool:
        first = np.asarray(panel.time_index[rows])
        last = np.maximum(ends.max(axis=1, initial=-1), first)
        late = np.zeros(len(rows), bool)
        for start, end in held:
            late |= (first <= end) & (last >= start)
        return late

    return _chosen(panel, _candidates(panel, ranges, lookback_periods), targets, meets)


def life_end(panel: Panel, samples: Samples, targets: tuple[int, ...]) -> int:
    """Find the last calendar index at which a target of any of these samples is still open; -1 where there is none."""
    latest = -1
    for rows in samples.blocks():
        ends = panel.target_end[rows][:, list(targets)]
        latest = max(latest, int(ends.max(initial=-1)), int(panel.time_index[rows].max(initial=-1)))
    return latest


def date_major_blocks(
    panel: Panel, samples: Samples, segment: tuple[int, int], block_rows: int = BLOCK_ROWS
) -> Iterator[Int64]:
    """Give the rows of all samples of a segment ordered by (time, entity), at most ``block_rows`` at a time."""
    first, last = (int(place) for place in panel.time_offsets[[segment[0], segment[1]]])
    for start in range(first, last, block_rows):
        rows = np.asarray(panel.by_time[start : min(start + block_rows, last)])
        inside = rows[samples.contains(rows)]
        if len(inside):
            yield inside


def date_major_rows(panel: Panel, samples: Samples, segment: tuple[int, int]) -> Int64:
    """List the rows of all samples of a segment ordered by (time, entity).

    Returns
    -------
    int64 [num_samples]
        Memory is 8 bytes a sample of the segment, and one block.
    """
    ordered = np.empty(samples.num_samples, np.int64)
    filled = 0
    for rows in date_major_blocks(panel, samples, segment):
        ordered[filled : filled + len(rows)] = rows
        filled += len(rows)
    return ordered


def rows_in_segment(panel: Panel, segment: tuple[int, int]) -> Samples:
    """Give all rows of the universe whose date lies in a segment, whatever their lookback or target."""
    return select_samples(panel, segment, 1)


def _chosen(
    panel: Panel,
    candidates: Samples,
    targets: tuple[int, ...] = (),
    is_late: Callable[[Int64, Int32], Bool] | None = None,
) -> Samples:
    """Keep candidates in the universe, and, told which are late, those that are not and have a target to learn from."""
    kept: list[tuple[Int64, Int64]] = []
    num_purged = num_missing = 0
    for rows in candidates.blocks():
        legal = rows[panel.universe[rows]]
        if is_late is not None:
            ends = panel.target_end[legal][:, list(targets)]
            late = is_late(legal, ends)
            known = (ends >= 0) & np.isfinite(panel.targets[legal][:, list(targets)])
            missing = ~np.any(known, axis=1) & ~late
            num_purged += int(late.sum())
            num_missing += int(missing.sum())
            legal = legal[~(late | missing)]
        kept.append(_runs(legal))
    return _joined(kept, num_purged, num_missing)


def _candidates(panel: Panel, ranges: Sequence[tuple[int, int]], lookback_periods: int) -> Samples:
    whole = panel.offsets[:-1] + lookback_periods - 1
    bounds = [(np.maximum(_first_row_at(panel, start), whole), _first_row_at(panel, stop)) for start, stop in ranges]
    first = np.concatenate([np.empty(0, np.int64), *(low for low, _ in bounds)])
    lengths = np.concatenate([np.empty(0, np.int64), *(np.maximum(high - low, 0) for low, high in bounds)])
    some = np.flatnonzero(lengths > 0)
    some = some[np.argsort(first[some], kind="stable")]
    return Samples(first[some], _before(lengths[some]))


def _first_row_at(panel: Panel, date: int) -> Int64:
    """Find, for each entity, its first row at or after a calendar index: one binary search for all entities at once."""
    low, high = panel.offsets[:-1].copy(), panel.offsets[1:].copy()
    while (searching := np.flatnonzero(low < high)).size:
        middle = (low[searching] + high[searching]) // 2
        earlier = panel.time_index[middle] < date
        low[searching[earlier]] = middle[earlier] + 1
        high[searching[~earlier]] = middle[~earlier]
    return low


def _runs(rows: Int64) -> tuple[Int64, Int64]:
    """Cut ascending row ids into (first row, length) of runs without a hole."""
    if not len(rows):
        return rows, rows
    starts = np.concatenate([[0], np.flatnonzero(np.diff(rows) != 1) + 1])
    return rows[starts], np.diff(np.append(starts, len(rows)))


def _joined(parts: list[tuple[Int64, Int64]], num_purged: int, num_missing: int) -> Samples:
    empty = np.empty(0, np.int64)
    first = np.concatenate([empty, *(part[0] for part in parts)])
    lengths = np.concatenate([empty, *(part[1] for part in parts)])
    # A run that a block border cut in two is one run again.
    new = np.ones(len(first), bool)
    new[1:] = first[:-1] + lengths[:-1] != first[1:]
    starts = np.flatnonzero(new)
    joined = np.add.reduceat(lengths, starts) if len(starts) else empty
    return Samples(first[starts], _before(joined), num_purged, num_missing)


def _before(lengths: Int64) -> Int64:
    before = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=before[1:])
    return before
