"""A bounded look at all columns of a table before anybody has said what they are: kinds, examples, marks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from seawall.errors import DataError
from seawall.tables import arrow_file
from seawall.tables.kinds import MOSTLY_SHARE, first_rows
from seawall.tables.layout import PLAIN, Layout
from seawall.tables.numbers import to_numbers
from seawall.tables.parts import Part
from seawall.tables.read import UNREADABLE, column_names, unreadable
from seawall.tables.table import Table
from seawall.tables.times import infer_format

MAX_ROWS = 4_096
"""Rows looked at; of a text those of its first half MiB."""

NUM_EXAMPLES = 3
EXAMPLE_LENGTH = 40

_MARKS = (
    PLAIN,
    Layout(thousands=","),
    Layout(decimal=",", delimiter=";"),
    Layout(decimal=",", thousands=".", delimiter=";"),
    Layout(thousands=" "),
)
"""Ways to write numbers, the usual one first; the delimiter here only keeps the layout consistent."""

_ALMOST = re.compile(r"^[^\d\w]{0,3}\d[\d.,' ]*[^\d]{0,3}$")
"""A number with something around it, such as a currency sign."""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What the first rows tell of one column."""

    name: str
    kind: str
    """``number``, ``time`` (a type of its own), ``text``, or ``empty``."""
    is_whole: bool
    """Numbers without a fraction."""
    num_distinct: int
    examples: tuple[str, ...]
    time_format: str
    """How the texts or integers read as times; ``ambiguous: ...`` where several ways differ; else empty."""
    looks_almost_number: bool = False
    """Texts that would be numbers but for a sign around them."""
    is_unique_with_time: bool = False
    """No two of the first rows share this value and the time."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the first rows of a table tell."""

    columns: tuple[ColumnFacts, ...]
    num_rows: int
    delimiter: str
    decimal: str
    thousands: str
    rows: pa.Table


def profile(part: Part) -> Profile:
    """Look at the first rows of a table; memory is those rows as text.

    Raises
    ------
    DataError
        Where the file cannot be parsed or has no row.
    """
    rows, layout = _rows(part)
    if not rows.num_rows:
        raise DataError(f"source {part.label}", "no rows", found="a header only", do="Check that the file is complete.")
    marks = _marks_of(rows, layout) if part.kind in ("csv", "json") else PLAIN
    columns = tuple(_facts(name, rows[name], marks) for name in rows.column_names)
    return Profile(columns, rows.num_rows, layout.delimiter or ",", marks.decimal, marks.thousands, rows)


def _rows(part: Part) -> tuple[pa.Table, Layout]:
    try:
        if part.kind == "parquet":
            with pq.ParquetFile(part.path, pre_buffer=False) as file:
                batch = next(iter(file.iter_batches(MAX_ROWS, use_threads=False)), None)
                return (pa.Table.from_batches([batch]) if batch else file.schema_arrow.empty_table()), PLAIN
        if part.kind == "arrow":
            return arrow_file.head(part, MAX_ROWS), PLAIN
        layout = Table(part, PLAIN, "", "").layout
        return first_rows(part, layout, column_names(part, layout)), layout
    except UNREADABLE as error:
        raise unreadable(part, error) from error


def _marks_of(rows: pa.Table, layout: Layout) -> Layout:
    """Find the decimal and thousands marks under which most columns are numbers; the usual ones where nothing is won.

    Where both readings of a comma fit all values, a file parted by semicolons has decimal commas.
    """
    counts = [sum(_is_number(rows[name], marks) for name in rows.column_names) for marks in _MARKS]
    order = list(range(len(_MARKS)))
    if layout.delimiter == ";":
        order = [0, 2, 3, 1, 4]
    return _MARKS[max(order, key=lambda place: (counts[place], -order.index(place)))]


def _is_number(column: pa.ChunkedArray, marks: Layout) -> bool:
    texts = pa.concat_arrays(column.chunks)
    numbers, fits = to_numbers(texts, marks)
    num_numbers, num_others = len(numbers) - numbers.null_count, int(np.sum(~fits))
    return bool(num_numbers and num_numbers >= MOSTLY_SHARE * (num_numbers + num_others))


def _facts(name: str, column: pa.ChunkedArray, marks: Layout) -> ColumnFacts:
    present = column.drop_null()
    if pa.types.is_dictionary(present.type):
        present = present.cast(present.type.value_type)
    distinct = present.unique()
    examples = tuple(_shown(value) for value in distinct.slice(0, NUM_EXAMPLES).to_pylist())
    kind, is_whole = _kind(present, column, marks)
    texts = _texts(distinct) if kind in ("text", "number") and is_whole in (True, None) else []
    return ColumnFacts(
        name=name,
        kind=kind,
        is_whole=bool(is_whole),
        num_distinct=len(distinct),
        examples=examples,
        time_format=_time_format(texts) if kind != "empty" else "",
        looks_almost_number=kind == "text" and bool(texts) and all(_ALMOST.match(text) for text in texts[:50]),
    )


def _kind(present: pa.ChunkedArray, column: pa.ChunkedArray, marks: Layout) -> tuple[str, bool | None]:
    """Name the kind, and tell whether numbers are whole (None for texts)."""
    kind = present.type
    if not len(present) or pa.types.is_null(kind):
        return "empty", False
    if pa.types.is_temporal(kind):
        return "time", False
    if pa.types.is_integer(kind):
        return "number", True
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind):
        return "number", False
    if not _is_text(kind):
        return "empty", False  # lists and structs: nothing that ingest reads
    if column.type == pa.string() and _is_number(column, marks):
        numbers = to_numbers(pa.concat_arrays(column.chunks), marks)[0].drop_null()
        return "number", bool(pc.all(pc.equal(pc.floor(numbers), numbers)).as_py())
    return "text", None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _texts(distinct: pa.Array) -> list[str]:
    return [str(value).strip() for value in distinct.slice(0, 2_000).to_pylist()]


def _time_format(texts: Sequence[str]) -> str:
    if not texts:
        return ""
    try:
        return infer_format(texts, where="").name
    except DataError as error:
        return f"ambiguous: {error.found}" if "ambiguous" in error.what or "may be" in error.what else ""


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= EXAMPLE_LENGTH else text[: EXAMPLE_LENGTH - 1] + "…"


def unique_with(rows: pa.Table, first: str, second: str | None) -> bool:
    """Tell whether no two rows share the values of the columns."""
    names = [first] if second is None else [first, second]
    counted = rows.select(names).group_by(names, use_threads=False).aggregate([([], "count_all")])
    return bool(counted.num_rows == rows.num_rows)
