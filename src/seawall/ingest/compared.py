"""Which rows an append writes where names of a date are compared: all names from the first date that may change on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seawall.ingest.config import IngestConfig
from seawall.ingest.recipe import Reach
from seawall.ingest.tails import Tail, first_at
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import EntityBlock


def compared_from(panel: Panel, new: Panel, tails: Sequence[Tail], config: IngestConfig) -> int | None:
    """Find the first time at which a comparison of names may change; None where names are not compared.

    A feature is compared with those of its own date, so nothing before the first new row moves. The mean of a market
    is taken over targets, and these change for all rows that are written again; and where a date is put between two of
    the calendar, for the dates that see it within their horizon.
    """
    if not config.compares_names:
        return None
    neutral = [target.end_periods for target in config.targets.values() if target.market_neutral]
    found = [int(new.calendar[0])]
    if neutral:
        rewritten = np.array([tail.keep for tail in tails if tail.keep < tail.stop], np.int64)
        if len(rewritten):
            found.append(int(panel.calendar[int(panel.time_index[rewritten].min())]))
        calendar = np.union1d(panel.calendar, new.calendar)
        put_in = np.flatnonzero(~np.isin(calendar, panel.calendar, assume_unique=True))
        if len(put_in):
            found.append(int(calendar[max(0, int(put_in[0]) - max(neutral))]))
    return min(found)


def widened(panel: Panel, tails: Sequence[Tail], reach: Reach, first_time: int) -> list[Tail]:
    """Give the tails of all entities with rows at or after a time, in byte order of names."""
    given = {tail.name: tail for tail in tails}
    date = int(np.searchsorted(panel.calendar, first_time))
    for number, name in enumerate(panel.entities):
        start, stop = (int(row) for row in panel.offsets[number : number + 2])
        row = first_at(panel, start, stop, date)
        tail = given.get(name)
        if tail is None and row < stop:
            given[name] = Tail(name, slice(0, 0), start, max(start, row - reach.back), row, stop)
        elif tail is not None and row < tail.keep:
            given[name] = replace(tail, keep=row, halo=min(tail.halo, max(start, row - reach.back)))
    return [given[name] for name in sorted(given)]


def keep_comparisons(
    panel: Panel, block: EntityBlock, tails: Sequence[Tail], first_time: int, num_compared: int
) -> None:
    """Take the stored comparisons for rows before the first date that changes: the first rows of each tail.

    Parameters
    ----------
    block
        Rows of the tails from ``keep`` on; its features are changed in place.
    num_compared
        Features that compare names; they are the last ones.
    """
    first, stop = block.features.shape[1] - num_compared, 0
    for tail, length in zip(tails, block.lengths.tolist(), strict=True):
        start, stop = stop, stop + length
        num_kept = int(np.searchsorted(block.times[start:stop], first_time))
        if num_kept:
            block.features[start : start + num_kept, first:] = panel.read("features", tail.keep, tail.keep + num_kept)[
                :, first:
            ]
