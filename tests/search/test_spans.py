"""How time is cut: nothing that decides reaches into the hold-out, whatever bars are missing."""

from dataclasses import replace

import numpy as np

from seawall.search.config import ValidationConfig
from seawall.search.entry_columns import Entries
from seawall.search.spans import cut
from tests.search.worlds import make_bars


def test_where_bars_rest_a_holding_in_bars_keeps_the_holdout_untouched() -> None:
    """Five bars, then a rest of twenty periods: forty bars last far longer than forty periods of the clock."""
    num_bars = 2000
    times = np.arange(num_bars, dtype=np.int64) // 5 * 25 + np.arange(num_bars) % 5
    flat = np.full(num_bars, 100.0)
    bars = replace(make_bars([(times, flat, flat, flat, flat)]), slot=np.arange(num_bars, dtype=np.int64))
    rows = np.arange(0, num_bars - 50, 3)
    entries = Entries(rows, bars.time[rows], np.ones(len(rows), np.int8), np.empty((len(rows), 0)))

    spans = cut(entries, bars, ValidationConfig(), 40)

    until, ends = spans.search.until, bars.ends(rows, 40)[: spans.search.stop]
    assert until is not None
    assert spans.holdout is not None
    assert bars.time[rows][spans.holdout.start] >= until
    assert ends.max() > until, "by the number of periods alone some would have decided that end in the hold-out"
    assert spans.num_search == (ends <= until).sum()
    assert spans.num_search + spans.num_purged + (spans.holdout.stop - spans.holdout.start) == len(rows)
    block = int(spans.search.edges[-1] - spans.search.edges[0]) // spans.search.num_blocks
    assert spans.embargo_blocks * block >= 40 // 5 * 20, "rests count for the embargo"
