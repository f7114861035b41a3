"""Claims of the exporters: a block of rows, and the index of the panel."""

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.stores.shape import PanelShape
from seawall.units import MIB

KINDS = ("parquet", "qlib", "zipline", "backtrader", "qlib-pred", "alphalens", "vectorbt")

RUN_KINDS = ("qlib-pred", "alphalens", "vectorbt")
"""Kinds that need the predictions of a run, not a panel alone."""

WIDE_CELLS = 262_144
"""Dates x entities of a wide frame held at once."""

WIDE_COLUMN_BYTES = 2048
"""Of each entity in each open wide frame: its field, buffers and notes on each batch."""

FLOOR_BYTES = 38 * MIB
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
    if kind in RUN_KINDS:
        return _plan_of_run(kind, shape)
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


def _plan_of_run(kind: str, shape: PanelShape) -> StagePlan:
    index_bytes = ENTITY_BYTES * shape.num_entities + DATE_BYTES * shape.num_dates + shape.layout_bytes
    rows = min(65_536 + shape.max_rows_per_date, max(1, shape.num_rows))
    if kind == "vectorbt":
        num_frames, cells = 1 + shape.num_prices, max(WIDE_CELLS, shape.num_entities)
        frames_bytes = num_frames * shape.num_entities * WIDE_COLUMN_BYTES
        work = Claim("block", 5 * cells * 8, f"{cells:,} cells x 8 B x 5 (scores, prices, rows, columns, encoded)")
        files_bytes = 8 * num_frames * shape.num_entities * shape.num_dates
    else:
        row_bytes = 8 * (5 + shape.num_targets) + 32
        frames_bytes = WRITER_BYTES
        work = Claim(
            "rows", 4 * rows * row_bytes, f"{rows:,} rows x {row_bytes} B x 4: read, ranked, converted, encoded"
        )
        files_bytes = shape.num_rows * row_bytes
    return StagePlan(
        stage="export",
        private=(
            Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
            work,
            Claim("writers", frames_bytes, "encoders and buffers of the columns"),
            Claim("indexes", index_bytes, f"{ENTITY_BYTES} B an entity, {DATE_BYTES} B a date"),
        ),
        cache=container_claims(),
        disk=(Claim("files", files_bytes, "all columns, before compression"),),
        neutral={"block_cells": WIDE_CELLS},
    )
