"""Persistence: the last target of the entity that is known at the time of a row."""

from collections.abc import Sequence

import numpy as np

from seawall.arrays import Float32, Int64
from seawall.budget.heartbeat import Beat
from seawall.stores.panel import Panel
from seawall.stores.slots import SlotFile


def fill_last_values(slots: SlotFile, panel: Panel, rows: Int64, columns: Sequence[int], beat: Beat) -> None:
    """Write, for each row, the newest target of an earlier row of its entity that has ended by the row's own time.

    NaN before there is one. Targets that end out of order count from when all before them have ended too, so that
    nothing later is ever read. Memory is 8 bytes a row, and 24 bytes a row of one entity.

    Parameters
    ----------
    slots
        float32 [len(rows), K], slot i for ``rows[i]``.
    rows
        int64 [n], row ids in order of (time, entity).
    columns
        Columns of the K targets.
    """
    by_entity = np.argsort(rows, kind="stable")
    cuts = np.searchsorted(rows, panel.offsets, sorter=by_entity)
    for entity in range(len(cuts) - 1):
        places = by_entity[cuts[entity] : cuts[entity + 1]]
        if len(places):
            slots.write(places, _last_values(panel, int(panel.offsets[entity]), rows[places], columns))
            beat("last values", int(cuts[entity + 1]), len(rows))
    slots.commit()


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
