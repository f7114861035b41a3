"""Claims of compact: a block of rows, the index of the panel, one slab of the by-time order."""

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.ingest.memory import SLAB_BYTES
from seawall.stores.shape import PanelShape
from seawall.units import MIB, format_bytes

FLOOR_BYTES = 37 * MIB
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
