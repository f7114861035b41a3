"""Claims of the exporters: a block of rows, and the index of the panel."""

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.stores.shape import PanelShape
from seawall.units import MIB

KINDS = ("parquet", "qlib")

FLOOR_BYTES = 36 * MIB
"""Fresh interpreter with seawall, NumPy and pyarrow imported."""

BLOCK_BYTES = 8 * MIB
"""Rows converted at once."""

WRITER_BYTES = 10 * MIB
"""Encoders, compression and page buffers of a Parquet writer (measured over 5 to 300 columns)."""

COLUMN_BYTES = 24 * 1024
"""Of each column: its encoder or its open file."""

ENTITY_BYTES = 420
"""Names, row spans, and the names an exporter gives."""

DATE_BYTES = 96


def plan_export(kind: str, shape: PanelShape) -> StagePlan:
    """Plan an export; nothing grows with rows."""
    columns = shape.num_features + shape.num_targets + shape.num_prices + 4
    row_bytes = 4 * shape.num_features + 8 * (shape.num_targets + shape.num_prices) + 25
    block_rows = max(256, min(65_536, BLOCK_BYTES // row_bytes))
    held_bytes = 3 * min(block_rows, max(1, shape.num_rows)) * row_bytes
    index_bytes = ENTITY_BYTES * shape.num_entities + DATE_BYTES * shape.num_dates + shape.layout_bytes
    if kind == "parquet":
        files_bytes = shape.num_rows * row_bytes
    else:  # every field of every entity over its dates, one file each
        files_bytes = 4 * columns * shape.num_rows + 4096 * columns * shape.num_entities
    return StagePlan(
        stage="export",
        private=(
            Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
            Claim("rows", held_bytes, f"3 x {block_rows:,} rows x {row_bytes} B: read, converted, encoded"),
            Claim("writers", WRITER_BYTES + COLUMN_BYTES * columns, f"encoders and buffers of {columns} columns"),
            Claim("indexes", index_bytes, f"{ENTITY_BYTES} B an entity, {DATE_BYTES} B a date"),
        ),
        cache=container_claims(),
        disk=(Claim("files", files_bytes, "all columns, before compression"),),
        neutral={"block_rows": int(block_rows)},
    )
