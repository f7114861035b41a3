"""Buy and hold of the entities that were entered: what the tests do not ask about, shown beside them. Without costs."""

from dataclasses import dataclass

import numpy as np

from seawall.arrays import Float64, Int64
from seawall.search.bars import Bars
from seawall.search.evaluate import CHUNK_ENTRIES, Evaluator, Part


@dataclass(frozen=True, slots=True)
class Held:
    """Equal parts of some entities held long over a span, nothing done in between."""

    total_return: float
    return_per_bar: float
    """Mean over entities of total return by bars of the span."""

    def record(self, mean_bars_held: float | None) -> dict[str, float | None]:
        """Give it as plain JSON values, with what a holding as long as the mean trade made."""
        per_trade = None if mean_bars_held is None else self.return_per_bar * (mean_bars_held + 1)
        return {"total_return": self.total_return, "return_per_mean_trade": per_trade}


def entities_of(evaluator: Evaluator, part: Part) -> Int64:
    """List the entities with entries in a part."""
    rows = evaluator.entries.rows
    seen = np.zeros(len(evaluator.bars.entities), bool)
    for start in range(part.start, part.stop, CHUNK_ENTRIES):
        seen[evaluator.bars.entity_of(np.asarray(rows[start : min(start + CHUNK_ENTRIES, part.stop)]))] = True
    return np.flatnonzero(seen)


def hold(bars: Bars, entities: Int64, start: int, stop: int) -> Held:
    """Hold equal parts from the first open at or after ``start`` to the last close not after ``stop``.

    An entity without bars in the span counts as money that is kept.
    """
    totals, per_bar = [0.0], [0.0]
    for entity in entities.tolist():
        first, last = _rows(bars, entity, start, np.array([stop]))
        if last[0] < first:
            continue
        total = float(bars.close[last[0]] / bars.open[first]) - 1.0
        totals.append(total)
        per_bar.append(total / (int(last[0]) - first + 1))
    num_entities = max(1, len(entities))
    return Held(sum(totals) / num_entities, sum(per_bar) / num_entities)


def wealth(bars: Bars, entities: Int64, times: Int64) -> Float64:
    """Give the wealth [T] at each time of equal parts bought at the first open at or after the first time; 1 before."""
    total = np.zeros(len(times))
    for entity in entities.tolist():
        first, last = _rows(bars, entity, int(times[0]), times)
        held = last >= first
        own = np.ones(len(times))
        own[held] = np.asarray(bars.close[last[held]]) / float(bars.open[first]) if held.any() else 1.0
        total += own
    return total / max(1, len(entities))


def _rows(bars: Bars, entity: int, start: int, times: Int64) -> tuple[int, Int64]:
    """Give the first row from ``start`` on, and the last row closed at each time; that is below the first for none."""
    begin, end = int(bars.offsets[entity]), int(bars.offsets[entity + 1])
    own = bars.time[begin:end]
    first = begin + int(np.searchsorted(own, start))
    last = begin + np.searchsorted(own, times - bars.period, side="right") - 1
    return first, np.asarray(last)
