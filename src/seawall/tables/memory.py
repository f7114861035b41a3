"""Claims of reading outside tables once and bringing them into order: what join and evaluate of such tables share."""

from collections.abc import Mapping, Sequence
from typing import Any

from seawall.budget.claims import Claim, container_claims
from seawall.units import MIB

TABLES_FLOOR_BYTES = 40 * MIB
"""Fresh process with seawall, NumPy and Parquet imported (35 MiB measured; 4 more for the config)."""

CSV_READER_BYTES = 40 * MIB
"""What pyarrow holds while it parses blocks of 1 MiB (30-36 MiB measured)."""

PARQUET_READER_BYTES = 12 * MIB
"""A batch of 16,384 rows decoded, beside the pages of its row group."""

DIRTY_BYTES = 16 * MIB
"""Runs are flushed one by one, and the output at this step (stores/atomic.py)."""

LIBRARY_TEXT_BYTES = 48 * MIB
"""Code pages of Python, NumPy and pyarrow alone (42 MiB measured)."""

FEWEST_ENTITIES = 16_384
"""A sample of files sorted by entity sees few of the names: at least so many are planned for."""

_SMALLEST_BUFFER_ROWS = 1 << 13
_LARGEST_BUFFER_ROWS = 1 << 20


ENTITY_BYTES = 256
"""A name in Python, in Arrow, and in a writer's dictionary (240 B measured)."""


def fewest_claims(sides: Sequence[Mapping[str, Any]], after: Claim) -> tuple[Claim, ...]:
    """Give what no knob makes smaller.

    Parameters
    ----------
    sides
        Sizes of each table (tables/look.py).
    after
        What is held once the tables are read: reader and this are never held at once.
    """
    num_entities = max(*(side["entities"] for side in sides), FEWEST_ENTITIES)
    reader = max((_reader_claim(side) for side in sides), key=lambda claim: claim.bytes)
    return (
        Claim("interpreter and libraries", TABLES_FLOOR_BYTES, "Python, NumPy, pyarrow imported"),
        Claim("entity names", num_entities * ENTITY_BYTES, f"{num_entities:,} names x {ENTITY_BYTES} B"),
        max(reader, after, key=lambda claim: claim.bytes),
    )


def table_cache_claims(written_bytes: int = DIRTY_BYTES) -> tuple[Claim, ...]:
    """Give what is charged to a container beside private memory; no more is unwritten than is written at all."""
    return container_claims(dirty_bytes=min(DIRTY_BYTES, written_bytes), library_text_bytes=LIBRARY_TEXT_BYTES)


def rows_claim(sides: Sequence[Mapping[str, Any]], room_bytes: int) -> tuple[Claim, int]:
    """Claim the largest row buffer that fits the room, and give its rows: a neutral knob."""
    row_bytes = sum(_row_bytes(side["values"]) for side in sides)
    most_rows = min(max(side["rows"] for side in sides), _LARGEST_BUFFER_ROWS)
    buffer_rows = _SMALLEST_BUFFER_ROWS
    while 2 * buffer_rows * row_bytes <= room_bytes and buffer_rows < most_rows:
        buffer_rows *= 2
    formula = f"{buffer_rows:,} rows x {row_bytes} B (sorted; later merged and matched)"
    return Claim("rows in memory", buffer_rows * row_bytes, formula), buffer_rows


def runs_claim(sides: Sequence[Mapping[str, Any]]) -> Claim:
    """Claim the disk of the sorted runs."""
    run_bytes = sum(side["rows"] * (12 + 8 * side["values"]) for side in sides)
    return Claim("sorted runs", run_bytes, "12 B + 8 B a value, each row", temporary=True)


def _reader_claim(side: Mapping[str, Any]) -> Claim:
    if side["text_bytes"]:
        return Claim("reader", CSV_READER_BYTES, "text parsed in blocks of 1 MiB")
    group_bytes = side["group_bytes"]
    return Claim("reader", PARQUET_READER_BYTES + group_bytes, "16,384 rows, and one row group of the wanted columns")


def _row_bytes(num_values: int) -> int:
    """Held in a block, merged, as separate columns, with places and digits of their order."""
    return 2 * (12 + 8 * num_values) + 44 + 8 * num_values
