"""Read CSV and Parquet in small blocks: keys as dictionary codes, values as float64, bad rows found by line."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Float64, Int64
from seawall.errors import ConfigError, DataError, nearest
from seawall.tables.blocks import BAD_TEXT_LENGTH as BAD_TEXT_LENGTH
from seawall.tables.blocks import UNREADABLE as UNREADABLE
from seawall.tables.blocks import BadRow as BadRow
from seawall.tables.blocks import RawBlock as RawBlock
from seawall.tables.blocks import TypedReadError as TypedReadError
from seawall.tables.blocks import unreadable as unreadable
from seawall.tables.layout import PLAIN, Layout
from seawall.tables.numbers import NULL_TEXTS, to_numbers
from seawall.tables.parts import Part, of
from seawall.tables.pieces import Piece, Position, cut_pieces, in_order
from seawall.tables.streams import is_plain, open_bytes

BLOCK_BYTES = 1024 * 1024
"""Bytes of CSV parsed at once: 1 MB peaks at 121 MB in pyarrow, 8 MB at 465 MB, and is not slower (measured)."""

PARQUET_BATCH_ROWS = 16_384

BLOCK_VALUES_BYTES = 2 * 1024 * 1024
"""Values of one block as float64: a wide table has fewer rows in one, and is read in the same memory."""

STREAM_BYTES = 64 * 1024
"""Bytes of a Parquet column read ahead; without it every column of a row group is read whole."""

_NUMBER_KINDS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
_KEY_KINDS = (pa.types.is_dictionary, pa.types.is_timestamp, pa.types.is_date, pa.types.is_integer)
_TEXT_KINDS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def column_names(source: Path | Part, layout: Layout = PLAIN) -> list[str]:
    """Read the column names of a file.

    Raises
    ------
    DataError
        Where the file cannot be parsed, has no rows, or has the same name twice.
    """
    names = _schema(of(source), layout).names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        where = f"source {of(source).label}"
        raise DataError(where, "a column name occurs twice", found=repr(twice[0])[:200], do="Rename one of them.")
    return list(names)


def number_columns(source: Path | Part, layout: Layout = PLAIN) -> list[str]:
    """List the columns of a file that hold numbers; the types of a CSV are those of its first MiB.

    Raises
    ------
    DataError
        Where the file cannot be parsed.
    """
    return number_fields(_schema(of(source), layout))


def number_fields(schema: pa.Schema) -> list[str]:
    """List the fields of a schema that are numbers."""
    return [field.name for field in schema if any(is_kind(field.type) for is_kind in _NUMBER_KINDS)]


def _schema(part: Part, layout: Layout) -> pa.Schema:
    try:
        schema = pq.read_schema(part.path) if part.kind == "parquet" else _csv_head(part, layout)
        _ = schema.names  # bytes that are not UTF-8 are found here
    except UNREADABLE as error:
        raise unreadable(part, error) from error
    return schema


def require_columns(path: Path, wanted: Sequence[str], layout: Layout = PLAIN) -> None:
    """Check that a file has the wanted columns.

    Raises
    ------
    ConfigError
        Naming the nearest known names.
    """
    names = column_names(path, layout)
    for name in wanted:
        if name not in names:
            raise ConfigError(f"source {path}", "unknown column", found=repr(name), do=nearest(name, names))


def read_blocks(
    source: Path | Part,
    entity: str,
    time: str,
    values: Sequence[str],
    layout: Layout = PLAIN,
    *,
    num_threads: int = 1,
    start: Position | None = None,
    label: str | None = None,
) -> Iterator[RawBlock]:
    """Read a file in small blocks with fixed types: the fast way; from its beginning, or from after a block.

    A CSV is cut at line ends into pieces of 1 MiB that are parsed by ``num_threads`` threads and given in order. Memory
    is ``num_threads + 2`` pieces and what pyarrow needs to parse them, whatever the size of the file.

    Raises
    ------
    TypedReadError
        Where a value is not a number or a row has the wrong number of cells: use :func:`read_rows_checked`.
    """
    part = of(source)
    if part.kind == "parquet":
        yield from _read_parquet(part, entity, time, values, start, label)
        return
    if layout.thousands:
        raise TypedReadError("numbers with a thousands mark are read as text")
    keys = pa.dictionary(pa.int32(), pa.string())
    types = {entity: keys, time: keys, **dict.fromkeys(values, pa.float64()), **({label: keys} if label else {})}
    has_header, begin = start is None and not layout.columns, start or Position(first_line(layout))
    line = begin.line
    try:
        names = _csv_head(part, layout).names
        named = (entity, time, label)
        parse = partial(
            _parse_piece, part=part, layout=layout, names=names, types=types, keys=named, has_header=has_header
        )
        with open_bytes(part, layout) as stream:
            pieces = cut_pieces(stream, BLOCK_BYTES, where=f"source {part.label}", start=begin.offset)
            for end, table in in_order(parse, pieces, num_threads):
                block = replace(table, line=table.line + line, after=Position(line + len(table.line), end))
                line += len(block.line)
                if len(block.line):
                    yield block
    except pa.ArrowInvalid as error:
        raise TypedReadError(str(error)) from error
    except UNREADABLE as error:
        raise unreadable(part, error) from error


def _parse_piece(
    number: int,
    piece: Piece,
    *,
    part: Part,
    layout: Layout,
    names: list[str],
    types: dict[str, pa.DataType],
    keys: tuple[str, str, str | None],
    has_header: bool,
) -> tuple[int, RawBlock]:
    """Parse whole lines, and tell where they end; only the first piece begins with the header, where there is one."""
    read_options = pacsv.ReadOptions(block_size=len(piece.text) + 1, use_threads=False)
    if number or not has_header:
        read_options.column_names = names
    table = pacsv.read_csv(
        pa.BufferReader(piece.text),
        read_options=read_options,
        parse_options=_parse_options(part, layout, None),
        convert_options=_convert_options(part, layout, types),
    )
    columns = {name: _whole(column) for name, column in zip(types, table.itercolumns(), strict=True)}
    block = _float_block([column for name, column in columns.items() if name not in keys], table.num_rows)
    label = columns[keys[2]] if keys[2] else None
    return piece.end, RawBlock(columns[keys[0]], columns[keys[1]], block, np.arange(table.num_rows), label=label)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def first_line(layout: Layout) -> int:
    """Line of the first row: 1 where there is no header."""
    return 1 if layout.columns else 2


def read_rows_checked(
    source: Path | Part,
    entity: str,
    time: str,
    values: Sequence[str],
    bad: list[BadRow],
    layout: Layout = PLAIN,
) -> Iterator[RawBlock]:
    """Read a CSV as text and convert cell by cell, putting rows that do not fit into ``bad``: the careful way.

    ``bad`` grows in order of line and may be emptied between blocks. A line is that of the file, blank lines and line
    breaks inside quotes not counted.

    Raises
    ------
    DataError
        Where not even the rows can be told apart.
    """
    part = of(source)
    types = dict.fromkeys((entity, time, *values), pa.string())
    ragged: list[BadRow] = []

    def set_aside(row: pacsv.InvalidRow) -> str:
        text = f"{row.actual_columns} instead of {row.expected_columns}: {row.text}"[:BAD_TEXT_LENGTH]
        ragged.append(BadRow(part.label, row.number or 0, "wrong number of cells", text))
        return "skip"

    line = first_line(layout)
    try:
        for batch in _csv_reader(part, layout, types, set_aside):
            lines = _lines(line, batch.num_rows, ragged)
            line = int(lines[-1]) + 1 if len(lines) else line
            block, broken = _converted(batch, lines, part.label, (entity, time), values, layout)
            passed = [row for row in ragged if row.line < line]
            del ragged[: len(passed)]
            bad.extend(sorted([*broken, *passed], key=lambda row: row.line))
            yield block
    except UNREADABLE as error:
        raise unreadable(part, error) from error
    bad.extend(ragged)


def _converted(
    batch: pa.RecordBatch, lines: Int64, label: str, keys: tuple[str, str], values: Sequence[str], layout: Layout
) -> tuple[RawBlock, list[BadRow]]:
    """Convert the texts of a block; a row with a value that is no number is left out and handed back."""
    columns: list[pa.Array] = []
    broken: list[BadRow] = []
    usable = np.ones(batch.num_rows, bool)
    for name in values:
        texts = batch.column(name)
        numbers, valid = to_numbers(texts, layout)
        columns.append(numbers)
        places = np.flatnonzero(~valid & usable).tolist()
        reason = f"{name} is not a number"
        broken += [BadRow(label, int(lines[p]), reason, str(texts[p])[:BAD_TEXT_LENGTH]) for p in places]
        usable &= valid
    keep = pa.array(usable)
    entities, times = (batch.column(key).filter(keep).dictionary_encode() for key in keys)
    block = _float_block([column.filter(keep) for column in columns], int(usable.sum()))
    return RawBlock(entities, times, block, lines[usable]), broken


def _lines(first: int, num_rows: int, ragged: list[BadRow]) -> Int64:
    """Give each kept row its line, stepping over the skipped ones known so far."""
    skipped = sorted(row.line for row in ragged if row.line >= first)
    lines = np.arange(first, first + num_rows + len(skipped))
    return np.setdiff1d(lines, np.array(skipped, np.int64))[:num_rows]


def _read_parquet(
    part: Part, entity: str, time: str, values: Sequence[str], start: Position | None, label: str | None
) -> Iterator[RawBlock]:
    """Read a Parquet file; row groups before the start are not touched."""
    try:
        with pq.ParquetFile(part.path, pre_buffer=False, buffer_size=STREAM_BYTES) as file:
            columns = list(dict.fromkeys((entity, time, *values, *([label] if label else []))))
            sizes = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
            ends = np.cumsum(sizes, dtype=np.int64)
            first = int(np.searchsorted(ends, start.line - 1, side="right")) if start else 0
            batches = file.iter_batches(
                _block_rows(len(values)),
                row_groups=range(first, file.num_row_groups),
                columns=columns,
                use_threads=False,
            )
            line = 1 + (int(ends[first - 1]) if first else 0)
            yield from typed_blocks(batches, part, entity, time, values, line=line, start=start, label=label)
    except UNREADABLE as error:
        raise unreadable(part, error) from error


def typed_blocks(
    batches: Iterable[pa.RecordBatch],
    part: Part,
    entity: str,
    time: str,
    values: Sequence[str],
    *,
    line: int = 1,
    start: Position | None = None,
    label: str | None = None,
) -> Iterator[RawBlock]:
    """Turn batches of columns that have types into blocks, at most 16,384 rows each.

    The first row of the batches has the number ``line``; rows before ``start`` are left out.

    Raises
    ------
    DataError
        Where a column cannot be a key or a number.
    """
    wanted, num_rows = start.line if start else line, _block_rows(len(values))
    for whole in batches:
        early = min(whole.num_rows, max(0, wanted - line))
        line += early
        for first in range(early, whole.num_rows, num_rows):
            batch = whole.slice(first, num_rows)
            n = batch.num_rows
            entities, times = (_encoded(batch.column(name), part) for name in (entity, time))
            numbers = [_numeric(batch.column(name), f"source {part.label}: {name}") for name in values]
            lines = np.arange(line, line + n)
            line += n
            labels = _encoded(batch.column(label), part) if label else None
            yield RawBlock(entities, times, _float_block(numbers, n), lines, Position(line), labels)


def _block_rows(num_values: int) -> int:
    return min(PARQUET_BATCH_ROWS, max(256, BLOCK_VALUES_BYTES // (8 * max(num_values, 1))))


def constant(name: str, num_rows: int) -> pa.DictionaryArray:
    """Give a key column that says the same in every row."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(num_rows, np.int32)), pa.array([name], pa.string()))


