"""First-hit tables: for each entry and level, when it is first hit and what that nets. A combination then costs O(1).

A key is ``4 x bars held + phase``, phase 0 at the open (a gap), 1 at the stop, 2 at the take-profit, 3 at the close:
the smaller key is first. Prices are multiplied by the side, so that up is always good; with +1 and -1 this is exact.

Axes: N entries of a chunk, A take-profits, S stops, R trails, H holdings, W bars of the longest holding.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seawall.arrays import Bool, Float64, Int64
from seawall.search.bars import Bars
from seawall.search.costs import Costs, net_return
from seawall.search.detail import Detail, Finer, Hits, Keys, look_inside
from seawall.search.levels import OFF, ExitLevels

NEVER = 65_535
WINDOW_ELEMENTS = 65_536
"""Bars looked at together: about 50 bytes each in all temporaries."""


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """First hits of every level [A, S, R or H, N] and their net returns."""

    take_profit: Keys
    take_profit_net: Float64
    stop: Keys
    stop_net: Float64
    trail: Keys
    trail_net: Float64
    time: Keys
    time_net: Float64
    ideal: Float64
    """Net return of the best possible exit within the longest holding: hindsight, a denominator only."""
    finer: Finer | None = None
    """Order inside ambiguous bars, where finer bars are given."""

    def take(self, places: Int64) -> "Tables":
        """Give the tables of some entries."""
        names = [name for name in self.__slots__ if name != "finer"]
        parts: dict[str, Any] = {name: np.ascontiguousarray(getattr(self, name)[..., places]) for name in names}
        return Tables(**parts, finer=None if self.finer is None else self.finer.take(places))


def build(
    bars: Bars, rows: Int64, sides: npt.NDArray[np.int8], levels: ExitLevels, costs: Costs, longest: int = 0,
    detail: Detail | None = None,
) -> Tables:  # fmt: skip
    """Walk each entry once and note when each level is first hit.

    Memory: 10 bytes per level and entry, and ``WINDOW_ELEMENTS`` bars at a time. Reads bars from an entry to the end of
    the longest holding; what a combination makes of the tables does not depend on bars after its exit.

    Parameters
    ----------
    rows
        int64 [N] rows of the entry bars; the data must reach to the end of the longest holding.
    sides
        int8 [N], 1 or -1.
    longest
        The best possible exit is looked for within so many periods, or the longest holding of the levels.
    detail
        Finer bars that tell what came first inside ambiguous bars.
    """
    tables = _empty(len(rows), levels, None if detail is None else Finer.unknown(levels.shape, len(rows)))
    window = max(int(levels.holding[-1]), longest)
    step = max(1, WINDOW_ELEMENTS // window)
    for side in (1, -1):
        places = np.flatnonzero(sides == side)
        for start in range(0, len(places), step):
            part = places[start : start + step]
            walk = _Walk(bars, rows[part], float(side), levels, costs, window)
            walk.fill(tables, part)
            if detail is not None and tables.finer is not None:
                walk.look_inside(detail, tables, tables.finer, part)
    return tables


def _empty(num_entries: int, levels: ExitLevels, finer: Finer | None) -> Tables:
    keys = [np.full((num_levels, num_entries), NEVER, np.uint16) for num_levels in levels.shape]
    nets = [np.zeros((num_levels, num_entries)) for num_levels in levels.shape]
    ideal = np.zeros(num_entries)
    return Tables(keys[0], nets[0], keys[1], nets[1], keys[2], nets[2], keys[3], nets[3], ideal, finer)


class _Walk:
    """A few entries of one side, with the bars after them [n, W]."""

    def __init__(self, bars: Bars, rows: Int64, side: float, levels: ExitLevels, costs: Costs, window: int) -> None:
        self.bars, self.rows, self.side, self.levels, self.costs = bars, rows, side, levels, costs
        self.window = window
        self.price = np.asarray(bars.open[rows]) * (1.0 + side * costs.entry_slippage)
        self.signed_price = side * self.price
        self.funding = np.asarray(bars.funding[rows])
        places = rows[:, None] + np.arange(self.window)
        np.minimum(places, bars.num_bars - 1, out=places)
        good, bad = (bars.high, bars.low) if side > 0 else (bars.low, bars.high)
        self.adverse = np.take(bad, places)
        self.peak_to = np.take(good, places)
        if side < 0:
            np.negative(self.adverse, out=self.adverse)
            np.negative(self.peak_to, out=self.peak_to)
        np.maximum.accumulate(self.peak_to, axis=1, out=self.peak_to)
        num_target, num_stop, num_trail, _ = levels.shape
        # Prices that hit the levels, times the side: up is good.
        self.touched = np.empty((num_target, len(rows)))
        self.stopped = np.empty((num_stop, len(rows)))
        self.trailed = np.empty((num_trail, len(rows)))

    def fill(self, tables: Tables, part: Int64) -> None:
        """Write the columns of these entries."""
        self._take_profit(tables, part)
        self._stop(tables, part)
        self._trail(tables, part)
        self._time(tables, part)
        self._ideal(tables, part)

    def look_inside(self, detail: Detail, tables: Tables, finer: Finer, part: Int64) -> None:
        """Write which finer bar of an ambiguous bar reached each level."""
        parts = [
            Hits(keys[:, part], prices, found[:, part])
            for keys, prices, found in (
                (tables.take_profit, self.touched, finer.take_profit),
                (tables.stop, self.stopped, finer.stop),
                (tables.trail, self.trailed, finer.trail),
            )
        ]
        look_inside(detail, self.bars, self.rows, self.side, parts[0], parts[1:])
        for whole, hits in zip((finer.take_profit, finer.stop, finer.trail), parts, strict=True):
            whole[:, part] = hits.found

    def _net(self, held_NL: Int64, exit_NL: Float64, cost: float) -> Float64:
        rows = np.minimum(self.rows[:, None] + held_NL, self.bars.num_bars - 1)
        funding = self.bars.funding[rows] - self.funding[:, None]
        return np.asarray(net_return(self.side, exit_NL, self.price[:, None], cost, funding))

    def _open(self, held_NL: Int64) -> Float64:
        return np.asarray(self.bars.open[np.minimum(self.rows[:, None] + held_NL, self.bars.num_bars - 1)])

    def _keys(self, held_NL: Int64, gap_NL: Bool, phase: int) -> Keys:
        keys = np.where(held_NL < self.window, 4 * held_NL + np.where(gap_NL, 0, phase), NEVER)
        return np.asarray(keys, np.uint16)

    def _take_profit(self, tables: Tables, part: Int64) -> None:
        levels, side, extra = self.levels.take_profit, self.side, self.costs.penetration
        target = self.price[:, None] * (1.0 + side * levels)
        touch = self.price[:, None] * (1.0 + side * (levels + extra))
        self.touched[:] = (side * touch).T
        held = _first_reach(self.peak_to, side * touch)
        if extra > 0:
            held = np.minimum(held, self._open_beyond(side * target))
        opened = self._open(held)
        gap = (held > 0) & (side * opened >= side * target)
        fill = np.where(gap, opened, target) if self.costs.fills_gap_at_open else target
        tables.take_profit[:, part] = self._keys(held, gap, 2).T
        tables.take_profit_net[:, part] = _finite(self._net(held, fill, self.costs.take_profit), fill).T

    def _open_beyond(self, signed_target: Float64) -> Int64:
        """First bar after the entry bar whose open is beyond the target, touched far enough or not."""
        places = np.minimum(self.rows[:, None] + np.arange(self.window), self.bars.num_bars - 1)
        opens = self.side * np.take(self.bars.open, places)
        opens[:, 0] = -np.inf
        return _first_reach(np.maximum.accumulate(opens, axis=1, out=opens), signed_target)

    def _stop(self, tables: Tables, part: Int64) -> None:
        side, distances = self.side, np.minimum(self.levels.stop_loss, self.costs.liquidation)
        stop = self.price[:, None] * (1.0 - side * distances)
        worst = np.maximum.accumulate(np.negative(self.adverse), axis=1)
        self.stopped[:] = (side * stop).T
        held = _first_reach(worst, -(side * stop))
        opened = self._open(held)
        gap = (held > 0) & (side * opened <= side * stop)
        fill = np.where(gap, opened, stop)
        tables.stop[:, part] = self._keys(held, gap, 1).T
        tables.stop_net[:, part] = _finite(self._net(held, fill, self.costs.stop), fill).T

    def _trail(self, tables: Tables, part: Int64) -> None:
        """Find first hits from the moment each activation is armed: per distance, the next hit at or after each bar."""
        if np.all(self.levels.trail == OFF):
            return
        peak = np.empty_like(self.peak_to)
        peak[:, 0] = self.signed_price
        np.maximum(self.peak_to[:, :-1], self.signed_price[:, None], out=peak[:, 1:])
        arming = self.price[:, None] * (1.0 + self.side * self.levels.activation)
        armed = _first_reach(peak, self.side * arming)
        level, entries = np.empty_like(peak), np.arange(len(part))
        following = np.full((len(part), self.window + 1), self.window, np.int16)
        for distance in np.unique(self.levels.trail[self.levels.trail != OFF]):
            np.multiply(peak, 1.0 - self.side * distance, out=level)
            hits = np.where(self.adverse <= level, np.arange(self.window, dtype=np.int16), np.int16(self.window))
            np.minimum.accumulate(hits[:, ::-1], axis=1, out=following[:, -2::-1])
            for r in np.flatnonzero(self.levels.trail == distance):
                held = following[entries, armed[:, r]].astype(np.int64)[:, None]
                stop = self.side * level[entries, np.minimum(held[:, 0], self.window - 1)][:, None]
                self.trailed[r] = self.side * stop[:, 0]
                opened = self._open(held)
                gap = (held > 0) & (self.side * opened <= self.side * stop)
                tables.trail[r, part] = self._keys(held, gap, 1)[:, 0]
                fill = np.where(gap, opened, stop)
                tables.trail_net[r, part] = self._net(held, fill, self.costs.stop)[:, 0]

    def _time(self, tables: Tables, part: Int64) -> None:
        """Leave at the close of the last period, or at the next open there is where that bar is missing."""
        due = np.asarray(self.bars.slot[self.rows])[:, None] + self.levels.holding - 1
        held = self.bars.first_at(self.rows, due) - self.rows[:, None]
        rows = self.rows[:, None] + held
        is_there = self.bars.slot[rows] == due
        fill = np.where(is_there, self.bars.close[rows], self.bars.open[rows])
        tables.time[:, part] = (4 * held + np.where(is_there, 3, 0)).T
        tables.time_net[:, part] = self._net(held, fill, self.costs.time).T

    def _ideal(self, tables: Tables, part: Int64) -> None:
        """Net the best price from entry to the end of the window, as a take-profit there would."""
        due = np.asarray(self.bars.slot[self.rows]) + self.window - 1
        last, entries = self.bars.first_at(self.rows, due) - self.rows, np.arange(len(part))
        is_there = self.bars.slot[self.rows + last] == due
        reached = self.peak_to[entries, np.where(is_there, last, np.maximum(last - 1, 0))]
        opened = self.side * self.bars.open[self.rows + last]
        best = np.where(is_there, reached, np.maximum(reached, opened))
        ideal = self._net(last[:, None], (self.side * best)[:, None], self.costs.take_profit)
        tables.ideal[part] = ideal[:, 0]


def _first_reach(rising_NW: Float64, levels_NL: Float64) -> Int64:
    """Find the first column of each row that is at or above each level; W where none is."""
    found = np.empty(levels_NL.shape, np.int64)
    for row, wanted, place in zip(rising_NW, levels_NL, found, strict=True):
        place[:] = row.searchsorted(wanted)
    return found


def _finite(net: Float64, fill: Float64) -> Float64:
    """Give levels that are off a net return of 0: their keys are never first, but infinities would spoil sums."""
    net[~np.isfinite(fill)] = 0.0
    return net
