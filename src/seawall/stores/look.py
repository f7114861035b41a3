"""A first look at a panel store: ranges, groups, missing shares, and the first rows of any entity."""

from collections.abc import Callable
from typing import Any

import numpy as np

from seawall.stores.panel import Panel
from seawall.stores.segments import ROLES

BLOCK_ROWS = 16_384
"""Rows looked at together while missing values are counted."""

GROUPS = {"features": "features", "targets": "returns", "prices": "prices", "values": "values"}
"""The array that holds each group exactly."""


def missing_shares(panel: Panel, watch: Callable[[int, int], None]) -> dict[str, dict[str, float]]:
    """Count the share of missing values of each column, by group; one pass, memory is a block of rows.

    ``watch`` is told how many rows of a group are counted, of how many.
    """
    num_rows, found = panel.shape.num_rows, {}
    for group, array in GROUPS.items():
        names = panel.names(group)
        if not names:
            continue
        missing = np.zeros(len(names), np.int64)
        for start in range(0, num_rows, BLOCK_ROWS):
            watch(start, num_rows)
            missing += np.isnan(panel.read(array, start, min(start + BLOCK_ROWS, num_rows))).sum(axis=0)
        found[group] = {name: int(count) / max(1, num_rows) for name, count in zip(names, missing, strict=True)}
    return found


def time_text(panel: Panel, index: int) -> str | int:
    """Write a calendar value the way people read it, or give the step."""
    if panel.calendar_kind == "step":
        return int(panel.calendar[index])
    return str(np.datetime_as_string(panel.times_as_datetime()[index], unit="auto"))


def segment_facts(panel: Panel) -> list[dict[str, Any]]:
    """List name, rows, entities and bytes of each segment, oldest first."""
    files = panel.manifest["files"]
    return [
        {
            "name": segment.folder.name,
            "num_rows": segment.num_rows,
            "num_entities": segment.num_entities,
            "bytes": sum(
                int(record["bytes"]) for name, record in files.items() if name.startswith(f"{segment.folder.name}/")
            ),
        }
        for segment in panel.segments
    ]


def entity_facts(panel: Panel, name: str, num_rows: int) -> dict[str, Any]:
    """Give the range of an entity and its first rows, missing values as None.

    Raises
    ------
    ConfigError
        For an unknown entity, naming the nearest known ones.
    """
    rows = panel.entity(name)
    dates = rows.time_index
    head = slice(rows.start, min(rows.stop, rows.start + num_rows))
    columns: dict[str, list[Any]] = {"time": [time_text(panel, int(date)) for date in dates[:num_rows]]}
    for group, array in GROUPS.items():
        block = panel.read(array, head.start, head.stop)
        for place, column in enumerate(panel.names(group)):
            label = column if column not in columns else f"{group}.{column}"
            columns[label] = [None if np.isnan(value) else float(value) for value in block[:, place]]
    for role in ROLES:
        if panel.names(role):
            columns[role] = np.asarray(panel.read(role, head.start, head.stop)).tolist()
    columns["adjustment"] = np.asarray(panel.adjustment[head]).tolist()
    columns["universe"] = np.asarray(panel.universe[head]).tolist()
    return {
        "entity": name,
        "num_rows": rows.stop - rows.start,
        "first_time": time_text(panel, int(dates[0])),
        "last_time": time_text(panel, int(dates[-1])),
        "num_gaps": int((np.diff(dates) > 1).sum()),
        "num_pieces": 1 if panel.layout is None else len(panel.layout.pieces(rows.start, rows.stop)),
        "head": columns,
    }