def _numeric(column: pa.Array, where: str) -> pa.Array:
    if not any(is_kind(column.type) for is_kind in _NUMBER_KINDS):
        raise DataError(
            where, "not a number column", found=str(column.type), do="Leave it out, or turn it into numbers first."
        )
    return column.cast(pa.float64(), safe=False)


def _encoded(column: pa.Array, part: Part) -> pa.Array:
    """Dictionary-encode text; leave times and integers as they are."""
    if any(is_kind(column.type) for is_kind in _KEY_KINDS):
        return column
    if any(is_kind(column.type) for is_kind in _TEXT_KINDS):
        return column.cast(pa.string()).dictionary_encode()
    raise DataError(
        f"source {part.label}", "a key column must be text, integer, date or timestamp", found=str(column.type)
    )


def _float_block(columns: Sequence[pa.Array], num_rows: int) -> Float64:
    block: AnyArray = np.empty((len(columns), num_rows), np.float64)
    for place, column in enumerate(columns):
        block[place] = column.to_numpy(zero_copy_only=False)  # null becomes NaN
    return block.T


def _skip_row(row: pacsv.InvalidRow) -> str:
    """Step over a row with the wrong number of cells: rows are judged when they are read, not with the names."""
    return "skip"


def _csv_head(part: Part, layout: Layout) -> pa.Schema:
    """Read names and types from the first MiB alone: a reader of the whole file reads 32 blocks ahead."""
    with open_bytes(part, layout) as stream:
        piece = next(cut_pieces(stream, BLOCK_BYTES, where=f"source {part.label}"), Piece(b"", 0))
    with _csv_reader(part, layout, None, _skip_row, pa.BufferReader(piece.text)) as reader:
        return reader.schema


def _csv_reader(
    part: Part,
    layout: Layout,
    types: dict[str, pa.DataType] | None,
    on_bad: object | None = None,
    source: pa.BufferReader | None = None,
) -> pacsv.CSVStreamingReader:
    if source is None:
        source = part.path if is_plain(part) and part.kind != "json" else open_bytes(part, layout)
    names = list(layout.columns) or None
    return pacsv.open_csv(
        source,
        read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False, column_names=names),
        parse_options=_parse_options(part, layout, on_bad),
        convert_options=_convert_options(part, layout, types),
    )


def _parse_options(part: Part, layout: Layout, on_bad: object | None) -> pacsv.ParseOptions:
    delimiter = "," if part.kind == "json" else layout.delimiter or ","
    return pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=False, invalid_row_handler=on_bad)


def _convert_options(part: Part, layout: Layout, types: dict[str, pa.DataType] | None) -> pacsv.ConvertOptions:
    return pacsv.ConvertOptions(
        column_types=types,
        include_columns=list(types) if types else None,
        null_values=NULL_TEXTS,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        decimal_point="." if part.kind == "json" else layout.decimal,
    )
