"""Copies of a panel with another future: every value from a date on changed, or every later row taken away."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from seawall.arrays import AnyArray, Int64
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, PanelSpec, PanelWriter
from seawall.stores.segments import ARRAYS

BLOCK_ROWS = 65_536
SLAB_BYTES = 16 * 1024 * 1024
"""Of the by-time order while it is built."""

How = Literal["changed", "removed"]


def write_copy(panel: Panel, output: Path, cut: int, how: How, *, seed: int = 0) -> Panel:
    """Write a copy of a panel whose rows at or after a calendar index are changed or removed.

    A target that is known only at or after the cut is part of the future as well: it is changed, or missing. Entities
    without a row before the cut are left out of the copy without later rows. Memory is one block of 65,536 rows, or
    the longest entity.
    """
    calendar = panel.calendar[:cut] if how == "removed" else panel.calendar
    columns = tuple(
        ColumnSpec(column["name"], column["group"], column["dtype"]) for column in panel.manifest["columns"]
    )
    spec = PanelSpec(calendar_kind=panel.calendar_kind, columns=columns, targets=panel.target_specs)
    draw = np.random.default_rng(seed)
    with PanelWriter(output, spec, calendar) as writer:
        writer.set_attributes(panel.attributes)
        for names, lengths, rows in _entity_blocks(panel, cut, how):
            writer.add_entities(names, lengths)
            writer.append_rows(_rows_of(panel, rows, cut, how, draw))
        writer.finish(sources=[], ingest={}, slab_bytes=SLAB_BYTES)
    return Panel(output)


def rows_before(panel: Panel, cut: int) -> Int64:
    """Count each entity's rows before a calendar index: int64 [E]; they are its first ones."""
    counts = np.zeros(panel.shape.num_entities, np.int64)
    for number, (start, stop) in enumerate(zip(panel.offsets[:-1], panel.offsets[1:], strict=True)):
        counts[number] = np.searchsorted(panel.time_index[int(start) : int(stop)], cut)
    return counts


def rows_in_copy(panel: Panel, copy: Panel, cut: int, rows: Int64) -> Int64:
    """Find rows from before the cut in a copy without later rows; a changed copy has them in the same places."""
    if copy.shape.num_rows == panel.shape.num_rows:
        return rows
    counts = rows_before(panel, cut)
    first_rows = np.concatenate([[0], np.cumsum(counts)])[:-1]
    entities = panel.entity_of(rows)
    moved: Int64 = first_rows[entities] + rows - panel.offsets[entities]
    return moved


def _entity_blocks(panel: Panel, cut: int, how: How) -> Iterator[tuple[list[str], list[int], Int64]]:
    """Give names, lengths and rows of whole entities, some 65,536 rows at a time."""
    counts = rows_before(panel, cut) if how == "removed" else np.diff(panel.offsets)
    names: list[str] = []
    lengths: list[int] = []
    parts: list[Int64] = []
    for number, name in enumerate(panel.entities):
        if counts[number] == 0:
            continue
        names.append(name)
        lengths.append(int(counts[number]))
        parts.append(np.arange(panel.offsets[number], panel.offsets[number] + counts[number]))
        if sum(lengths) >= BLOCK_ROWS:
            yield names, lengths, np.concatenate(parts)
            names, lengths, parts = [], [], []
    if names:
        yield names, lengths, np.concatenate(parts)


def _rows_of(panel: Panel, rows: Int64, cut: int, how: How, draw: np.random.Generator) -> dict[str, AnyArray]:
    written = {name for name, (_, group) in ARRAYS.items() if not group or panel.names(group)}
    found = {name: np.array(getattr(panel, name)[rows]) for name in written if name != "by_time"}
    late = found["target_end"] >= cut if "target_end" in found else np.empty((len(rows), 0), bool)
    if how == "removed":
        found["target_end"][late] = -1
        found["targets"][late] = np.nan
        found["returns"][late] = np.nan
        return found
    later = found["time_index"] >= cut
    for name in ("features", "prices", "values"):
        if name in found:
            _change(found[name], np.broadcast_to(later[:, None], found[name].shape), draw)
    _change(found["returns"], late, draw)
    found["targets"] = found["returns"].astype(np.float32)
    return found


def _change(values: AnyArray, where: AnyArray, draw: np.random.Generator) -> None:
    """Make values up to several times as large, and shift them; what is missing stays missing."""
    count = int(where.sum())
    values[where] = values[where] * np.exp(draw.normal(0.0, 1.0, count)) + draw.normal(0.0, 1.0, count)
