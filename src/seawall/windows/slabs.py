"""The ``by_time`` order on stores larger than memory: slabs of dates are read into a pool, whole dates come out."""

from collections.abc import Iterator

import numpy as np

from seawall.arrays import Int64
from seawall.errors import BudgetError
from seawall.stores.panel import Panel
from seawall.units import format_bytes
from seawall.windows.direct import rows_of_dates, samples_by_date
from seawall.windows.order import order_key, permutation
from seawall.windows.samples import Samples
from seawall.windows.share import Share
from seawall.windows.tiles import Members, PoolSize

SLAB_SAMPLE_BYTES = 160
"""Index of a sample of a slab, while its dates are put in order too: 150 B measured, two pools, one being made."""


class SlabOrder:
    """Whole dates, one a step: slabs of dates in a keyed permutation of the epoch, dates in one inside each slab.

    A slab is as many dates as surely fit into the pool, each entity's lookback before them included: bytes read are
    ``amplification`` times the data. With several ranks each takes whole dates, and all take equally many steps; a step
    without a date left for a rank is an empty batch. Memory is 24 bytes a date.

    Raises
    ------
    BudgetError
        Where the pool cannot hold one date with its lookbacks.
    """

    def __init__(
        self, panel: Panel, samples: Samples, lookback_periods: int, seed: int, share: Share, size: PoolSize
    ) -> None:
        self.panel, self.samples, self.seed, self.share = panel, samples, seed, share
        self._counts = samples_by_date(panel, samples)
        self.slabs, self.capacity_rows = _slabs(panel, self._counts, lookback_periods, size)
        self.dates_before = np.concatenate(
            [[0], np.cumsum([np.count_nonzero(self._counts[first:stop]) for first, stop in self.slabs])]
        ).astype(np.int64)
        self.num_steps = -(-int(self.dates_before[-1]) // share.world_size)
        self.num_pools = len(self.slabs)
        read = sum(_rows_read(panel, first, stop, lookback_periods) for first, stop in self.slabs)
        self.amplification = read / max(1, panel.shape.num_rows)

    def parts(self, epoch: int, step: int) -> Iterator[tuple[int, int, int]]:
        """Give where a step's date lies: (pool, first place, stop place); nothing where no date is left."""
        position = step * self.share.world_size + self.share.rank
        if position >= self.dates_before[-1]:
            return
        order = permutation(len(self.slabs), order_key(self.seed, epoch))
        before = np.concatenate([[0], np.cumsum(np.diff(self.dates_before)[order])])
        pool = int(np.searchsorted(before, position, side="right")) - 1
        ends = np.cumsum(self._counts[self._dates(epoch, pool)])
        date = position - int(before[pool])
        yield pool, int(ends[date - 1]) if date else 0, int(ends[date])

    def members(self, epoch: int, pool: int) -> Members:
        """List the samples of a slab by row, and the order that brings whole dates."""
        first, stop = self.slabs[self._slab(epoch, pool)]
        by_date = rows_of_dates(self.panel, self.samples, first, stop)
        counts = self._counts[first:stop]
        starts = np.concatenate([[0], np.cumsum(counts)])
        dates = self._dates(epoch, pool) - first
        emitted = np.concatenate([np.arange(starts[date], starts[date + 1]) for date in dates])
        ascending = np.argsort(by_date, kind="stable")
        place = np.empty(len(ascending), np.int64)
        place[ascending] = np.arange(len(ascending))
        return Members(by_date[ascending], place[emitted])

    def _slab(self, epoch: int, pool: int) -> int:
        return int(permutation(len(self.slabs), order_key(self.seed, epoch))[pool])

    def _dates(self, epoch: int, pool: int) -> Int64:
        """List the dates of a pool that have samples, in the order they are emitted."""
        slab = self._slab(epoch, pool)
        first, stop = self.slabs[slab]
        dates = first + np.flatnonzero(self._counts[first:stop])
        return dates[permutation(len(dates), order_key(self.seed, epoch, slab + 1))]


def _rows_read(panel: Panel, first: int, stop: int, lookback_periods: int) -> int:
    """Bound the rows a slab needs: those of its dates, and a lookback before them for each entity."""
    rows = int(panel.time_offsets[stop] - panel.time_offsets[first])
    return rows + min(rows, panel.shape.num_entities) * (lookback_periods - 1)


def _slabs(panel: Panel, counts: Int64, lookback_periods: int, size: PoolSize) -> tuple[list[tuple[int, int]], int]:
    """Cut the dates that have samples into slabs that surely fit; give them and the rows of the largest."""
    used = np.flatnonzero(counts)
    slabs: list[tuple[int, int]] = []
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
    while first < last:
        low, high = first, last
        while low < high:
            stop = (low + high + 1) // 2
            needed = _rows_read(panel, first, stop, lookback_periods) * size.row_bytes
            needed += int(counts[first:stop].sum()) * size.sample_bytes
            low, high = (stop, high) if needed <= size.pool_bytes else (low, stop - 1)
        if low == first:
            needed = _rows_read(panel, first, first + 1, lookback_periods) * (size.row_bytes + size.sample_bytes)
            raise BudgetError(
                "pool",
                "one date with its lookbacks does not fit",
                found=format_bytes(size.pool_bytes),
                allowed=f"{format_bytes(needed)} or more",
                do="Enlarge the pool.",
            )
        if counts[first:low].any():
            slabs.append((first, low))
        first = low
    return slabs, max((_rows_read(panel, *slab, lookback_periods) for slab in slabs), default=0)
