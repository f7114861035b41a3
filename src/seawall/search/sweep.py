"""Sums of every combination over a chunk of entries, from the tables: O(1) for each trade, nothing kept of it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seawall.arrays import Float64, Int64
from seawall.search.detail import Keys
from seawall.search.first_hit import Tables
from seawall.search.levels import ExitLevels
from seawall.search.resolve import stop_pair, stop_place

STATISTICS = ("squares", "wins", "captured", "realised", "optimistic_gain", "ambiguous")
"""Columns of ``statistics``, summed over entries: squared net returns; net > 0; opportunities captured; net of
opportunities; what the optimistic reading adds; trades with stop and take-profit inside the exit bar."""


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """Sums of a run of combinations: net returns by block of time [C, B], and ``STATISTICS`` [C, V]."""

    blocks: Float64
    statistics: Float64

    @classmethod
    def zeros(cls, num_combinations: int, num_blocks: int) -> "Sums":
        """Start with nothing."""
        return cls(np.zeros((num_combinations, num_blocks)), np.zeros((num_combinations, len(STATISTICS))))


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """What the sums need to know of a chunk of entries [N], beside its tables."""

    blocks: Int64
    """Block of each entry; ascending, as entries are in order of time."""
    hurdle: Float64
    """Net return above which an opportunity is captured; infinite where the entry is none."""
    is_opportunity: Float64
    """1.0 or 0.0."""
    weights: Float64 | None = None
    """How many entries of the full set each stands for, where they are a sample; None: itself alone."""


def add(tables: Tables, levels: ExitLevels, chunk: Chunk, sums: Sums) -> None:
    """Add a chunk to the sums of every combination of the levels.

    Exact: the same trades as the plain loop, added in a fixed order. Memory: a few times holdings x entries x 8 B.
    """
    num_holds = len(levels.holding)
    starts = np.flatnonzero(np.diff(chunk.blocks, prepend=-1))
    inner = _Inner(tables, chunk, starts, chunk.blocks[starts], num_holds)
    num_tp, num_stops, num_trails, _ = levels.shape
    for s in range(num_stops):
        for r in range(num_trails):
            stop = Stop(*stop_pair(tables, s, r), stop_place(tables, tables.finer, s, r) if tables.finer else None)
            for a in range(num_tp):
                first = ((a * num_stops + s) * num_trails + r) * num_holds
                inner.add(a, stop, sums, slice(first, first + num_holds))


@dataclass(frozen=True, slots=True, eq=False)
class Stop:
    """A stop-loss and a trail joined [N]: key, net return, and the finer bar where there are finer bars."""

    key: Keys
    net: Float64
    place: Keys | None


class _Inner:
    """All holdings of one take-profit and stop at once, in buffers that are used again."""

    def __init__(self, tables: Tables, chunk: Chunk, starts: Int64, blocks: Int64, num_holds: int) -> None:
        self.tables, self.chunk, self.starts, self.num_holds = tables, chunk, starts, num_holds
        self.blocks = _as_slice(blocks)
        shape = tables.time.shape
        self.is_time, self.net, self.flag = np.empty(shape, bool), np.empty(shape), np.empty(shape, bool)

    def add(self, take_profit: int, stop: Stop, sums: Sums, place: slice) -> None:
        """Add the trades of one take-profit and stop, for every holding."""
        tables, chunk, net = self.tables, self.chunk, self.net
        target, target_net = tables.take_profit[take_profit], tables.take_profit_net[take_profit]
        np.less_equal(tables.time, np.minimum(stop.key, target), out=self.is_time)
        first_net = np.where(stop.key <= target, stop.net, target_net)
        both = np.flatnonzero(target == stop.key + np.uint16(1))
        both = both[stop.key[both] % 4 == 1]
        if len(both) and tables.finer is not None and stop.place is not None:
            touched, stopped = tables.finer.take_profit[take_profit][both], stop.place[both]
            told = both[touched < stopped]
            first_net[told] = target_net[told]
            both = both[touched == stopped]
        net[:] = first_net
        np.copyto(net, tables.time_net, where=self.is_time)
        counted = net if chunk.weights is None else net * chunk.weights
        sums.blocks[place, self.blocks] += np.add.reduceat(counted, self.starts, axis=1)
        into = sums.statistics[place]
        into[:, 0] += np.einsum("hn,hn->h", net, net)
        into[:, 1] += _counts(np.greater(net, 0.0, out=self.flag))
        into[:, 2] += _counts(np.greater(net, chunk.hurdle, out=self.flag))
        into[:, 3] += net @ chunk.is_opportunity
        if len(both):
            is_hit = ~self.is_time[:, both]
            into[:, 4] += is_hit @ (target_net[both] - stop.net[both])
            into[:, 5] += is_hit.sum(axis=1)


def _counts(flags: npt.NDArray[np.bool_]) -> list[int]:
    return [int(np.count_nonzero(row)) for row in flags]


def _as_slice(blocks: Int64) -> slice | Int64:
    """Give a run of neighbours as a slice: adding into a view is several times faster than into scattered columns."""
    if len(blocks) and blocks[-1] - blocks[0] == len(blocks) - 1:
        return slice(int(blocks[0]), int(blocks[-1]) + 1)
    return blocks
