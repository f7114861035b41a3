"""A block of rows as it is read from any table, rows that cannot be used, and damaged files in words."""

import zipfile
import zlib
from dataclasses import dataclass

import pyarrow as pa

from seawall.arrays import Float64, Int64
from seawall.errors import DataError
from seawall.tables.parts import Part
from seawall.tables.pieces import Position

BAD_TEXT_LENGTH = 120
"""Characters of a bad row that are shown."""

UNREADABLE = (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, zipfile.BadZipFile, zlib.error)
"""What the libraries raise for a damaged file."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be used, and why."""

    file: str
    line: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class RawBlock:
    """Rows as read: keys as dictionary arrays (texts) or typed arrays, values as float64 [n, V], NaN where missing.

    Values lie column by column in memory, as they are parsed.
    """

    entity: pa.Array
    time: pa.Array
    values: Float64
    line: Int64
    after: Position | None = None
    """Where reading can go on after this block."""
    label: pa.Array | None = None
    """A column of texts or integers, where one was asked for."""


class TypedReadError(Exception):
    """A block did not convert with the fixed types; the file must be read again row by row."""


def unreadable(part: Part, error: Exception) -> DataError:
    """Turn what a library raises for a damaged file into an error of ours."""
    what = "cannot be parsed" if isinstance(error, (ValueError, pa.ArrowException)) else "cannot be read to its end"
    found = (str(error).splitlines() or [type(error).__name__])[0][:BAD_TEXT_LENGTH]
    return DataError(f"source {part.label}", what, found=found, do="Check that the file is complete, and UTF-8 text.")
