"""Persistence: the last target of the entity that is known at the time of a row."""

from collections.abc import Iterator, Sequence

import numpy as np

from seawall.arrays import Float32, Int64
from seawall.budget.heartbeat import Beat
from seawall.stores.panel import Panel
from seawall.stores.slots import SlotFile
from seawall.train.members_memory import LAST_VALUE_ROWS
from seawall.windows.samples import BLOCK_ROWS


def fill_last_values(slots: SlotFile, panel: Panel, rows: Int64, columns: Sequence[int], beat: Beat) -> None:
    """Write, for each row, the newest target of an earlier row of its entity that has ended by the row's own time.

    NaN before there is one. Targets that end out of order count from when all before them have ended too, so that
    nothing later is ever read. Memory is 24 bytes a row of the entities worked on together: 2^20 rows, or one entity.

    Parameters
    ----------
    slots
        float32 [len(rows), K], slot i for ``rows[i]``.
    rows
        int64 [n], row ids in order of (time, entity).
    columns
        Columns of the K targets.
    """
    num_done = 0
    for first, last in _groups(panel):
        bounds = panel.offsets[first : last + 1]
        places = _places(rows, int(bounds[0]), int(bounds[-1]))
        own = rows[places]
        by_entity = np.argsort(own, kind="stable")
        cuts = np.searchsorted(own, bounds, sorter=by_entity)
        for number, start in enumerate(bounds[:-1].tolist()):
            chosen = by_entity[cuts[number] : cuts[number + 1]]
            if len(chosen):
                slots.write(places[chosen], _last_values(panel, start, own[chosen], columns))
                num_done += len(chosen)
                beat("last values", num_done, len(rows))
    slots.commit()


def _groups(panel: Panel) -> Iterator[tuple[int, int]]:
    """Give first and last entity, half open, of groups with few enough rows."""
    first, num_entities = 0, panel.shape.num_entities
    while first < num_entities:
        last = int(np.searchsorted(panel.offsets, panel.offsets[first] + LAST_VALUE_ROWS, side="right")) - 1
        yield first, min(max(last, first + 1), num_entities)
        first = max(last, first + 1)


def _places(rows: Int64, first: int, last: int) -> Int64:
    """Find the places of rows of a range, in order."""
    found = []
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        found.append(np.flatnonzero((block >= first) & (block < last)) + start)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _last_values(panel: Panel, first: int, rows: Int64, columns: Sequence[int]) -> Float32:
    """Give float32 [n, K] for rows of one entity, whose first row is ``first``."""
    found = np.full((len(rows), len(columns)), np.nan, np.float32)
    stop, times = int(rows[-1]), panel.time_index[rows]
    for number, column in enumerate(columns):
        values, ends = panel.targets[first:stop, column], panel.target_end[first:stop, column]
        known = np.flatnonzero(~np.isnan(values))
        by_then = np.maximum.accumulate(ends[known])
        last = np.minimum(
            np.searchsorted(by_then, times, side="right"), np.searchsorted(known, rows - first, side="left")
        )
        has_one = last > 0
        found[has_one, number] = values[known[last[has_one] - 1]]
    return found
