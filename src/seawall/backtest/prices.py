"""Prices date by date from a store that lies entity by entity: read in slabs of dates, each in file order."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.stores.npy import advise_random
from seawall.stores.panel import Panel

GATHER_ROWS = 8192
"""Rows gathered at a time: bounds the copy that holds all price columns, too long a loop costs more than it saves."""


@dataclass(frozen=True, slots=True)
class DatePrices:
    """One date's rows, in the order of entities; NaN where a price is missing or not above zero."""

    date: int
    """Calendar index."""

    rows: Int64
    fill: Float64
    """Trade price as quoted (unadjusted)."""

    adjustment: Float64
    trade: Float64
    """Trade price, adjusted."""

    mark: Float64
    """Mark price, adjusted; the trade price stands in where the mark price is missing."""


class PriceReader:
    """Give the prices of consecutive dates.

    A date's rows are spread over the whole file, one page each. Read date by date under a tight limit, every page would
    be fetched again for each of the hundred dates it holds. So a slab of dates is gathered at once with its rows in
    file order, which touches each page once per slab, and the mapping is marked random, because the kernel's read-ahead
    would fetch many pages to use one. Memory is ``slab_rows`` rows, or the largest date.
    """

    def __init__(self, panel: Panel, *, trade_price: str, mark_price: str, slab_rows: int) -> None:
        self._panel = panel
        self._columns = [panel.column_index("prices", name) for name in (trade_price, mark_price)]
        self._slab_rows = self._planned_rows = slab_rows
        advise_random(panel.prices)
        advise_random(panel.adjustment)

    def shrink(self, num_requests: int) -> None:
        """Halve the slabs from the next one on, once for each time the stage was asked to shrink."""
        self._slab_rows = max(1, self._planned_rows >> num_requests)

    def dates(self, span: range) -> Iterator[DatePrices]:
        """Read a range of calendar indexes."""
        bounds = self._panel.time_offsets
        start = span.start
        while start < span.stop:
            fitting = int(np.searchsorted(bounds, bounds[start] + self._slab_rows, side="right")) - 1
            stop = min(max(fitting, start + 1), span.stop)
            yield from self._slab(start, stop)
            start = stop

    def _slab(self, start: int, stop: int) -> Iterator[DatePrices]:
        bounds = self._panel.time_offsets[start : stop + 1]
        rows = np.array(self._panel.by_time[bounds[0] : bounds[-1]])
        values = self._gather(rows)
        fill, mark, adjustment = values
        with np.errstate(divide="ignore", invalid="ignore"):
            trade = positive(fill / adjustment)
            mark = positive(np.divide(mark, adjustment, out=mark))
        np.copyto(mark, trade, where=np.isnan(mark))
        for date, low, high in zip(
            range(start, stop), (bounds[:-1] - bounds[0]).tolist(), (bounds[1:] - bounds[0]).tolist(), strict=True
        ):
            part = slice(low, high)
            yield DatePrices(date, rows[part], fill[part], adjustment[part], trade[part], mark[part])

    def _gather(self, rows: Int64) -> tuple[Float64, Float64, Float64]:
        order = np.argsort(rows, kind="stable")
        fill, mark, adjustment = (np.empty(len(rows)) for _ in range(3))
        for start in range(0, len(rows), GATHER_ROWS):
            places = order[start : start + GATHER_ROWS]
            block = self._panel.prices[rows[places]]
            fill[places] = block[:, self._columns[0]]
            mark[places] = block[:, self._columns[1]]
            adjustment[places] = self._panel.adjustment[rows[places]]
        return fill, mark, adjustment


def positive(prices: Float64) -> Float64:
    """Set every price that is not a finite number above zero to NaN, in place."""
    prices[~((prices > 0) & (prices < np.inf))] = np.nan
    return prices
