"""Read CSV and Parquet in small blocks: keys as dictionary codes, values as float64, bad rows found by line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from seawall.arrays import AnyArray, Bool, Float64, Int64
from seawall.errors import ConfigError, DataError, nearest

BLOCK_BYTES = 1024 * 1024
"""Bytes of CSV parsed at once: 1 MB peaks at 121 MB in pyarrow, 8 MB at 465 MB, and is not slower (measured)."""

PARQUET_BATCH_ROWS = 16_384
NULL_TEXTS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A"]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why."""

    file: str
    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class RawBlock:
    """Rows as read: keys as dictionary arrays (texts) or typed arrays, values as float64 [n, V], NaN where missing."""

    entity: pa.Array
    time: pa.Array
    values: Float64
    line: Int64


class TypedReadError(Exception):
    """A block did not convert with the fixed types; the file must be read again row by row."""


def column_names(path: Path) -> list[str]:
    """Read the column names of a file.

    Raises
    ------
    DataError
        Where the file cannot be parsed, has no rows, or has the same name twice.
    """
    where = f"source {path}"
    try:
        names = pq.read_schema(path).names if path.name.endswith(".parquet") else _csv_reader(path, None).schema.names
    except (pa.ArrowException, OSError) as error:
        raise DataError(where, "cannot be parsed", found=str(error).splitlines()[0], do="Check that the file is complete.") from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(where, "a column name occurs twice", found=repr(twice[0]), do="Rename one of them.")
    return list(names)


def require_columns(path: Path, wanted: Sequence[str]) -> None:
    """Check that a file has the wanted columns.

    Raises
    ------
    ConfigError
        Naming the nearest known names.
    """
    names = column_names(path)
    for name in wanted:
        if name not in names:
            raise ConfigError(f"source {path}", "unknown column", found=repr(name), do=nearest(name, names).capitalize())


def read_blocks(path: Path, entity: str, time: str, values: Sequence[str]) -> Iterator[RawBlock]:
    """Read a file in small blocks with fixed types: the fast way.

    Memory is one block (about 120 MB in pyarrow at 1 MiB of CSV), whatever the size of the file.

    Raises
    ------
    TypedReadError
        Where a value is not a number or a row has the wrong number of cells: use :func:`read_rows_checked`.
    """
    if path.name.endswith(".parquet"):
        yield from _read_parquet(path, entity, time, values)
        return
    keys = pa.dictionary(pa.int32(), pa.string())
    types = {entity: keys, time: keys, **dict.fromkeys(values, pa.float64())}
    line = 2
    try:
        for batch in _csv_reader(path, types):
            n = batch.num_rows
            block = _float_block([batch.column(name) for name in values], n)
            yield RawBlock(batch.column(entity), batch.column(time), block, np.arange(line, line + n))
            line += n
    except pa.ArrowInvalid as error:
        raise TypedReadError(str(error)) from error


def read_rows_checked(
    path: Path, entity: str, time: str, values: Sequence[str], bad: list[BadRow]
) -> Iterator[RawBlock]:
    """Read a CSV as text and convert cell by cell, putting rows that do not fit into ``bad``: the careful way.

    The lines given assume one row a line; a quoted newline shifts them.
    """
    names = column_names(path)
    ragged: list[BadRow] = []

    def skip(row: pacsv.InvalidRow) -> str:
        reason = f"{row.actual_columns} cells instead of {row.expected_columns}"
        ragged.append(BadRow(str(path), row.number or 0, reason, str(row.text)[:200]))
        return "skip"

    line = 2
    for batch in _csv_reader(path, dict.fromkeys(names, pa.string()), skip):
        lines = _lines(line, batch.num_rows, ragged)
        line = int(lines[-1]) + 1 if len(lines) else line
        columns: list[pa.Array] = []
        usable = np.ones(batch.num_rows, bool)
        for name in values:
            numbers, valid = _to_numbers(batch.column(name))
            columns.append(numbers)
            for place in np.flatnonzero(~valid & usable):
                bad.append(BadRow(str(path), int(lines[place]), f"{name} is not a number", str(batch.column(name)[int(place)])[:80]))
            usable &= valid
        keep = pa.array(usable)
        block = _float_block([column.filter(keep) for column in columns], int(usable.sum()))
        entities = batch.column(entity).filter(keep).dictionary_encode()
        yield RawBlock(entities, batch.column(time).filter(keep).dictionary_encode(), block, lines[usable])
    bad.extend(ragged)


def _lines(first: int, num_rows: int, ragged: list[BadRow]) -> Int64:
    """Give each kept row its line, stepping over the skipped ones known so far."""
    skipped = sorted(row.line for row in ragged if row.line >= first)
    lines = np.arange(first, first + num_rows + len(skipped))
    return np.setdiff1d(lines, np.array(skipped, np.int64))[:num_rows]


def _to_numbers(texts: pa.Array) -> tuple[pa.Array, Bool]:
    trimmed = pc.utf8_trim_whitespace(texts)
    present = pc.if_else(pc.is_in(trimmed, pa.array(NULL_TEXTS)), pa.scalar(None, pa.string()), trimmed)
    pattern = r"^[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|[iI]nf|[iI]nfinity)$"
    fits = pc.fill_null(pc.match_substring_regex(present, pattern), True)
    clean = pc.if_else(fits, present, pa.scalar(None, pa.string()))
    return pc.replace_substring_regex(clean, r"^\+", "").cast(pa.float64()), np.asarray(fits)


def _read_parquet(path: Path, entity: str, time: str, values: Sequence[str]) -> Iterator[RawBlock]:
    line = 1
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            batches = file.iter_batches(PARQUET_BATCH_ROWS, columns=[entity, time, *values], use_threads=False)
            for batch in batches:
                n = batch.num_rows
                columns = [_numeric(batch.column(name), f"source {path}: {name}") for name in values]
                lines = np.arange(line, line + n)
                yield RawBlock(_encoded(batch.column(entity), path), _encoded(batch.column(time), path), _float_block(columns, n), lines)
                line += n
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"source {path}", "cannot be parsed", found=str(error).splitlines()[0]) from error


def _numeric(column: pa.Array, where: str) -> pa.Array:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)):
        raise DataError(where, "not a number column", found=str(kind), do="Leave it out, or turn it into numbers first.")
    return column.cast(pa.float64(), safe=False)


def _encoded(column: pa.Array, path: Path) -> pa.Array:
    """Dictionary-encode text; leave times and integers as they are."""
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind):
        return column
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.string()).dictionary_encode()
    raise DataError(f"source {path}", "a key column must be text, integer, date or timestamp", found=str(kind))


def _float_block(columns: Sequence[pa.Array], num_rows: int) -> Float64:
    block: AnyArray = np.empty((num_rows, len(columns)), np.float64)
    for place, column in enumerate(columns):
        block[:, place] = column.fill_null(np.nan).to_numpy(zero_copy_only=False)
    return block


def _csv_reader(
    path: Path, types: dict[str, pa.DataType] | None, on_bad: object | None = None
) -> pacsv.CSVStreamingReader:
    return pacsv.open_csv(
        path,
        read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
        parse_options=pacsv.ParseOptions(newlines_in_values=False, invalid_row_handler=on_bad),
        convert_options=pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types) if types else None,
            null_values=NULL_TEXTS,
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
