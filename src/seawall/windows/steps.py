"""Windows of which every step counts: which steps may be learnt from, where windows end, one value a row again."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import Float32, Float64, Int64
from seawall.windows.samples import Samples

GRID_STEPS = 65_536
"""Steps looked at together: 2 MiB of scratch."""


def step_rows(rows: Int64, num_steps: int) -> Int64:
    """Give int64 [B, L]: the row of each step of the windows that end at these rows, oldest first."""
    return rows[:, None] + np.arange(1 - num_steps, 1)


def hide_steps(y_BLK: Float32, rows: Int64, allowed: Samples) -> None:
    """Put NaN, in place, at every step whose row is not among ``allowed``; memory is 2 MiB."""
    num_steps = y_BLK.shape[1]
    size = max(1, GRID_STEPS // num_steps)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        y_BLK[part][~allowed.contains(step_rows(rows[part], num_steps))] = np.nan


def thin(samples: Samples, stride: int) -> Samples:
    """Keep the first sample of each run and every ``stride``-th after it; memory is 16 bytes a sample that is kept."""
    if stride == 1:
        return samples
    counts = -(-samples.lengths // stride)
    before = np.concatenate([[0], np.cumsum(counts)])
    within = np.arange(int(before[-1])) - np.repeat(before[:-1], counts)
    first_rows = np.repeat(samples.first_rows, counts) + stride * within
    return Samples(first_rows, np.arange(len(first_rows) + 1), samples.num_purged, samples.num_missing)


def window_ends(samples: Samples, num_steps: int, *, stride: int, overlap: bool) -> Int64:
    """Give the rows at which windows end so that every sample is a step of at least one of them.

    Parameters
    ----------
    stride
        Rows from one window to the next, at most ``num_steps``.
    overlap
        The first window of a run of samples ends at its first row; without it at the last row that keeps the whole run
        covered, so that windows lie end to end. The last one ends at the last row of the run.

    Returns
    -------
    int64 [W]
        In ascending order; memory is 8 bytes a window.
    """
    parts = []
    for first, length in zip(samples.first_rows.tolist(), samples.lengths.tolist(), strict=True):
        last = first + length - 1
        begin = first if overlap else min(first + num_steps - 1, last)
        parts.append(np.append(np.arange(begin, last, stride), last))
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class StepValues:
    """One value a row and output, out of windows that predicted every step.

    Memory is one slice of rows in float64; the values of the windows may be mapped.
    """

    values: Float32
    """float32 [W, L * K], the steps of each window one after the other."""
    ends: Int64
    """int64 [W], ascending: the row each window ends at."""
    rows: Int64
    """int64 [n], the rows asked for, in any order; each is a step of at least one window."""
    num_steps: int
    mean: bool
    """Over all windows; else of the window that ends soonest."""

    def __getitem__(self, chosen: slice) -> Float32:
        """Give float32 [len, K] for a slice of the rows."""
        rows = self.rows[chosen]
        windows = self.values.reshape(len(self.values), self.num_steps, -1)
        first = np.searchsorted(self.ends, rows)
        stop = np.searchsorted(self.ends, rows + self.num_steps) if self.mean else first + 1
        sums: Float64 = np.zeros((len(rows), windows.shape[2]))
        for turn in range(int((stop - first).max(initial=0))):
            some = np.flatnonzero(first + turn < stop)
            window = first[some] + turn
            sums[some] += windows[window, self.num_steps - 1 - (self.ends[window] - rows[some])]
        found: Float32 = (sums / (stop - first)[:, None]).astype(np.float32)
        return found
