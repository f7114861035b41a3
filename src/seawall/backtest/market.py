"""What is known of every entity on the current date: the last mark, the trade price, and how old the last price is."""

import numpy as np

from seawall.arrays import Bool, Float64, Int32, Int64
from seawall.backtest.prices import DatePrices


class Market:
    """Dense per-entity state of one date, shared by all strategies. Memory is O(entities).

    After :meth:`advance`, ``previous_E`` holds the marks before this date, ``at_E`` the prices at the moment of
    trading (the trade price where an entity is tradable, else the previous mark) and ``mark_E`` the marks of this date
    (the last known where the date has none). All three are adjusted prices, NaN for entities that never had one.
    """

    def __init__(self, num_entities: int) -> None:
        self.date = -1
        self.previous_E: Float64 = np.full(num_entities, np.nan)
        self.at_E: Float64 = np.full(num_entities, np.nan)
        self.mark_E: Float64 = np.full(num_entities, np.nan)
        self.tradable_E: Bool = np.zeros(num_entities, bool)
        self.fill_E: Float64 = np.full(num_entities, np.nan)
        """Unadjusted trade price; only meaningful where tradable."""
        self.adjustment_E: Float64 = np.ones(num_entities)
        self.last_priced_E: Int32 = np.full(num_entities, -1, np.int32)
        """Calendar index of the last date with a price."""

    def advance(self, prices: DatePrices, entities: Int64) -> None:
        """Move to the next date; ``entities`` are the entity numbers of its rows."""
        self.date = prices.date
        np.copyto(self.previous_E, self.mark_E)
        np.copyto(self.at_E, self.mark_E)
        self.tradable_E.fill(False)
        tradable = np.isfinite(prices.trade)
        traders = entities[tradable]
        self.at_E[traders] = prices.trade[tradable]
        self.tradable_E[traders] = True
        self.fill_E[traders] = prices.fill[tradable]
        self.adjustment_E[traders] = prices.adjustment[tradable]
        marked = np.isfinite(prices.mark)
        self.mark_E[entities[marked]] = prices.mark[marked]
        self.last_priced_E[entities[marked]] = prices.date
