"""How time is cut: what may be looked at, what is purged, what is held out, and the blocks in between."""

import math
from dataclasses import dataclass

import numpy as np

from seawall.errors import DataError
from seawall.search.config import ValidationConfig
from seawall.search.entry_columns import Entries
from seawall.search.evaluate import Part


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Parts of the entries of one type, which are in order of time."""

    search: Part
    holdout: Part | None
    everything: Part
    num_purged: int
    """Entries before the hold-out whose longest holding reaches into it."""
    embargo_blocks: int
    """Blocks the longest holding covers."""


def cut(entries: Entries, config: ValidationConfig, longest: int) -> Spans:
    """Cut the time of the entries; ``longest`` is the longest holding, in the unit of times.

    Raises
    ------
    DataError
        Where no entry is left before the hold-out.
    """
    first, last = int(entries.times[0]), int(entries.times[len(entries) - 1])
    border = last + 1 - int(config.holdout_share * (last + 1 - first))
    inside = int(np.searchsorted(entries.times, border - longest if config.holdout_share else last, side="right"))
    after = int(np.searchsorted(entries.times, border)) if config.holdout_share else len(entries)
    if not inside:
        raise DataError(
            "entries",
            "no entry ends before the hold-out begins",
            found=f"{len(entries):,} entries",
            do="Shorten the longest holding_periods, or make validation.holdout_share smaller.",
        )
    stop = min(border, int(entries.times[inside - 1]) + 1)
    edges = np.linspace(first, max(stop, first + config.num_blocks), config.num_blocks + 1).astype(np.int64)
    whole = np.array([first, max(last, first) + 1], np.int64)
    length = max(1, int(edges[-1] - edges[0]) // config.num_blocks)
    return Spans(
        search=Part("search", 0, inside, edges),
        holdout=Part("holdout", after, len(entries), whole) if after < len(entries) else None,
        everything=Part("everything", 0, len(entries), whole),
        num_purged=after - inside,
        embargo_blocks=math.ceil(longest / length),
    )
