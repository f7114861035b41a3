"""Finer bars for ambiguous ones: which came first inside a bar that held both the stop and the take-profit.

Only the order is taken from them; fills stay at the levels. The first finer bar that reaches a level decides; where one
finer bar holds both, or none is there, the trade stays ambiguous.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seawall.arrays import Float64, Int64
from seawall.search.bars import Bars

UNKNOWN = 65_535
"""Place of a level that is not reached in the finer bars, or was not looked for."""

Keys: TypeAlias = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Detail:
    """Finer bars beside those that entries are on. Arrays may be mapped files: only ambiguous bars are read."""

    bars: Bars
    entity: Int64
    """Number in ``bars`` of each entity, -1 where it has no finer bars."""

    @classmethod
    def of(cls, coarse: Bars, finer: Bars) -> "Detail":
        """Match entities by name."""
        numbers = {name: number for number, name in enumerate(finer.entities)}
        return cls(finer, np.array([numbers.get(name, -1) for name in coarse.entities], np.int64))

    def inside(self, coarse: Bars, row: int) -> slice:
        """Give the rows of the finer bars that open inside one bar; may be empty."""
        entity = int(self.entity[int(coarse.entity_of(np.array([row]))[0])])
        if entity < 0:
            return slice(0, 0)
        start, stop = int(self.bars.offsets[entity]), int(self.bars.offsets[entity + 1])
        opened = int(coarse.time[row])
        first, last = np.searchsorted(self.bars.time[start:stop], (opened, opened + coarse.period)).tolist()
        return slice(start + first, start + last)


@dataclass(frozen=True, slots=True, eq=False)
class Finer:
    """Place of the finer bar, inside its bar, at which each level is first reached [A, S or R, N]."""

    take_profit: Keys
    stop: Keys
    trail: Keys

    @classmethod
    def unknown(cls, num_levels: Sequence[int], num_entries: int) -> "Finer":
        """Begin with nothing looked for."""
        return cls(*(np.full((number, num_entries), UNKNOWN, np.uint16) for number in num_levels[:3]))

    def take(self, places: Int64) -> "Finer":
        """Give those of some entries."""
        return Finer(*(np.ascontiguousarray(getattr(self, name)[:, places]) for name in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """Keys of one kind of level [L, n] and the prices, times the side, that hit it [L, n]."""

    keys: Keys
    prices: Float64
    found: Keys
    """Written to: places of the finer bars [L, n]."""


def look_inside(detail: Detail, coarse: Bars, rows: Int64, side: float, target: Hits, stops: Sequence[Hits]) -> None:
    """Find the finer bar of every hit in a bar that holds both a stop and a take-profit of its entry.

    Reads no bar after the one looked into. Time grows with the number of such (entry, bar) pairs.
    """
    num_bars = 1 + UNKNOWN // 4
    of_target = _pairs(target.keys, 2, num_bars)
    of_stops = np.concatenate([_pairs(hits.keys, 1, num_bars) for hits in stops])
    for pair in np.intersect1d(of_target, of_stops).tolist():
        entry, held = divmod(pair, num_bars)
        inside = detail.inside(coarse, int(rows[entry]) + held)
        if inside.stop == inside.start:
            continue
        good, bad = (detail.bars.high, detail.bars.low) if side > 0 else (detail.bars.low, detail.bars.high)
        risen = np.maximum.accumulate(side * np.asarray(good[inside]))
        fallen = np.maximum.accumulate(-side * np.asarray(bad[inside]))
        _note(target, entry, 4 * held + 2, risen, 1.0)
        for hits in stops:
            _note(hits, entry, 4 * held + 1, fallen, -1.0)


def _pairs(keys: Keys, phase: int, num_bars: int) -> Int64:
    """Give a number for each pair of entry and bar with a hit in one phase, each once."""
    levels, entries = np.nonzero(keys % 4 == phase)
    return np.unique(entries * num_bars + keys[levels, entries] // 4)


def _note(hits: Hits, entry: int, key: int, running: Float64, sign: float) -> None:
    levels = np.flatnonzero(hits.keys[:, entry] == key)
    places = running.searchsorted(sign * hits.prices[levels, entry])
    hits.found[levels, entry] = np.where(places < len(running), np.minimum(places, UNKNOWN - 1), UNKNOWN)
