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
BAD_TEXT_LENGTH = 120
"""Characters of a bad row that are shown."""

NUMBER = r"(?i)^[+-]?(\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|inf|infinity|nan(\([a-z0-9_]*\))?)$"
"""What the fast CSV reader takes for a number, so that both ways agree."""

NULL_TEXTS = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "#N/A"]

_NUMBER_KINDS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
_KEY_KINDS = (pa.types.is_dictionary, pa.types.is_timestamp, pa.types.is_date, pa.types.is_integer)
_TEXT_KINDS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


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
    try:
        is_parquet = path.name.endswith(".parquet")
        names = pq.read_schema(path).names if is_parquet else _csv_reader(path, None, _skip_row).schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"source {path}", "a column name occurs twice", found=repr(twice[0]), do="Rename one of them.")
    return list(names)


def number_columns(path: Path) -> list[str]:
    """List the columns of a file that hold numbers; the types of a CSV are those of its first MiB.

    Raises
    ------
    DataError
        Where the file cannot be parsed.
    """
    try:
        is_parquet = path.name.endswith(".parquet")
        schema = pq.read_schema(path) if is_parquet else _csv_reader(path, None, _skip_row).schema
        return [field.name for field in schema if any(is_kind(field.type) for is_kind in _NUMBER_KINDS)]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


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
            raise ConfigError(f"source {path}", "unknown column", found=repr(name), do=nearest(name, names))


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
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def read_rows_checked(
    path: Path, entity: str, time: str, values: Sequence[str], bad: list[BadRow]
) -> Iterator[RawBlock]:
    """Read a CSV as text and convert cell by cell, putting rows that do not fit into ``bad``: the careful way.

    ``bad`` grows in order of line and may be emptied between blocks. A line is that of the file, blank lines and line
    breaks inside quotes not counted.

    Raises
    ------
    DataError
        Where not even the rows can be told apart.
    """
    types = dict.fromkeys((entity, time, *values), pa.string())
    ragged: list[BadRow] = []

    def set_aside(row: pacsv.InvalidRow) -> str:
        text = f"{row.actual_columns} instead of {row.expected_columns}: {row.text}"[:BAD_TEXT_LENGTH]
        ragged.append(BadRow(str(path), row.number or 0, "wrong number of cells", text))
        return "skip"

    line = 2
    try:
        for batch in _csv_reader(path, types, set_aside):
            lines = _lines(line, batch.num_rows, ragged)
            line = int(lines[-1]) + 1 if len(lines) else line
            block, broken = _converted(batch, lines, path, (entity, time), values)
            passed = [row for row in ragged if row.line < line]
            del ragged[: len(passed)]
            bad.extend(sorted([*broken, *passed], key=lambda row: row.line))
            yield block
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error
    bad.extend(ragged)


def _converted(
    batch: pa.RecordBatch, lines: Int64, path: Path, keys: tuple[str, str], values: Sequence[str]
) -> tuple[RawBlock, list[BadRow]]:
    """Convert the texts of a block; a row with a value that is no number is left out and handed back."""
    columns: list[pa.Array] = []
    broken: list[BadRow] = []
    usable = np.ones(batch.num_rows, bool)
    for name in values:
        texts = batch.column(name)
        numbers, valid = _to_numbers(texts)
        columns.append(numbers)
        places = np.flatnonzero(~valid & usable).tolist()
        reason = f"{name} is not a number"
        broken += [BadRow(str(path), int(lines[p]), reason, str(texts[p])[:BAD_TEXT_LENGTH]) for p in places]
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


def _to_numbers(texts: pa.Array) -> tuple[pa.Array, Bool]:
    """Convert texts to float64; False where a text is neither missing nor a number of the fast reader."""
    trimmed = pc.utf8_trim_whitespace(texts)
    present = pc.if_else(pc.is_in(trimmed, pa.array(NULL_TEXTS)), pa.scalar(None, pa.string()), trimmed)
    fits = pc.fill_null(pc.match_substring_regex(present, NUMBER), True)
    clean = pc.if_else(fits, present, pa.scalar(None, pa.string()))
    return pc.replace_substring_regex(clean, r"^\+", "").cast(pa.float64()), np.asarray(fits)


def _read_parquet(path: Path, entity: str, time: str, values: Sequence[str]) -> Iterator[RawBlock]:
    line = 1
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            names = [entity, time, *values]
            for batch in file.iter_batches(PARQUET_BATCH_ROWS, columns=names, use_threads=False):
                n = batch.num_rows
                entities, times = (_encoded(batch.column(name), path) for name in (entity, time))
                numbers = [_numeric(batch.column(name), f"source {path}: {name}") for name in values]
                yield RawBlock(entities, times, _float_block(numbers, n), np.arange(line, line + n))
                line += n
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _numeric(column: pa.Array, where: str) -> pa.Array:
    if not any(is_kind(column.type) for is_kind in _NUMBER_KINDS):
        raise DataError(
            where, "not a number column", found=str(column.type), do="Leave it out, or turn it into numbers first."
        )
    return column.cast(pa.float64(), safe=False)


def _encoded(column: pa.Array, path: Path) -> pa.Array:
    """Dictionary-encode text; leave times and integers as they are."""
    if any(is_kind(column.type) for is_kind in _KEY_KINDS):
        return column
    if any(is_kind(column.type) for is_kind in _TEXT_KINDS):
        return column.cast(pa.string()).dictionary_encode()
    raise DataError(f"source {path}", "a key column must be text, integer, date or timestamp", found=str(column.type))


def _float_block(columns: Sequence[pa.Array], num_rows: int) -> Float64:
    block: AnyArray = np.empty((num_rows, len(columns)), np.float64)
    for place, column in enumerate(columns):
        block[:, place] = column.fill_null(np.nan).to_numpy(zero_copy_only=False)
    return block


def _skip_row(row: pacsv.InvalidRow) -> str:
    """Step over a row with the wrong number of cells: rows are judged when they are read, not with the names."""
    return "skip"


def _unreadable(path: Path, error: Exception) -> DataError:
    what = "cannot be parsed" if isinstance(error, (ValueError, pa.ArrowException)) else "cannot be read to its end"
    found = str(error).splitlines()[0]
    return DataError(f"source {path}", what, found=found, do="Check that the file is complete, and UTF-8 text.")


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
