"""The compact stage: all segments of a panel copied into one, in blocks of rows; nothing is computed anew."""

from pathlib import Path
from typing import Any

from seawall.budget.heartbeat import Beat, silent
from seawall.ingest.memory import SLAB_BYTES
from seawall.stores.panel import Panel
from seawall.stores.panel_writer import ColumnSpec, PanelSpec, PanelWriter


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
    lengths = (panel.offsets[1:] - panel.offsets[:-1]).tolist()
    with PanelWriter(output, spec, panel.calendar, base=panel.manifest) as writer:
        writer.add_entities(panel.entities, lengths)
        for start in range(0, panel.shape.num_rows, block_rows):
            beat("copy", start, panel.shape.num_rows)
            stop = min(start + block_rows, panel.shape.num_rows)
            writer.append_rows({name: panel.read(name, start, stop) for name in spec.arrays})
        beat("index and checksum", panel.shape.num_rows, panel.shape.num_rows)
        manifest = writer.finish_compact(slab_bytes=SLAB_BYTES)
    return {"compacted": True, "content_key": manifest["content_key"], **found}
