"""The order of rows by (time, entity), written in slabs of dates."""

from pathlib import Path

import numpy as np

from seawall.arrays import Int64
from seawall.stores.npy import ArrayWriter, map_array

INDEX_ROWS = 131_072
"""Rows of the time index read at once."""


def write_by_time(folder: Path, time_offsets: Int64, slab_bytes: int) -> None:
    """Order the row ids of a segment by (time, entity); each slab of dates is one sequential pass over the time index.

    Memory is ``slab_bytes``, or the largest date, and a block of the time index.
    """
    num_rows, num_dates = int(time_offsets[-1]), len(time_offsets) - 1
    time_index = map_array(folder / "time_index.npy", "<i4", (num_rows,))
    with ArrayWriter(folder / "by_time.npy", "<i8") as writer:
        start = 0
        while start < num_dates:
            limit = time_offsets[start] + max(1, slab_bytes // 8)
            stop = max(start + 1, int(np.searchsorted(time_offsets, limit, side="right")) - 1)
            slab = np.empty(time_offsets[stop] - time_offsets[start], np.int64)
            next_place = time_offsets[start:stop] - time_offsets[start]
            for first in range(0, num_rows, INDEX_ROWS):
                _place_rows(slab, next_place, time_index[first : first + INDEX_ROWS], first, start)
            writer.append(slab)
            start = stop


def _place_rows(slab: Int64, next_place: Int64, times: Int64, first_row: int, first_date: int) -> None:
    """Put the rows of one block that fall into the slab's dates at their places; stable, so entity order is kept."""
    inside = np.flatnonzero((times >= first_date) & (times < first_date + len(next_place)))
    dates = times[inside] - first_date
    order = np.argsort(dates, kind="stable")
    sorted_dates = dates[order]
    counts = np.bincount(sorted_dates, minlength=len(next_place))
    rank_in_date = np.arange(len(sorted_dates)) - np.repeat(np.cumsum(counts) - counts, counts)
    slab[next_place[sorted_dates] + rank_in_date] = inside[order] + first_row
    next_place += counts
