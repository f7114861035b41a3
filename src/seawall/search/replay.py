"""Portfolio replay: the same trades one after another with a capital limit, one position per entity, and compounding.

Independent trades cannot say what money would have done: entries that come while all slots are taken are lost.
"""

import heapq
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seawall.search.config import ReplayConfig
from seawall.search.evaluate import Evaluator, Part, Selection
from seawall.search.levels import Exit, ExitLevels
from seawall.search.resolve import resolve

NUM_POINTS = 400
"""Points of an equity curve: one for each equal span of time."""


@dataclass(slots=True)
class Book:
    """Money and open positions; equity moves when positions close. Memory: one entry a slot."""

    num_slots: int
    leverage: float
    equity: float = 1.0
    peak: float = 1.0
    max_drawdown: float = 0.0
    num_taken: int = 0
    num_no_slot: int = 0
    num_entity_busy: int = 0
    num_without_money: int = 0
    points: dict[int, float] = field(default_factory=dict)
    _open: list[tuple[int, int, int, float]] = field(default_factory=list)
    _busy: set[int] = field(default_factory=set)

    def enter(self, entity: int, time: int, exit_time: int, net: float, point: int) -> None:
        """Take a trade if there is money, a slot, and no position in the entity; earlier exits are settled first."""
        self.settle(time)
        if self.equity <= 0:
            self.num_without_money += 1
        elif entity in self._busy:
            self.num_entity_busy += 1
        elif len(self._open) >= self.num_slots:
            self.num_no_slot += 1
        else:
            profit = self.equity / self.num_slots * self.leverage * net
            self._busy.add(entity)
            heapq.heappush(self._open, (exit_time, self.num_taken, entity, profit))
            self.num_taken += 1
        self.points[point] = self.equity

    def settle(self, time: int) -> None:
        """Close what ended before this time: money of an exit inside a bar is free from the next bar on."""
        while self._open and self._open[0][0] < time:
            _, _, entity, profit = heapq.heappop(self._open)
            self._busy.discard(entity)
            self.equity += profit
            self.peak = max(self.peak, self.equity)
            self.max_drawdown = max(self.max_drawdown, 1 - self.equity / self.peak)

    def record(self) -> dict[str, Any]:
        """Give the result as plain JSON values."""
        return {
            "final_equity": self.equity,
            "max_drawdown": self.max_drawdown,
            "taken": self.num_taken,
            "rejected_no_slot": self.num_no_slot,
            "rejected_entity_busy": self.num_entity_busy,
            "rejected_no_money": self.num_without_money,
        }


def replay(
    evaluator: Evaluator, selection: Selection, exit_: Exit, part: Part, config: ReplayConfig, leverage: float
) -> Book:  # fmt: skip
    """Replay one combination over a part of the entries, which are in order of time.

    Each position gets ``equity / num_slots`` as margin, times the leverage; a liquidation loses what the bars say.
    Memory: one chunk, open positions, and ``NUM_POINTS`` points.
    """
    book, levels = Book(config.num_slots, leverage), ExitLevels.single(exit_)
    bars, entries = evaluator.bars, evaluator.entries
    first, last = int(entries.times[part.start]), int(entries.times[part.stop - 1])
    span = max(1, last - first)
    for _, places, _, tables in evaluator.chunks(part, selection, levels):
        if not len(places):
            continue
        trades = resolve(tables, levels, 0, evaluator.costs)
        rows, times = np.asarray(entries.rows[places]), np.asarray(entries.times[places])
        is_gap = np.isin(trades.reason, (0, 1, 2, 3, 9))
        ends = np.asarray(bars.time[rows + trades.bars_held]) + np.where(is_gap, 0, bars.period - 1)
        # As floats: nanoseconds of decades times points overflow 64 bits.
        points = ((times - first) / span * (NUM_POINTS - 1)).astype(np.int64)
        columns = (bars.entity_of(rows), times, ends, trades.net, points)
        for trade in zip(*(column.tolist() for column in columns), strict=True):
            book.enter(*trade)
    book.settle(np.iinfo(np.int64).max)
    book.points[NUM_POINTS] = book.equity
    return book
