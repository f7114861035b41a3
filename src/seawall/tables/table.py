"""One table of the sources as rows of (entity, time, values), whatever way it is written."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from seawall.arrays import Float64, Int64
from seawall.errors import ConfigError, DataError, nearest
from seawall.tables import arrow_file, qlib_bins, read
from seawall.tables.kinds import mostly_numbers
from seawall.tables.layout import BARS, Layout
from seawall.tables.parts import Part, entity_in_name, parts_of
from seawall.tables.pieces import Position
from seawall.tables.read import BadRow, RawBlock
from seawall.tables.streams import open_bytes, open_text
from seawall.tables.times import TimeFormat, localised

HEADER_BYTES = 64 * 1024
MELTED_CELLS = 65_536
"""Rows a block of a wide table gives at most, but for a single line of it."""

DELIMITERS = ",;\t|"


class Table:
    """A part of the sources, seen as a long table.

    Where entities are columns the cells are melted as they are read, and an empty cell is no row; where the entity is
    in the file name it becomes a column. Memory is one block, whatever the size.

    Parameters
    ----------
    entity, time
        Names of the key columns. Of a wide table and of one file per entity, the name of the entity column is free.
    """

    def __init__(self, part: Part, layout: Layout, entity: str, time: str) -> None:
        self.part, self.entity, self.time = part, entity, time
        self.guesses: list[str] = []
        resolved = layout.resolved(time)
        if part.kind == "json" and not resolved.columns and _is_list_of_lists(part, resolved):
            resolved = resolved.model_copy(update={"columns": (time, *BARS)})
        if part.kind == "csv" and resolved.delimiter is None:
            resolved = resolved.model_copy(update={"delimiter": self._delimiter(resolved)})
        self.layout = resolved
        self.constant_entity = self._named_entity()

    def _delimiter(self, layout: Layout) -> str:
        """Take the mark that occurs most often in the first line, outside quotes."""
        try:
            with open_bytes(self.part, layout) as stream:
                head = stream.read(HEADER_BYTES) or b""
        except read.UNREADABLE as error:
            raise read.unreadable(self.part, error) from error
        line = head.replace(b"\r", b"\n").lstrip(b"\xef\xbb\xbf\n").partition(b"\n")[0].decode("utf-8", "replace")
        outside = "".join(line.split('"')[::2])
        found = max(DELIMITERS, key=outside.count)
        if found != ",":
            self.guesses.append(f"the delimiter is {found!r}, as in the header")
        return found

    def _named_entity(self) -> str | None:
        """Give the entity that a file or folder name holds; None where a column does."""
        if self.part.kind == "qlib":
            return qlib_bins.instrument(self.part)
        if self.layout.format == "freqtrade":
            return _pair(self.part)
        pattern = self.layout.entity_from_file
        if pattern is None:
            return None
        name = entity_in_name(self.part, pattern)
        return name.upper() if self.layout.format == "lean" else name

    @property
    def value_of_wide(self) -> str | None:
        """Name of the values of a wide table; None for a long one."""
        return self.part.stem if self.layout.wide == "*" else self.layout.wide

    @cached_property
    def physical(self) -> list[str]:
        """Names of the columns in the file."""
        if self.part.kind == "qlib":
            return qlib_bins.fields(self.part)
        if self.part.kind == "arrow":
            return list(arrow_file.schema(self.part).names)
        return read.column_names(self.part, self.layout)

    @property
    def key_columns(self) -> list[str]:
        """Key columns that are in the file."""
        if self.part.kind == "qlib":
            return []
        return [self.time] if self.constant_entity is not None or self.layout.wide else [self.entity, self.time]

    @property
    def names(self) -> list[str]:
        """Names of the columns as a long table."""
        value = self.value_of_wide
        if value is not None:
            return [self.entity, self.time, value]
        extra = [name for name in (self.entity, self.time) if name not in self.key_columns]
        return [*extra, *self.physical]

    def number_columns(self) -> list[str]:
        """List the columns that hold numbers, the keys left out.

        Raises
        ------
        DataError
            Where the file cannot be parsed.
        """
        value = self.value_of_wide
        if value is not None:
            return [value]
        if self.part.kind == "qlib":
            return self.physical
        if self.part.kind == "arrow":
            numbers = read.number_fields(arrow_file.schema(self.part))
        elif self.part.kind in ("csv", "json"):
            numbers = mostly_numbers(self.part, self.layout)
        else:
            numbers = read.number_columns(self.part, self.layout)
        return [name for name in numbers if name not in (self.entity, self.time)]

    @property
    def wide_entities(self) -> list[str]:
        """Entities of a wide table: its columns but the time."""
        return [name for name in self.physical if name != self.time]

    def require(self, wanted: Sequence[str]) -> None:
        """Check that the table has the key columns and the wanted ones.

        Raises
        ------
        ConfigError
            Naming the nearest known names.
        """
        for name in (*self.key_columns, *wanted):
            known = self.names if name in wanted else self.physical
            if name not in known:
                do = nearest(name, known)
                raise ConfigError(f"source {self.part.label}", "unknown column", found=repr(name), do=do)

    def blocks(
        self,
        values: Sequence[str],
        time_format: TimeFormat | None,
        *,
        num_threads: int = 1,
        start: Position | None = None,
    ) -> Iterator[RawBlock]:
        """Read the rows in small blocks: the fast way; text is parsed by so many threads.

        With ``start``, the ``after`` of an earlier block, only what comes after that block is read.

        Raises
        ------
        TypedReadError
            Where a value is not a number or a row has the wrong number of cells: use :meth:`checked`.
        """
        present = self._present(values)
        if self.part.kind == "qlib":
            raw = qlib_bins.read_instrument(self.part, present)
        elif self.part.kind == "arrow":
            raw = arrow_file.read_arrow(self.part, *self._keys, present, start)
        else:
            raw = read.read_blocks(self.part, *self._keys, present, self.layout, num_threads=num_threads, start=start)
        for block in raw:
            yield from self._long(block, values, present, time_format)

    def checked(self, values: Sequence[str], time_format: TimeFormat | None, bad: list[BadRow]) -> Iterator[RawBlock]:
        """Read a text as text and convert cell by cell, putting rows that do not fit into ``bad``: the careful way."""
        present = self._present(values)
        for block in read.read_rows_checked(self.part, *self._keys, present, bad, self.layout):
            yield from self._long(block, values, present, time_format)

    @property
    def _keys(self) -> tuple[str, str]:
        return (self.key_columns[0], self.key_columns[-1])

    def _present(self, values: Sequence[str]) -> list[str]:
        if self.value_of_wide is not None:
            return self.wide_entities
        return [name for name in values if name in self.physical]

    def _long(
        self, block: RawBlock, values: Sequence[str], present: Sequence[str], time_format: TimeFormat | None
    ) -> Iterator[RawBlock]:
        """Turn a block as it is in the file into rows of the long table."""
        where = f"source {self.part.label}"
        block = replace(block, time=localised(block.time, time_format, where=where))
        if self.value_of_wide is not None:
            yield from self._melted(block, values)
            return
        if self.constant_entity is not None:
            block = replace(block, entity=read.constant(self.constant_entity, len(block.line)))
        _check_names(block.entity, where)
        if list(values) != list(present):
            whole: Float64 = np.full((len(block.line), len(values)), np.nan)
            whole[:, [list(values).index(name) for name in present]] = block.values
            block = replace(block, values=whole)
        yield self._divided(block, values)

    def _divided(self, block: RawBlock, values: Sequence[str]) -> RawBlock:
        for place, name in enumerate(values):
            if name in self.layout.divide:
                block.values[:, place] /= self.layout.divide[name]
        return block

    def _melted(self, block: RawBlock, values: Sequence[str]) -> Iterator[RawBlock]:
        """Give one row for each cell that holds a number, in order of line, then of column."""
        names = pa.array(self.wide_entities, pa.string())
        step = max(1, MELTED_CELLS // max(1, len(names)))
        value = self.value_of_wide or ""
        place = list(values).index(value) if value in values else -1
        for start in range(0, len(block.line), step):
            cells = block.values[start : start + step]
            rows, columns = np.nonzero(~np.isnan(cells))
            out: Float64 = np.full((len(rows), len(values)), np.nan)
            if place >= 0:
                out[:, place] = cells[rows, columns]
            entity = pa.DictionaryArray.from_arrays(pa.array(columns.astype(np.int32)), names)
            time = block.time.take(pa.array(rows + start))
            lines: Int64 = block.line[rows + start]
            after = block.after if start + step >= len(block.line) else None
            yield self._divided(RawBlock(entity, time, out, lines, after), values)


def open_tables(files: Sequence[Path], layout: Layout, entity: str, time: str) -> list[Table]:
    """Open the tables in files.

    Raises
    ------
    DataError
        For a damaged archive or a file name that holds no entity.
    """
    return [Table(part, layout, entity, time) for part in parts_of(files)]


def check_columns(tables: Sequence[Table], wanted: Sequence[str], layout: Layout) -> None:
    """Check that every table has the wanted columns, or that one has, where missing ones may be null.

    Raises
    ------
    ConfigError
        Where the first table lacks one.
    DataError
        Where a later one does: the columns change between files.
    """
    missing = [name for name in wanted if not any(name in table.names for table in tables)]
    tables[0].require(missing)
    for table in tables:
        table.require([])
        lost = [name for name in wanted if name not in table.names]
        if not lost or table.value_of_wide is not None or layout.missing_columns == "null":
            continue
        if table is tables[0]:
            table.require(lost)
        found = f"no {lost[0]!r} in it, and {_new(table, tables[0])}"
        do = "Mend the file, or allow it with missing_columns: null."
        where = f"source {table.part.label}"
        raise DataError(where, f"the columns are not those of {tables[0].part.name}", found=found[:300], do=do)


def _new(table: Table, first: Table) -> str:
    new = [name for name in table.names if name not in first.names]
    return f"{new[0]!r}, which is not in the first" if new else "no new one"


def _check_names(column: pa.Array, where: str) -> None:
    names = column.dictionary if pa.types.is_dictionary(column.type) else column
    if pa.types.is_string(names.type) and pc.any(pc.match_substring(names, "\0")).as_py():
        do = "The file is binary, or damaged: fetch it again."
        raise DataError(where, "NUL bytes in a name", do=do)


def _is_list_of_lists(part: Part, layout: Layout) -> bool:
    """Tell rows that are lists, which have no names, from rows that are objects."""
    try:
        with open_text(part, layout) as stream:
            head = (stream.read(4096) or b"").lstrip(b"\xef\xbb\xbf \t\r\n[")
    except read.UNREADABLE as error:
        raise read.unreadable(part, error) from error
    return not head.startswith(b"{")


def _pair(part: Part) -> str:
    """Give the pair of a freqtrade file: ``BTC_USDT-1h`` is BTC/USDT, ``BTC_USDT_USDT-1h-futures`` is BTC/USDT:USDT."""
    marks = part.stem.partition("-")[0].split("_")
    if len(marks) < 2 or not all(marks):
        where, allowed = f"source {part.label}", "BASE_QUOTE-TIMEFRAME, as in BTC_USDT-1h"
        raise DataError(where, "not the file name of a pair", found=repr(part.stem), allowed=allowed)
    return f"{marks[0]}/{marks[1]}" + (f":{marks[2]}" if len(marks) > 2 else "")
