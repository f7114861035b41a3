"""Claims of append: the new rows are ingested as they are, then the ends of their entities are computed anew."""

from dataclasses import replace

from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.ingest.config import IngestConfig
from seawall.ingest.memory import (
    FLOOR_BYTES,
    SLAB_BYTES,
    SQL_FLOOR_BYTES,
    WINDOW_STATE_BYTES,
    bucket_sizes,
    date_row_bytes,
    date_rows,
    plan,
)
from seawall.ingest.recipe import raw_config
from seawall.stores.shape import PanelShape
from seawall.units import MIB, format_bytes

BLOCK_BYTES = 24 * MIB
"""Working memory of the rows computed at once."""

BLOCK_ROWS_MIN = 1024

ENTITY_BYTES = 900
"""Names of both tables, their tail, and the chain of their rows (measured over 20,000 entities)."""

DATE_BYTES = 64
"""Calendars of panel, new rows and segment, and counts of each date."""

INDEX_BYTES = 6 * MIB
"""Blocks of 131,072 rows while the by-time order is built."""


def plan_append(
    config: IngestConfig, new: PanelShape, panel: PanelShape, *, longest_rows: int, budget_bytes: int
) -> StagePlan:
    """Plan an append: the larger of reading the new rows and computing the ends of entities.

    Parameters
    ----------
    new
        Sizes of the new rows, estimated or exact.
    panel
        Sizes of the store.
    longest_rows
        Old and new rows of the longest end of an entity that must be held at once.
    budget_bytes
        What the stage may use in all.
    """
    reading = plan(raw_config(config), new, budget_bytes)
    sizes, cache = bucket_sizes(config), container_claims()
    num_sql = len(config.features) + (config.universe is not None)
    engine_bytes = SQL_FLOOR_BYTES + WINDOW_STATE_BYTES * longest_rows * num_sql
    num_entities = panel.num_entities + new.num_entities
    index_bytes = ENTITY_BYTES * num_entities + DATE_BYTES * (panel.num_dates + new.num_dates) + panel.layout_bytes
    slab_bytes = min(SLAB_BYTES, 8 * (new.num_rows + num_entities)) + INDEX_BYTES
    fixed_bytes = FLOOR_BYTES + engine_bytes + index_bytes + slab_bytes + sum(claim.bytes for claim in cache)
    room_bytes = min(BLOCK_BYTES, budget_bytes - fixed_bytes)
    block_rows = max(BLOCK_ROWS_MIN, longest_rows, room_bytes // sizes.working_bytes)
    held_rows = max(longest_rows, min(block_rows, num_entities * longest_rows))
    how = f"{held_rows:,} rows x {sizes.working_bytes:,} B (merged copy, SQL table, results, arrays)"
    num_date_rows = date_rows(
        config, replace(panel, num_rows=num_entities * longest_rows, max_rows_per_date=num_entities)
    )
    date_bytes = num_date_rows * date_row_bytes(config)
    how_dates = f"{num_date_rows:,} rows of whole dates x {date_row_bytes(config):,} B (features, targets, sorting)"
    ends = Claim("ends of entities", held_rows * sizes.working_bytes, how)
    computing = (
        Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow, DuckDB imported"),
        Claim("sql", engine_bytes, f"DuckDB, and {WINDOW_STATE_BYTES} B x rows of the longest end x expressions"),
        max(ends, Claim("dates", date_bytes, how_dates), key=lambda claim: claim.bytes),
        Claim("indexes", index_bytes + slab_bytes, f"{ENTITY_BYTES} B an entity, {DATE_BYTES} B a date, one slab"),
    )
    private = max(reading.private, computing, key=lambda claims: sum(claim.bytes for claim in claims))
    store_bytes = panel.store_bytes // max(1, panel.num_rows) * (new.num_rows + num_entities * longest_rows)
    return StagePlan(
        stage="append",
        private=private,
        cache=cache,
        disk=(
            *(Claim(claim.purpose, claim.bytes, claim.formula, temporary=True) for claim in reading.disk),
            Claim("new segment", store_bytes, f"new rows and rewritten ends, {format_bytes(store_bytes)} at most"),
        ),
        neutral={"block_rows": int(block_rows)} | ({"date_rows": num_date_rows} if num_date_rows else {}),
    )
