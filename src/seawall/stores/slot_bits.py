"""The bitmap of a slot file: on disk, a page of it in memory at a time."""

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from seawall.arrays import Bool, Int64

PAGE_BYTES = 4096
PAGE_SHIFT = 15
"""A page says of 2^15 slots whether they hold a value."""

PAGE_SLOTS = 1 << PAGE_SHIFT


class SlotBits:
    """One bit a slot, least significant first.

    Those set since the last commit are kept by page, the others are read where they lie: memory is the pages that were
    written to since, not the slots there are.

    Parameters
    ----------
    descriptor
        Of the open slot file.
    offset
        Where the bitmap begins in it.
    """

    def __init__(self, descriptor: int, offset: int, num_slots: int) -> None:
        self._descriptor, self._offset, self._num_slots = descriptor, offset, num_slots
        self._num_bytes = -(-num_slots // 8)
        self._fresh: dict[int, npt.NDArray[np.uint8]] = {}

    def add(self, slots: Int64) -> None:
        """Mark slots; nothing is on disk before the commit."""
        for page, inside, _ in _by_page(slots):
            bits = self._fresh.setdefault(page, np.zeros(PAGE_BYTES, np.uint8))
            np.bitwise_or.at(bits, inside >> 3, np.left_shift(1, inside & 7).astype(np.uint8))

    def test(self, slots: Int64) -> Bool:
        """Tell which slots are marked."""
        found: Bool = np.zeros(len(slots), bool)
        for page, inside, chosen in _by_page(slots):
            found[chosen] = (self._page(page)[inside >> 3] >> (inside & 7).astype(np.uint8)) & 1 == 1
        return found

    @property
    def num_fresh_bytes(self) -> int:
        """Memory of the marks that are not on disk."""
        return PAGE_BYTES * len(self._fresh)

    def commit(self) -> None:
        """Add the marks to those on disk; the caller keeps others from doing the same at this moment."""
        for page in sorted(self._fresh):
            start = page * PAGE_BYTES
            bits = self._page(page)[: self._num_bytes - start]
            os.pwrite(self._descriptor, bits.tobytes(), self._offset + start)
        self._fresh = {}

    def count(self) -> int:
        """Count the marked slots."""
        return sum(int(np.bitwise_count(self._page(page)).sum(dtype=np.int64)) for page in self._pages())

    def missing(self) -> Int64:
        """List the slots that are not marked, in order; memory is 8 bytes each."""
        found = [np.empty(0, np.int64)]
        for page in self._pages():
            first = page * PAGE_SLOTS
            present = np.unpackbits(self._page(page), count=min(PAGE_SLOTS, self._num_slots - first), bitorder="little")
            found.append(np.flatnonzero(present == 0) + first)
        return np.concatenate(found)

    def _pages(self) -> range:
        return range(-(-self._num_slots // PAGE_SLOTS))

    def _page(self, page: int) -> npt.NDArray[np.uint8]:
        """Read a page, with what was marked since."""
        start = page * PAGE_BYTES
        held = min(PAGE_BYTES, self._num_bytes - start)
        bits = np.zeros(PAGE_BYTES, np.uint8)
        bits[:held] = np.frombuffer(os.pread(self._descriptor, held, self._offset + start), np.uint8)
        if page in self._fresh:
            bits |= self._fresh[page]
        return bits


def _by_page(slots: Int64) -> Iterator[tuple[int, Int64, Bool]]:
    """Cut slots by their page: its number, the slots within it, and which of all those are."""
    pages = slots >> PAGE_SHIFT
    for page in np.unique(pages).tolist():
        chosen = pages == page
        yield page, slots[chosen] & (PAGE_SLOTS - 1), chosen
