"""Bars of all entities in one set of arrays: rows of one entity are one slice, in order of time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.search.config import MAX_HOLDING_PERIODS

RANGE_SAMPLE = 65_536
"""Bars of an entity its median range is taken from, evenly spaced: bounded memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bars:
    """OHLC bars [N], sorted by (entity, time); a bar that is missing is not there.

    Arrays may be mapped files: they are read at the places of entries only.
    """

    time: Int64
    """Opening time, ns since 1970 or steps."""
    open: Float64
    high: Float64
    low: Float64
    close: Float64
    slot: Int64
    """Period number of a bar on the clock (or its ordinal), growing from entity to entity by more than any holding."""
    funding: Float64
    """Funding rates summed from the first bar of the entity to the open of this one, included."""
    offsets: Int64
    """int64 [E + 1], first row of each entity."""
    entities: tuple[str, ...]
    period: int
    """Length of a bar, ns or steps."""

    @property
    def num_bars(self) -> int:
        """Rows of all entities."""
        return len(self.time)

    def last_rows(self, rows: Int64) -> Int64:
        """Give the last row of the entity of each row."""
        return np.asarray(self.offsets[np.searchsorted(self.offsets, rows, side="right")] - 1)

    def entity_of(self, rows: Int64) -> Int64:
        """Give the entity number of each row."""
        return np.asarray(np.searchsorted(self.offsets, rows, side="right") - 1)

    def reaches(self, rows: Int64, max_holding: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Tell for which entry rows the data go on to the end of the longest holding."""
        return np.asarray(self.slot[self.last_rows(rows)] >= self.slot[rows] + max_holding - 1)

    def ends(self, rows: Int64, holding: int) -> Int64:
        """Give the time at which a holding ends at the latest: the close of its last bar, or of the bar there is next.

        The data must reach so far, see :meth:`reaches`.
        """
        return np.asarray(self.time[self.first_at(rows, self.slot[rows] + holding - 1)] + self.period)

    def first_at(self, rows: Int64, slots: Int64) -> Int64:
        """Find the first row at or after each of these slots, none before the slot of its entry row.

        Slots grow by one or more from row to row, so it lies as many rows on as slots at most, and nearly always just
        there. Only what lies between is read: a search of the whole array would read cold pages all over it.

        Parameters
        ----------
        rows
            int64 [N], entries.
        slots
            int64 [N] or [N, L].

        Returns
        -------
        int64, like ``slots``
            The number of bars where there is no later one.
        """
        slot, last = np.asarray(self.slot), self.num_bars - 1
        low = np.broadcast_to(rows.reshape(-1, *[1] * (slots.ndim - 1)), slots.shape)
        high = np.minimum(low + slots - slot[low], self.num_bars)
        has_gap = slot[np.maximum(high - 1, low)] >= slots
        found: Int64 = high
        low, high, sought = low[has_gap], high[has_gap], slots[has_gap]
        while (low < high).any():  # bars are missing: the place is sought between
            middle = np.minimum((low + high) // 2, last)
            is_early = slot[middle] < sought
            low, high = np.where(is_early, middle + 1, low), np.where(is_early, high, middle)
        found[has_gap] = low
        return found

    def median_range(self, entity: int) -> float:
        """Compute the median of (high - low) / open of an entity; NaN where it has no bar."""
        start, stop = int(self.offsets[entity]), int(self.offsets[entity + 1])
        step = max(1, (stop - start) // RANGE_SAMPLE)
        high, low, first = (np.asarray(column[start:stop:step]) for column in (self.high, self.low, self.open))
        return float(np.median((high - low) / first)) if len(first) else float("nan")


def global_slots(slots: Sequence[Int64]) -> Int64:
    """Join the slots of entities so that they grow over all rows, with a gap wider than any holding between two."""
    joined, base = [], 0
    for own in slots:
        joined.append(own - (own[0] if len(own) else 0) + base)
        base = int(joined[-1][-1]) + 2 * MAX_HOLDING_PERIODS if len(own) else base
    return np.concatenate(joined) if joined else np.empty(0, np.int64)
