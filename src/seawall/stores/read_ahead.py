"""Cold pages of mapped arrays, asked for many at a time and before they are needed."""

import mmap
import resource
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from seawall.arrays import AnyArray, Int64
from seawall.stores.npy import mapping_of
from seawall.units import KIB

COLD_BYTES = 256 * KIB
"""A process that has read less than this from disk since the last call gains less than requests cost (4 us each)."""

AT_MOST_PAGES = 4096
"""Pages asked for in one go, all arrays together (16 MiB): under a tight limit more would push each other out again."""


class ReadAhead:
    """Ask the kernel for the rows that will be read next, each page once.

    A cold page costs 80 us where it is waited for. Of pages that are asked for together a disk brings 3-4 times as many
    a second, and brings them while something else is computed. While the process reads next to nothing from disk its
    pages are warm, and nothing is asked for. Memory: a byte for each page of rows. Where an array is not mapped, or the
    system has no such request, nothing happens.

    Parameters
    ----------
    arrays
        Read-only arrays [N] of one length and one item size.
    """

    def __init__(self, arrays: Sequence[AnyArray]) -> None:
        self._maps = [found for array in arrays if (found := mapping_of(array)) is not None]
        self._rows_per_page = mmap.PAGESIZE // arrays[0].itemsize
        self._last_row = len(arrays[0]) - 1
        self._asked = np.zeros(self._last_row // self._rows_per_page + 1, bool)
        self._read_bytes = _read_bytes()
        if not hasattr(mmap, "MADV_WILLNEED"):
            self._maps = []

    def ask(self, rows: Int64, num_rows: int) -> None:
        """Ask for ``num_rows`` rows from each of these rows [n] on."""
        if not self._maps or not len(rows) or self._is_warm():
            return
        first = rows // self._rows_per_page
        last = np.minimum(rows + num_rows - 1, self._last_row) // self._rows_per_page
        wanted = np.zeros(len(self._asked), bool)
        for further in range(int((last - first).max()) + 1):
            wanted[np.minimum(first + further, last)] = True
        fresh = np.flatnonzero(wanted & ~self._asked)[: AT_MOST_PAGES // len(self._maps)]
        self._asked[fresh] = True
        edges = [0, *(np.flatnonzero(np.diff(fresh) > 1) + 1).tolist(), len(fresh)]
        for start, stop in pairwise(edges):
            if start < stop:
                self._ask_pages(int(fresh[start]), stop - start)

    def _is_warm(self) -> bool:
        before, self._read_bytes = self._read_bytes, _read_bytes()
        return self._read_bytes - before < COLD_BYTES

    def _ask_pages(self, page: int, num_pages: int) -> None:
        for mapped, offset in self._maps:
            first = offset + page * mmap.PAGESIZE
            start = first - first % mmap.PAGESIZE  # a header of 4 KiB is no whole page everywhere
            stop = min(first + num_pages * mmap.PAGESIZE, len(mapped))
            mapped.madvise(mmap.MADV_WILLNEED, start, stop - start)


def _read_bytes() -> int:
    """Give what this process has really read from disk; the kernel counts in units of 512 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_inblock * 512
