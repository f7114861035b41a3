"""Read rows of the mapped panel in the order of time.

The panel lies by entity, predictions come by date, so a date's rows are one place per entity, far apart; a page of an
entity (512 returns) is then asked for again on each of the next dates. The default mapping reads 128 KiB around every
place, and under a tight limit throws it away before the next date: 150 GB were read so for 0.3 GB of use. With
``MADV_RANDOM`` a place costs its own page and nothing else, and one page per entity and file is all that must stay.
Sorting the rows of a block first would touch the same pages: within a date they are in order already.
"""

import numpy as np

from seawall.arrays import Float64, Int32, Int64
from seawall.stores.npy import advise_random
from seawall.stores.panel import Panel


class RowGather:
    """Look up columns of the panel by row id, any order; memory is what is asked for.

    Parameters
    ----------
    panel
        Its row arrays are told to expect scattered reads.
    target
        Name of the target whose float64 values are the forward returns.
    prices
        Price columns to read.
    """

    def __init__(self, panel: Panel, target: str, prices: tuple[str, ...]) -> None:
        self._panel = panel
        self._target = panel.column_index("targets", target)
        self._prices = [panel.column_index("prices", name) for name in prices]
        advise_random(panel.returns)
        advise_random(panel.adjustment)
        advise_random(panel.time_index)
        if prices:
            advise_random(panel.prices)

    def dates(self, rows: Int64) -> Int32:
        """int32 [n]; calendar index of each row."""
        return np.take(self._panel.time_index, rows)

    def forward_returns(self, rows: Int64) -> Float64:
        """float64 [n]; NaN where the target is not defined."""
        returns: Float64 = self._panel.returns[rows, self._target]
        return returns

    def price_columns(self, rows: Int64) -> list[Float64]:
        """float64 [n] per price column, unadjusted; NaN where missing."""
        if not self._prices:
            return []
        # Row-wise first: one visit of a row's page serves all its columns.
        block = np.take(self._panel.prices, rows, axis=0)
        return [block[:, column] for column in self._prices]

    def adjustments(self, rows: Int64) -> Float64:
        """float64 [n]; product of all scale breaks up to and including each row."""
        return np.take(self._panel.adjustment, rows)
