"""Prices date by date from a store that lies entity by entity: read in slabs of dates, each in file order."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.backtest.config import BacktestConfig
from seawall.backtest.memory import SLAB_ROWS
from seawall.budget.environment import give_back_free_memory
from seawall.stores.npy import advise_random
from seawall.stores.panel import Panel

GATHER_ROWS = 8192
"""Rows gathered at a time: bounds the copy that holds all price columns, too long a loop costs more than it saves."""


@dataclass(frozen=True, slots=True)
class DatePrices:
    """Rows of a date, or of a slab of dates, in the order of (date, entity).

    Prices are NaN where they are missing or not above zero.
    """

    date: int
    """Calendar index, of a slab that of its first date."""

    rows: Int64
    fill: Float64
    """Trade price as quoted (unadjusted)."""

    adjustment: Float64
    """What one adjusted unit is divided by to give shares: see :class:`PriceReader`."""

    trade: Float64
    """Trade price, adjusted."""

    mark: Float64
    """Mark price, adjusted; the trade price stands in where the mark price is missing."""

    dividend: Float64 | None = None
    """Cash for one adjusted unit; None where no column is declared."""

    volume: Float64 | None = None
    """Money traded, at the trade price; None where no column is declared."""

    def of_date(self, date: int, part: slice) -> "DatePrices":
        """Copy one date out of a slab: a view would keep all of it in memory while the next one is gathered."""
        return DatePrices(
            date,
            self.rows[part].copy(),
            self.fill[part].copy(),
            self.adjustment[part].copy(),
            self.trade[part].copy(),
            self.mark[part].copy(),
            None if self.dividend is None else self.dividend[part].copy(),
            None if self.volume is None else self.volume[part].copy(),
        )


@dataclass(frozen=True, slots=True)
class PriceColumns:
    """Which columns of the panel a backtest reads."""

    trade: str
    mark: str
    dividend: str | None = None
    """None means the dividends the panel knows of, if it does."""

    volume: str | None = None
    volume_is_money: bool = False

    @classmethod
    def of(cls, config: BacktestConfig) -> "PriceColumns":
        """Read them from the config."""
        limit = config.participation
        volume, is_money = (limit.column, limit.unit == "money") if limit is not None else (None, False)
        return cls(config.trade_price, config.mark_price, config.dividend, volume, is_money)


class PriceReader:
    """Give the prices of consecutive dates.

    A date's rows are spread over the whole file, one page each. Read date by date under a tight limit, every page would
    be fetched again for each of the hundred dates it holds. So a slab of dates is gathered at once with its rows in
    file order, which touches each page once per slab, and the mapping is marked random, because the kernel's read-ahead
    would fetch many pages to use one. Memory is ``slab_rows`` rows, or the largest date, and 8 bytes an entity.

    A held share follows the panel's splits where it has them, and its adjustment is then ``1 / (all splits of the span
    so far)``: the panel's own factors may hold dividends, which would else be earned twice, once as shares and once as
    cash. Without splits it follows the panel's factors.
    """

    def __init__(self, panel: Panel, columns: PriceColumns, *, slab_rows: int) -> None:
        self._panel, self._names = panel, columns
        self._columns = [panel.column_index("prices", name) for name in (columns.trade, columns.mark)]
        more = [name for name in (columns.dividend, columns.volume) if name is not None]
        self._more = {name: _place_of(panel, name) for name in more}
        self._slab_rows = self._planned_rows = slab_rows
        self._shares_E: Float64 | None = None if panel.splits is None else np.ones(panel.shape.num_entities)
        """What a share held since the start of the span has become."""
        for group in {group for group, _ in self._more.values()}:
            advise_random(getattr(panel, group))
        for array in (panel.prices, panel.adjustment, panel.splits, panel.dividends):
            if array is not None:
                advise_random(array)

    def shrink(self, num_requests: int) -> None:
        """Halve the slabs from the next one on, once for each time the stage was asked to shrink."""
        self._slab_rows = max(1, self._planned_rows >> num_requests)

    def dates(self, span: range) -> Iterator[DatePrices]:
        """Read a range of calendar indexes."""
        bounds = self._panel.time_offsets
        start, num_read = span.start, 0
        while start < span.stop:
            fitting = int(np.searchsorted(bounds, bounds[start] + self._slab_rows, side="right")) - 1
            stop = min(max(fitting, start + 1), span.stop)
            yield from self._slab(start, stop)
            num_read += int(bounds[stop] - bounds[start])
            if num_read >= SLAB_ROWS:  # else the holes that slabs leave behind add up over a long span
                give_back_free_memory()
                num_read = 0
            start = stop

    def _slab(self, start: int, stop: int) -> Iterator[DatePrices]:
        bounds = self._panel.time_offsets[start : stop + 1]
        rows = np.array(self._panel.by_time[bounds[0] : bounds[-1]])
        order = np.argsort(rows, kind="stable")
        fill, mark = self._prices(rows, order)
        adjustment = self._adjustment(rows, order, bounds - bounds[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            trade = positive(fill / adjustment)
            mark = positive(np.divide(mark, adjustment, out=mark))
        np.copyto(mark, trade, where=np.isnan(mark))
        dividend, volume = self._dividend(rows, order, adjustment), self._volume(rows, order, fill)
        del order
        slab = DatePrices(start, rows, fill, adjustment, trade, mark, dividend, volume)
        for date, (low, high) in zip(range(start, stop), pairwise((bounds - bounds[0]).tolist()), strict=True):
            yield slab.of_date(date, slice(low, high))

    def _prices(self, rows: Int64, order: Int64) -> tuple[Float64, Float64]:
        fill, mark = np.empty(len(rows)), np.empty(len(rows))
        for start in range(0, len(rows), GATHER_ROWS):
            places = order[start : start + GATHER_ROWS]
            block = self._panel.prices[rows[places]]
            fill[places] = block[:, self._columns[0]]
            mark[places] = block[:, self._columns[1]]
        return fill, mark

    def _adjustment(self, rows: Int64, order: Int64, bounds: Int64) -> Float64:
        if self._shares_E is None or self._panel.splits is None:
            return _gathered(self._panel.adjustment, rows, order)
        shares = _gathered(self._panel.splits, rows, order)
        for low, high in pairwise(bounds.tolist()):
            entities = self._panel.entity_of(rows[low:high])
            self._shares_E[entities] *= shares[low:high]
            shares[low:high] = self._shares_E[entities]
        return np.divide(1.0, shares, out=shares)

    def _dividend(self, rows: Int64, order: Int64, adjustment: Float64) -> Float64 | None:
        if self._names.dividend is not None:
            return self._more_of(self._names.dividend, rows, order) / adjustment
        if self._panel.dividends is not None:
            return _gathered(self._panel.dividends, rows, order) / adjustment
        return None

    def _volume(self, rows: Int64, order: Int64, fill: Float64) -> Float64 | None:
        if self._names.volume is None:
            return None
        traded = self._more_of(self._names.volume, rows, order)
        return traded if self._names.volume_is_money else traded * fill

    def _more_of(self, name: str, rows: Int64, order: Int64) -> Float64:
        group, column = self._more[name]
        return _gathered(getattr(self._panel, group), rows, order, column)


def _gathered(array: Float64, rows: Int64, order: Int64, column: int | None = None) -> Float64:
    """Read one column of a mapped array in the order of the file."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), GATHER_ROWS):
        places = order[start : start + GATHER_ROWS]
        found[places] = array[rows[places]] if column is None else array[rows[places], column]
    return found


def _place_of(panel: Panel, name: str) -> tuple[str, int]:
    """Find a column among prices, else among kept source numbers."""
    group = "prices" if name in panel.names("prices") else "values"
    return group, panel.column_index(group, name)


def positive(prices: Float64) -> Float64:
    """Set every price that is not a finite number above zero to NaN, in place."""
    prices[~((prices > 0) & (prices < np.inf))] = np.nan
    return prices
