"""Claims of join: one row group of the backtest table, and what Parquet keeps of those already in its part."""

from collections.abc import Mapping
from typing import Any

from seawall.budget.claims import Claim, StagePlan
from seawall.join.config import JoinConfig
from seawall.stores.pages import PAGE_BYTES, pages_claim
from seawall.stores.shape import PanelShape
from seawall.tables.memory import fewest_claims, rows_claim, runs_claim, table_cache_claims
from seawall.units import KIB, MIB

FLOOR_BYTES = 41 * MIB
"""Fresh process with seawall, NumPy, Parquet and Arrow dataset imported (36 MiB measured; 4 more for the config)."""

READER_BYTES = 6 * MIB
"""Parquet reader and the columns of one row group of predictions (5 MiB measured)."""

ROW_GROUP_ROWS = 65_536
"""Rows of one row group of the table (FORMAT.md section 4)."""

PART_GROUPS = 16
"""Row groups of one part of the table (FORMAT.md section 4)."""

FOOTER_CHUNK_BYTES = 4 * KIB
"""What Parquet keeps in memory per column of each row group written (3 KiB measured)."""

ENTITY_BYTES = 256
"""A name in Python, in Arrow, and in the writer's dictionary (240 B measured)."""

DATE_BYTES = 48
"""Calendar, two counters of the coverage and the sums added to them."""

OUTSIDE_ROW_BYTES = 128
"""A row of a date while scores meet it: row ids, entities, places, masks and scores, and their kept parts."""

_KEY_BYTES = 8 + 8 + 4 + 4 + 4
_NUM_FIXED_COLUMNS = 7


def plan(config: JoinConfig, shape: PanelShape, budget_bytes: int) -> StagePlan:
    """Plan join. It has no knobs: row groups are part of the file. Panel pages are lent: what the budget has left.

    Parameters
    ----------
    shape
        Sizes of the panel; every row of it may hold a prediction.
    budget_bytes
        What the stage may use in all.
    """
    num_prices = len(config.prices) or shape.num_prices
    # All price columns of a row are read together, also where only some are carried.
    row_bytes = _KEY_BYTES + 8 * (2 + max(num_prices, shape.num_prices))
    block_rows = min(ROW_GROUP_ROWS, shape.num_rows)
    num_groups = min(PART_GROUPS, -(-shape.num_rows // ROW_GROUP_ROWS))
    num_columns = _NUM_FIXED_COLUMNS + num_prices
    private = (
        Claim("interpreter and libraries", FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
        Claim("predictions", READER_BYTES, f"one row group of {ROW_GROUP_ROWS:,} rows and its reader"),
        Claim(
            "row group",
            3 * block_rows * row_bytes,
            f"{block_rows:,} rows x {row_bytes} B x 3 (gathered, as columns, encoded)",
        ),
        Claim(
            "parquet footer",
            num_groups * num_columns * FOOTER_CHUNK_BYTES,
            f"{num_groups} row groups of one part of the table x {num_columns} columns x 4 KiB",
        ),
        Claim(
            "indexes",
            shape.num_entities * ENTITY_BYTES + shape.num_dates * DATE_BYTES,
            f"{ENTITY_BYTES} B an entity, {DATE_BYTES} B a date",
        ),
    )
    cache = table_cache_claims()
    room_bytes = budget_bytes - sum(claim.bytes for claim in (*private, *cache))
    return StagePlan(
        stage="join",
        private=private,
        cache=(*cache, pages_claim(shape, room_bytes)),
        disk=(
            Claim(
                "backtest table", shape.num_rows * row_bytes, f"{shape.num_rows:,} rows x {row_bytes} B, uncompressed"
            ),
            Claim("coverage.json", MIB, "some 100 B per fold and month"),
        ),
    )


def plan_predictions(found: Mapping[str, Any], shape: PanelShape, budget_bytes: int) -> StagePlan:
    """Plan taking predictions from outside: the row buffer takes what the fixed parts leave.

    Parameters
    ----------
    found
        Sizes of the tables (tables/look.py).
    budget_bytes
        What the child may use in all.
    """
    side = {**found, "entities": found["entities"] + shape.num_entities}
    num_groups = -(-min(found["rows"], shape.num_rows) // ROW_GROUP_ROWS)
    writer = Claim(
        "writer",
        3 * ROW_GROUP_ROWS * (_KEY_BYTES + 4) + num_groups * 5 * FOOTER_CHUNK_BYTES,
        f"one row group of {ROW_GROUP_ROWS:,} rows x 3 (gathered, as columns, encoded), and 4 KiB for each of 5 columns"
        f" of {num_groups:,} row groups",
    )
    date = Claim(
        "one date",
        shape.max_rows_per_date * OUTSIDE_ROW_BYTES + shape.num_dates * DATE_BYTES,
        f"{shape.max_rows_per_date:,} rows x {OUTSIDE_ROW_BYTES} B, {DATE_BYTES} B a date of the calendar",
    )
    pages_bytes = min(shape.num_entities * PAGE_BYTES, shape.num_rows)
    fixed = (*fewest_claims((side,), writer), date)
    cache = (*table_cache_claims(), Claim("panel pages", pages_bytes, "one 4 KiB page of the universe per entity"))
    room_bytes = budget_bytes - sum(claim.bytes for claim in (*fixed, *cache))
    rows, buffer_rows = rows_claim((side,), room_bytes)
    store_bytes = found["rows"] * (_KEY_BYTES + 4)
    return StagePlan(
        stage="predict",
        private=(*fixed, rows),
        cache=cache,
        disk=(
            runs_claim((side,)),
            Claim("matched rows", 12 * found["rows"], "12 B a score", temporary=True),
            Claim("fold_00.parquet", store_bytes, f"{found['rows']:,} rows, uncompressed"),
        ),
        neutral={"buffer_rows": buffer_rows},
    )


def plan_tables(found: Mapping[str, Any], budget_bytes: int) -> StagePlan:
    """Plan a join of two outside tables: the row buffer takes what the fixed parts leave.

    Parameters
    ----------
    found
        Sizes of ``predictions`` and ``returns`` (tables/look.py).
    budget_bytes
        What the child may use in all.
    """
    left, right = found["predictions"], found["returns"]
    num_columns, num_groups = 4 + left["values"] + right["values"], -(-left["rows"] // ROW_GROUP_ROWS)
    writer_bytes = 3 * ROW_GROUP_ROWS * (12 + 8 * (left["values"] + right["values"]))
    footer_bytes = num_groups * num_columns * FOOTER_CHUNK_BYTES
    writer = Claim(
        "writer",
        writer_bytes + footer_bytes,
        f"one row group of {ROW_GROUP_ROWS:,} rows x 3 (gathered, as columns, encoded), and 4 KiB for each column of"
        f" {num_groups:,} row groups",
    )
    fixed, cache = fewest_claims((left, right), writer), table_cache_claims()
    room_bytes = budget_bytes - sum(claim.bytes for claim in (*fixed, *cache))
    rows, buffer_rows = rows_claim((left, right), room_bytes)
    output_bytes = left["rows"] * (8 + 4 + 4 + 8 + 8 * right["values"])
    return StagePlan(
        stage="join",
        private=(*fixed, rows),
        cache=cache,
        disk=(
            runs_claim((left, right)),
            Claim("output", output_bytes, f"{left['rows']:,} rows, uncompressed"),
        ),
        neutral={"buffer_rows": buffer_rows},
    )
