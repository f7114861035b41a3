"""How time is cut: what may be looked at, what is purged, what is held out, and the blocks in between."""

import math
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Int64
from seawall.errors import DataError
from seawall.search.bars import Bars
from seawall.search.config import ValidationConfig
from seawall.search.entry_columns import Entries
from seawall.search.evaluate import Part

PIECE_ROWS = 16_384
SPAN_SAMPLE = 65_536
"""Entries whose longest holding is measured by the clock, evenly spaced: bounded memory."""

USUAL = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Parts of the entries of one type, which are in order of time."""

    search: Part
    holdout: Part | None
    everything: Part
    num_search: int
    """Entries that decide."""
    num_purged: int
    """Entries before the hold-out whose longest holding reaches into it."""
    embargo_blocks: int
    """Blocks the longest holding covers, by the clock, for 99 of 100 entries."""


def cut(entries: Entries, bars: Bars, config: ValidationConfig, holding: int) -> Spans:
    """Cut the time of the entries; ``holding`` is the longest one, in periods.

    An entry decides only if its longest holding has ended when the hold-out begins, whatever bars are missing.

    Raises
    ------
    DataError
        Where no entry is left before the hold-out.
    """
    first, last = int(entries.times[0]), int(entries.times[len(entries) - 1])
    border = last + 1 - int(config.holdout_share * (last + 1 - first))
    after, inside, until = len(entries), len(entries), None
    if config.holdout_share:
        until = border
        after = int(np.searchsorted(entries.times, border))
        inside = int(np.searchsorted(entries.times, border - holding * bars.period, side="right"))
    num_late = _count_late(entries, bars, holding, inside, until)
    if inside == num_late:
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
        search=Part("search", 0, inside, edges, until),
        holdout=Part("holdout", after, len(entries), whole) if after < len(entries) else None,
        everything=Part("everything", 0, len(entries), whole),
        num_search=inside - num_late,
        num_purged=after - inside + num_late,
        embargo_blocks=math.ceil(_usual_length(entries, bars, holding) / length),
    )


def _count_late(entries: Entries, bars: Bars, holding: int, inside: int, until: int | None) -> int:
    """Count the first entries whose longest holding ends too late, because bars are missing or rest at night."""
    if until is None:
        return 0
    pieces = (entries.rows[start : min(start + PIECE_ROWS, inside)] for start in range(0, inside, PIECE_ROWS))
    return sum(int((bars.ends(np.asarray(rows), holding) > until).sum()) for rows in pieces)


def _usual_length(entries: Entries, bars: Bars, holding: int) -> int:
    """Measure how long the longest holding takes by the clock, nights and missing bars included."""
    rows: Int64 = np.asarray(entries.rows[:: max(1, len(entries) // SPAN_SAMPLE)])
    lengths = bars.ends(rows, holding) - np.asarray(bars.time[rows])
    return max(holding * bars.period, int(np.quantile(lengths, USUAL)))
