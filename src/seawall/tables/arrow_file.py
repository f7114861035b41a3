"""Arrow IPC files (Feather version 2), read one record batch at a time."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from seawall.errors import DataError
from seawall.tables.parts import Part
from seawall.tables.pieces import Position
from seawall.tables.read import UNREADABLE, RawBlock, typed_blocks, unreadable


def schema(part: Part) -> pa.Schema:
    """Read names and types.

    Raises
    ------
    DataError
        Where it is no Arrow file.
    """
    try:
        with _open(part, None) as reader:
            return reader.schema
    except UNREADABLE as error:
        raise unreadable(part, error) from error


def head(part: Part, most_rows: int) -> pa.Table:
    """Read the first rows of the first batch, all columns."""
    with _open(part, None) as reader:
        if not reader.num_record_batches:
            return reader.schema.empty_table()
        return pa.Table.from_batches([reader.get_batch(0).slice(0, most_rows)])


def num_rows(part: Part) -> int:
    """Count the rows; the data of no column is touched."""
    try:
        with _open(part, []) as reader:
            return sum(reader.get_batch(number).num_rows for number in range(reader.num_record_batches))
    except UNREADABLE as error:
        raise unreadable(part, error) from error


def read_arrow(
    part: Part, entity: str, time: str, values: Sequence[str], start: Position | None = None
) -> Iterator[RawBlock]:
    """Read the wanted columns in blocks of at most 16,384 rows; from the beginning, or from after a block.

    Memory is one record batch of the wanted columns where they are compressed; else pages of the file.

    Raises
    ------
    DataError
        Where the file is damaged or a column cannot be a key or a number.
    """
    names = schema(part).names
    wanted = [names.index(name) for name in dict.fromkeys((entity, time, *values))]
    try:
        with _open(part, wanted) as reader:
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
            yield from typed_blocks(batches, part, entity, time, values, start=start)
    except UNREADABLE as error:
        raise unreadable(part, error) from error


def _open(part: Part, columns: list[int] | None) -> pa.RecordBatchFileReader:
    with part.path.open("rb") as file:
        if file.read(4) == b"FEA1":
            raise DataError(
                f"source {part.label}", "Feather version 1", allowed="version 2, or Parquet", do="Write it anew."
            )
    options = pa.ipc.IpcReadOptions(included_fields=columns, use_threads=False)
    return pa.ipc.open_file(pa.memory_map(str(part.path)), options=options)
