"""Orders whose rows are gathered from the mapped store where they lie: shuffle, sequential, and whole dates."""

import numpy as np

from seawall.arrays import Int64
from seawall.stores.panel import Panel
from seawall.windows.finder import RowFinder
from seawall.windows.order import BLOCK, order_key, permute
from seawall.windows.samples import Samples
from seawall.windows.share import Share, check_batch


class PositionOrder:
    """All samples in batches: a keyed permutation, new each epoch, or row order.

    Memory is one block of the permutation, 256 KiB, whatever the number of samples.
    """

    def __init__(self, samples: Samples, batch_size: int, seed: int, share: Share, *, shuffle: bool) -> None:
        check_batch(batch_size, share)
        self.samples, self.batch_size, self.seed, self.share, self.shuffle = samples, batch_size, seed, share, shuffle
        self.num_steps = -(-samples.num_samples // batch_size)
        self._finder = RowFinder(samples)
        self._block: tuple[tuple[int, int], Int64] = ((-1, -1), np.empty(0, np.int64))
        """Rows of the block of positions that was asked for last: found together (a tenth cheaper than by batch)."""

    def rows(self, epoch: int, step: int) -> Int64:
        """Give the rows of this rank's part of one batch: int64 [B]."""
        start = step * self.batch_size
        part = self.share.part(start, min(start + self.batch_size, self.samples.num_samples))
        if self.shuffle:
            return self._shuffled(epoch, *part)
        return self.samples.rows(np.arange(*part))

    def _shuffled(self, epoch: int, start: int, stop: int) -> Int64:
        parts = [np.empty(0, np.int64)]
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            inside = slice(max(start - block * BLOCK, 0), stop - block * BLOCK)
            parts.append(self._order_block(epoch, block)[inside])
        return np.concatenate(parts)

    def _order_block(self, epoch: int, block: int) -> Int64:
        if self._block[0] != (epoch, block):
            num_samples = self.samples.num_samples
            positions = np.arange(block * BLOCK, min((block + 1) * BLOCK, num_samples))
            shuffled = permute(num_samples, order_key(self.seed, epoch), positions)
            self._block = ((epoch, block), self._finder.rows(shuffled))
        return self._block[1]


class DateOrder:
    """Whole dates in a keyed permutation, one a step; with several ranks each takes a date of its own.

    A step without a date left for this rank is an empty batch, so that all ranks take equally many steps. Memory is
    8 bytes a date.
    """

    def __init__(self, panel: Panel, samples: Samples, seed: int, share: Share) -> None:
        self.panel, self.samples, self.seed, self.share = panel, samples, seed, share
        self.dates = np.flatnonzero(samples_by_date(panel, samples))
        self.num_steps = -(-len(self.dates) // share.world_size)

    def rows(self, epoch: int, step: int) -> Int64:
        """Give the rows of this rank's date, in order of entity: int64 [B]."""
        position = step * self.share.world_size + self.share.rank
        if position >= len(self.dates):
            return np.empty(0, np.int64)
        place = permute(len(self.dates), order_key(self.seed, epoch), np.array([position]))[0]
        return rows_of_dates(self.panel, self.samples, int(self.dates[place]), int(self.dates[place]) + 1)


def samples_by_date(panel: Panel, samples: Samples) -> Int64:
    """Count the samples of each date: int64 [T]. One pass over the dates of all samples, in blocks."""
    counts = np.zeros(panel.shape.num_dates, np.int64)
    for rows in samples.blocks():
        counts += np.bincount(np.asarray(panel.time_index[rows]), minlength=len(counts))
    return counts


def rows_of_dates(panel: Panel, samples: Samples, first_date: int, stop_date: int) -> Int64:
    """Give the samples of a range of dates, by (time, entity)."""
    rows = np.asarray(panel.by_time[int(panel.time_offsets[first_date]) : int(panel.time_offsets[stop_date])])
    return rows[samples.contains(rows)]
