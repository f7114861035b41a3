"""What is known of every entity on the current date: the last mark, the trade price, and how old the last price is."""

import numpy as np

from seawall.arrays import Bool, Float64, Int32, Int64
from seawall.backtest.prices import DatePrices

LIMIT_TOLERANCE = 1e-9
"""A price written to the cent stands at its limit where the move is within rounding of it."""


class Market:
    """Dense per-entity state of one date, shared by all strategies. Memory is O(entities).

    After :meth:`advance`, ``previous_E`` holds the marks before this date, ``at_E`` the prices at the moment of
    trading (the trade price where an entity is tradable, else the previous mark) and ``mark_E`` the marks of this date
    (the last known where the date has none). All three are adjusted prices, NaN for entities that never had one.

    Parameters
    ----------
    limit_E
        Daily limit of each entity as a fraction of its last mark; None where there is none.
    blocks_both
        Whether a price at either limit stops buys and sells alike, not only the side nobody takes.
    """

    def __init__(self, num_entities: int, limit_E: Float64 | None = None, *, blocks_both: bool = False) -> None:
        self.date = -1
        self._limit_E, self._blocks_both = limit_E, blocks_both
        self.previous_E: Float64 = np.full(num_entities, np.nan)
        self.at_E: Float64 = np.full(num_entities, np.nan)
        self.mark_E: Float64 = np.full(num_entities, np.nan)
        self.tradable_E: Bool = np.zeros(num_entities, bool)
        self.marked_E: Bool = np.zeros(num_entities, bool)
        """Whether this date has a mark of its own."""
        self.fill_E: Float64 = np.full(num_entities, np.nan)
        """Unadjusted trade price; only meaningful where tradable."""
        self.adjustment_E: Float64 = np.ones(num_entities)
        self.last_priced_E: Int32 = np.full(num_entities, -1, np.int32)
        """Calendar index of the last date with a price."""
        self.dividend_E: Float64 | None = None
        """Cash of this date for one adjusted unit held over the date before; None where none is declared."""
        self.volume_E: Float64 | None = None
        """What the market traded on this date, in money at the trade price; None where it is not declared."""

    def advance(self, prices: DatePrices, entities: Int64) -> None:
        """Move to the next date; ``entities`` are the entity numbers of its rows."""
        self.date = prices.date
        np.copyto(self.previous_E, self.mark_E)
        np.copyto(self.at_E, self.mark_E)
        self.tradable_E.fill(False)
        self.marked_E.fill(False)
        tradable = np.isfinite(prices.trade)
        traders = entities[tradable]
        self.at_E[traders] = prices.trade[tradable]
        self.tradable_E[traders] = True
        self.fill_E[traders] = prices.fill[tradable]
        self.adjustment_E[entities] = prices.adjustment
        marked = np.isfinite(prices.mark)
        self.mark_E[entities[marked]] = prices.mark[marked]
        self.marked_E[entities[marked]] = True
        self.last_priced_E[entities[marked]] = prices.date
        self.dividend_E = self._spread(prices.dividend, entities)
        self.volume_E = self._spread(prices.volume, entities)

    def _spread(self, values: Float64 | None, entities: Int64) -> Float64 | None:
        """Lay a column of the date out by entity, 0 where it has nothing."""
        if values is None:
            return None
        spread = np.zeros(len(self.mark_E))
        spread[entities] = np.where(values > 0, values, 0.0)
        return spread

    def open_to(self, names: Int64, change: Float64) -> Bool:
        """Tell which names can be traded in the direction of a change: priced today, and not stopped by a limit."""
        tradable = self.tradable_E[names]
        if self._limit_E is None:
            return tradable
        with np.errstate(invalid="ignore"):
            move = self.at_E[names] / self.previous_E[names] - 1.0
        limit = self._limit_E[names] - LIMIT_TOLERANCE
        up, down = move >= limit, move <= -limit
        if self._blocks_both:
            return tradable & ~(up | down)
        return tradable & ~(up & (change > 0)) & ~(down & (change < 0))
