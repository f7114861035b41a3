"""Find expressions that look ahead, or at other entities: what is taken away must not move what remains."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from seawall.arrays import Bool, Float64, Int64

Evaluate = Callable[[pa.Table], Float64]
"""Evaluate all expressions over a table whose first column counts its rows."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The first value that moved: which expression, at which row, and what had been taken away."""

    column: int
    row: int
    fault: str
    removed: str


def find_moved(table: pa.Table, starts: Int64, full: Float64, evaluate: Evaluate) -> Moved | None:
    """Evaluate again without the later two fifths of every entity and without every other entity.

    Parameters
    ----------
    starts
        int64 [e + 1], first row of each entity and the end.
    full
        float64 [n, expressions], the values over the whole table.

    Returns
    -------
    Moved or None
        The first value of the remaining rows that differs by more than rounding.
    """
    lengths = np.diff(starts)
    place = np.arange(len(full)) - np.repeat(starts[:-1], lengths)
    is_past = place < np.repeat(np.maximum(1, lengths * 3 // 5), lengths)
    is_even = np.repeat(np.arange(len(lengths)) % 2 == 0, lengths)
    if _first_moved(table, is_past & is_even, full, evaluate) is None:
        return None
    for kept, fault, removed in (
        (is_past, "the expression looks ahead", "later rows are removed"),
        (is_even, "the expression reads other entities", "other entities are removed"),
        (is_past & is_even, "the expression looks ahead and at other entities", "both are removed"),
    ):
        moved = _first_moved(table, kept, full, evaluate)
        if moved is not None:
            return Moved(*moved, fault, removed)
    return None


def _first_moved(table: pa.Table, kept: Bool, full: Float64, evaluate: Evaluate) -> tuple[int, int] | None:
    rows = np.flatnonzero(kept)
    fewer = table.take(pa.array(rows)).set_column(0, "__id", pa.array(np.arange(len(rows))))
    moved = ~np.isclose(evaluate(fewer), full[rows], rtol=1e-9, atol=0.0, equal_nan=True)
    if not moved.any():
        return None
    column = int(np.argmax(moved.any(axis=0)))
    return column, int(rows[np.argmax(moved[:, column])])
