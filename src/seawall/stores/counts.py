"""Counts per place, where places may be far more than what is counted at once."""

import numpy as np

from seawall.arrays import Int64


def count_into(counts_P: Int64, places: Int64) -> None:
    """Add 1 to ``counts_P`` for each place.

    Memory grows with the smaller of both: a block of rows of one entity must not cost a number for every date there is.
    """
    if 4 * len(places) >= len(counts_P):
        counts_P += np.bincount(places, minlength=len(counts_P)).astype(counts_P.dtype, copy=False)
        return
    found, times = np.unique(places, return_counts=True)
    counts_P[found] += times.astype(counts_P.dtype, copy=False)
