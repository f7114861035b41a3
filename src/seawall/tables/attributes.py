"""Static attributes: a small second table with one row for each entity."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seawall.errors import BudgetError, ConfigError, DataError, nearest
from seawall.tables.layout import Layout
from seawall.tables.numbers import NULL_TEXTS
from seawall.tables.parts import Part
from seawall.tables.read import BLOCK_BYTES, UNREADABLE, number_fields, unreadable
from seawall.tables.streams import open_bytes
from seawall.tables.table import Table
from seawall.units import MIB, format_bytes

MAX_BYTES = 8 * MIB
"""Attributes held at once: 5,000 entities with 200 numbers each."""


def read_attributes(path: Path, entity: str, wanted: Sequence[str], layout: Layout) -> pa.Table:
    """Read a table of static attributes, sorted by the bytes of the entity's name.

    Parameters
    ----------
    entity
        Column with the name, read as text: leading zeros stay.
    wanted
        Attribute columns; all others where empty.

    Returns
    -------
    pyarrow.Table
        ``entity`` as string; numbers as float64, everything else as string.

    Raises
    ------
    DataError, ConfigError
        For an unreadable file, an unknown column, an entity that is missing or occurs twice.
    BudgetError
        Beyond 8 MiB.
    """
    table = Table(Part(path), layout, entity, entity)
    names = table.physical
    for name in (entity, *wanted):
        if name not in names:
            raise ConfigError(f"source {path}", "unknown column", found=repr(name), do=nearest(name, names))
    columns = [name for name in (wanted or names) if name != entity]
    if "entity" in columns:
        do = "Rename it, or name the attributes that are wanted."
        raise ConfigError(f"source {path}", "an attribute cannot be called 'entity'", do=do)
    rows = _read(table, entity, columns)
    if rows.nbytes > MAX_BYTES:
        found, allowed = format_bytes(rows.nbytes), format_bytes(MAX_BYTES)
        do = "Name fewer columns of it."
        raise BudgetError(f"source {path}", "the static table is too large", found=found, allowed=allowed, do=do)
    _check_entities(rows[entity], path)
    rows = rows.select([entity, *columns]).rename_columns(["entity", *columns])
    order = sorted(range(rows.num_rows), key=[name.encode() for name in rows["entity"].to_pylist()].__getitem__)
    return rows.take(pa.array(order, pa.int64())).combine_chunks()


def _read(table: Table, entity: str, columns: list[str]) -> pa.Table:
    part = table.part
    try:
        if part.kind == "parquet":
            read = pq.read_table(part.path, columns=[entity, *columns], use_threads=False, pre_buffer=False)
        elif part.kind == "csv":
            read = _read_csv(table, entity, columns)
        else:
            do = "Write it as CSV or Parquet."
            raise DataError(f"source {part.label}", "not a kind of file for attributes", found=part.kind, do=do)
    except UNREADABLE as error:
        raise unreadable(part, error) from error
    numbers = set(number_fields(read.schema)) - {entity}
    kinds = {name: pa.float64() if name in numbers else pa.string() for name in (entity, *columns)}
    return read.select(list(kinds)).cast(pa.schema(kinds.items()), safe=False)


def _read_csv(table: Table, entity: str, columns: list[str]) -> pa.Table:
    layout = table.layout
    with open_bytes(table.part, layout) as stream:
        return pacsv.read_csv(
            stream,
            read_options=pacsv.ReadOptions(
                block_size=BLOCK_BYTES, use_threads=False, column_names=list(layout.columns) or None
            ),
            parse_options=pacsv.ParseOptions(delimiter=layout.delimiter or ","),
            convert_options=pacsv.ConvertOptions(
                include_columns=[entity, *columns],
                column_types={entity: pa.string()},
                null_values=NULL_TEXTS,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                decimal_point=layout.decimal,
                timestamp_parsers=["no timestamps: a date stays the text it is"],
            ),
        )


def _check_entities(names: pa.ChunkedArray, path: Path) -> None:
    if names.null_count or pc.any(pc.equal(names, "")).as_py():
        raise DataError(f"source {path}", "a row of the static table has no entity", do="Mend or remove the row.")
    counts = names.value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        found = repr(twice.field("values")[0].as_py())
        raise DataError(f"source {path}", "an entity occurs twice in the static table", found=found, do="Keep one row.")
