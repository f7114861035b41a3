"""The compact stage: all segments of a panel copied into one, in blocks of rows; nothing is computed anew."""

from pathlib import Path
from typing import Any

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.budget.heartbeat import Beat, silent
from seawall.ingest.memory import SLAB_BYTES
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, PanelSpec, PanelWriter
from seawall.stores.segments import ARRAYS
from seawall.stores.shape import PanelShape
from seawall.units import MIB, format_bytes

FLOOR_BYTES = 34 * MIB
"""Fresh interpreter with seawall, NumPy and pyarrow imported."""

BLOCK_BYTES = 8 * MIB
"""Rows copied at once."""

ENTITY_BYTES = 300
"""Names and lengths of all entities."""

DATE_BYTES = 56
INDEX_BYTES = 6 * MIB
"""Blocks of 131,072 rows while the by-time order is built."""


def plan_compact(shape: PanelShape, budget_bytes: int) -> StagePlan:
    """Plan compact: a block of rows, the index of the panel, and one slab of the by-time order."""
    row_bytes = shape.store_bytes // max(1, shape.num_rows)
    block_rows = max(1024, min(BLOCK_BYTES, budget_bytes // 8) // max(1, row_bytes))
    held_bytes = 2 * min(block_rows, shape.num_rows) * row_bytes
    slab_bytes = min(SLAB_BYTES, 8 * shape.num_rows)
    entity_bytes = ENTITY_BYTES * shape.num_entities + DATE_BYTES * shape.num_dates
    index_bytes = entity_bytes + shape.layout_bytes + slab_bytes + INDEX_BYTES
    return StagePlan(
        stage="compact",
        private=(
            Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
            Claim("rows", held_bytes, f"2 x {format_bytes(held_bytes // 2)}: pieces of segments, and the block made"),
            Claim("indexes", index_bytes, "names, chain of rows, calendar, one by-time slab"),
        ),
        cache=container_claims(),
        disk=(Claim("store", shape.store_bytes, "all arrays once more, until the old segments are dropped"),),
        neutral={"block_rows": int(block_rows)},
    )


def compact(output: Path, *, block_rows: int, beat: Beat = silent) -> dict[str, Any]:
    """Make one segment of several; rows, keys of earlier dates and history stay what they are.

    The present segments stay readable until the new manifest is in place. Memory is one block of rows and the index.

    Returns
    -------
    dict
        ``compacted`` (False where there is one segment already), ``num_segments`` before, and ``content_key``.

    Raises
    ------
    FormatError
        Where the store is damaged.
    """
    panel = Panel(output)
    found = {"panel": str(output), "num_segments": len(panel.segments), "num_rows": panel.shape.num_rows}
    if len(panel.segments) == 1:
        return {"compacted": False, "content_key": panel.content_key, **found}
    columns = tuple(ColumnSpec(**column) for column in panel.manifest["columns"])
    spec = PanelSpec(calendar_kind=panel.calendar_kind, columns=columns, targets=panel.target_specs)
    arrays = [name for name, (_, group) in ARRAYS.items() if not group or spec.width(group)]
    lengths = (panel.offsets[1:] - panel.offsets[:-1]).tolist()
    with PanelWriter(output, spec, panel.calendar, base=panel.manifest) as writer:
        writer.add_entities(panel.entities, lengths)
        for start in range(0, panel.shape.num_rows, block_rows):
            beat("copy", start, panel.shape.num_rows)
            stop = min(start + block_rows, panel.shape.num_rows)
            writer.append_rows({name: panel.rows(name, start, stop) for name in arrays})
        beat("index and checksum", panel.shape.num_rows, panel.shape.num_rows)
        manifest = writer.finish_compact(slab_bytes=SLAB_BYTES)
    return {"compacted": True, "content_key": manifest["content_key"], **found}
