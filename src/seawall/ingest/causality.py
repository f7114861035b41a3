"""Find expressions that look ahead, or at other entities: what is taken away must not move what remains."""

from collections.abc import Callable, Sequence
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
    """Evaluate again with only the first part of some entities, then with a shorter part of the others.

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
    is_even = np.repeat(np.arange(len(starts) - 1) % 2 == 0, np.diff(starts))
    others = ~is_even if len(starts) > 2 else is_even
    for entities, share in ((is_even, 0.6), (others, 0.25)):
        is_past = _is_past(starts, share)
        if _first_moved(table, entities & is_past, full, evaluate) is None:
            continue
        for kept, fault, removed in (
            (entities, "the expression reads other entities", "other entities are removed"),
            (is_past, "the expression looks ahead", "later rows are removed"),
            (entities & is_past, "the expression looks ahead and at other entities", "both are removed"),
        ):
            moved = _first_moved(table, kept, full, evaluate)
            if moved is not None:
                return Moved(*moved, fault, removed)
    return None


def find_late(table: pa.Table, starts: Int64, full: Float64, ends: Sequence[int], evaluate: Evaluate) -> Moved | None:
    """Evaluate targets again without later rows: what is known by then, as each declares, must not move.

    Parameters
    ----------
    ends
        Rows after which each target is known.

    Returns
    -------
    Moved or None
        The first value that depends on a row after its declared end.
    """
    lengths = np.diff(starts)
    place = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    for share in (0.6, 0.3):
        kept = _is_past(starts, share)
        left = np.repeat(np.add.reduceat(kept.astype(np.int64), starts[:-1]), lengths)
        rows = np.flatnonzero(kept)
        again = evaluate(table.take(pa.array(rows)).set_column(0, "__id", pa.array(np.arange(len(rows)))))
        for column, periods in enumerate(ends):
            is_known = (place + periods < left)[rows]
            moved = is_known & ~np.isclose(again[:, column], full[rows, column], rtol=1e-9, atol=0.0, equal_nan=True)
            if moved.any():
                removed = f"rows more than {periods} rows later are removed"
                return Moved(column, int(rows[np.argmax(moved)]), "the expression looks ahead", removed)
    return None


def _is_past(starts: Int64, share: float) -> Bool:
    """Mark the first share of the rows of each entity, one row at least."""
    lengths = np.diff(starts)
    place = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    return place < np.repeat(np.maximum(1, (share * lengths).astype(np.int64)), lengths)


def _first_moved(table: pa.Table, kept: Bool, full: Float64, evaluate: Evaluate) -> tuple[int, int] | None:
    rows = np.flatnonzero(kept)
    fewer = table.take(pa.array(rows)).set_column(0, "__id", pa.array(np.arange(len(rows))))
    again = evaluate(fewer)
    for column in range(full.shape[1]):
        moved = ~np.isclose(again[:, column], full[rows, column], rtol=1e-9, atol=0.0, equal_nan=True)
        if moved.any():
            return column, int(rows[np.argmax(moved)])
    return None
