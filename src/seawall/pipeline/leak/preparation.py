"""Marks that preparation outside has left: scaled, ranked or filled with the whole history of a column."""

import numpy as np

from seawall.arrays import Float64
from seawall.budget.heartbeat import Beat
from seawall.pipeline.leak.verdict import Check, judged
from seawall.stores.panel import Panel
from seawall.train.config import TrainConfig

BLOCK_ROWS = 65_536

EXACT = 2e-6
"""A mean this near to 0 beside a spread this near to 1 does not happen: float32 keeps 7 digits."""

ENTITY_SHARE = 0.9
"""Entities that must show a mark."""

MIN_ROWS = 30
"""Rows an entity needs to show one."""

LEADING_ROWS = 5
"""Equal first rows that no column with changing values has: they were filled from the first real one."""


class _Sums:
    """Sums of one pass over whole entities, per feature."""

    def __init__(self, num_features: int) -> None:
        self.count, self.total, self.squares = np.zeros((3, num_features))
        self.num_entities = np.zeros(num_features)
        self.num_scaled, self.num_ranked, self.num_filled, self.num_leading = np.zeros((4, num_features))

    def add(self, values_NF: Float64) -> None:
        """Take in the rows of one entity, in order of time."""
        finite = np.isfinite(values_NF)
        filled = np.where(finite, values_NF, 0.0)
        count = finite.sum(axis=0)
        self.count += count
        self.total += filled.sum(axis=0)
        self.squares += (filled**2).sum(axis=0)
        long = count >= MIN_ROWS
        self.num_entities += long
        mean = filled.sum(axis=0) / np.maximum(count, 1)
        spread = np.sqrt((np.where(finite, values_NF - mean, 0.0) ** 2).sum(axis=0) / np.maximum(count, 1))
        corrected = spread * np.sqrt(count / np.maximum(count - 1, 1))
        is_unit = (np.abs(spread - 1) < 10 * EXACT) | (np.abs(corrected - 1) < 10 * EXACT)
        self.num_scaled += long & (np.abs(mean) < 10 * EXACT) & is_unit
        for column in np.flatnonzero(long):
            self._look(int(column), values_NF[finite[:, column], column])

    def _look(self, column: int, values: Float64) -> None:
        """Look for whole-history ranks and for a flat start."""
        ordered, steps = np.sort(values), np.arange(1, len(values) + 1)
        for places in (steps / len(values), (steps - 0.5) / len(values), (steps - 1) / (len(values) - 1), steps):
            if np.abs(ordered - places).max() < 10 * EXACT * max(1.0, places[-1]):
                self.num_ranked[column] += 1
                break
        moves = np.diff(values) != 0
        first = int(np.argmax(moves)) if moves.any() else len(moves)
        if moves[first:].mean() > 0.95 if first < len(moves) else False:
            self.num_leading[column] += 1
            self.num_filled[column] += first >= LEADING_ROWS - 1


def check_preparation(panel: Panel, config: TrainConfig, beat: Beat) -> Check:
    """Read features once, entity by entity; memory is the longest entity."""
    names = list(config.features or panel.names("features"))
    columns = [panel.column_index("features", name) for name in names]
    sums = _Sums(len(columns))
    for number in range(panel.shape.num_entities):
        start, stop = int(panel.offsets[number]), int(panel.offsets[number + 1])
        sums.add(np.array(panel.features[start:stop], np.float64)[:, columns])
        beat("marks of preparation", number + 1, panel.shape.num_entities)
    leaks: list[str] = []
    checks: list[str] = []
    by_date = _scaled_by_date(panel, columns)
    for place, name in enumerate(names):
        if _is_scaled(sums, place) and not by_date[place]:
            leaks.append(f"feature {name}: mean 0 and deviation 1 over all rows to six digits: scaled with its future")
        many = max(sums.num_entities[place] * ENTITY_SHARE, 1)
        if sums.num_scaled[place] >= many:
            leaks.append(f"feature {name}: mean 0 and deviation 1 over each entity's whole history")
        if sums.num_ranked[place] >= many:
            leaks.append(f"feature {name}: ranks within each entity's whole history")
        if sums.num_filled[place] > 0.5 * max(sums.num_leading[place], 1) and sums.num_filled[place] >= 3:
            checks.append(f"feature {name}: {LEADING_ROWS} or more equal first rows, then it moves: back-filled")
    return judged("preparation", "no mark of scaling, ranking or filling over all history", leaks=leaks, checks=checks)


def _is_scaled(sums: _Sums, place: int) -> bool:
    count = sums.count[place]
    if count < MIN_ROWS:
        return False
    mean = sums.total[place] / count
    spread = np.sqrt(max(sums.squares[place] / count - mean**2, 0.0))
    corrected = spread * np.sqrt(count / (count - 1))
    return bool(abs(mean) < EXACT and min(abs(spread - 1), abs(corrected - 1)) < EXACT)


def _scaled_by_date(panel: Panel, columns: list[int]) -> list[bool]:
    """Tell which features have mean 0 on single dates: those are compared with their own date only."""
    dates = np.unique(np.linspace(0, panel.shape.num_dates - 1, 12).astype(int))
    largest = np.zeros(len(columns))
    for date in dates.tolist():
        rows = np.asarray(panel.by_time[int(panel.time_offsets[date]) : int(panel.time_offsets[date + 1])])
        values = np.array(panel.features[rows][:, columns], np.float64)
        finite = np.isfinite(values)
        means = np.where(finite, values, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
        largest = np.maximum(largest, np.abs(means))
    return [bool(value < 1e-4) for value in largest]
