"""Tables from outside, read in small blocks: names as numbers, times as ns or steps, every bad row told by its line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from seawall import datasets
from seawall.arrays import Bool, Int64
from seawall.errors import ConfigError, DataError, nearest
from seawall.tables.layout import Layout
from seawall.tables.read import BadRow, RawBlock, TypedReadError
from seawall.tables.sample import sample_tables
from seawall.tables.sources import expand
from seawall.tables.table import Table, open_tables
from seawall.tables.times import TimeFormat, declared_format, from_typed, infer_format, parse_texts

DATASET = "dataset:"


def files_of(source: str | Path) -> list[Path]:
    """List the files a source means; ``dataset:NAME`` is a panel shipped with the package.

    Raises
    ------
    ConfigError, DataError
        For an unknown dataset, or a file that is missing, empty or of an unknown kind.
    """
    text = str(source)
    if not text.startswith(DATASET):
        return expand([text])
    name = text.removeprefix(DATASET)
    if name not in datasets.__all__:
        raise ConfigError(f"source {text}", "unknown dataset", found=repr(name), do=nearest(name, datasets.__all__))
    path: Path = getattr(datasets, name)()
    return [path]


def tables_of(files: Sequence[Path], entity: str, time: str) -> list[Table]:
    """Open the tables of a source: CSV, Parquet, Arrow and what else can be ingested."""
    return open_tables(files, Layout(), entity, time)


def read_checked(table: Table, values: Sequence[str]) -> Iterator[RawBlock]:
    """Read a table in blocks; a row that cannot be read is refused with its line.

    Raises
    ------
    ConfigError, DataError
        For an unknown column, or the first bad row.
    """
    table.require(list(values))
    try:
        yield from table.blocks(values, None)
    except TypedReadError as error:
        bad: list[BadRow] = []
        for _ in table.checked(values, None, bad):
            if bad:
                break
        if not bad:
            raise DataError(
                f"source {table.part.label}", "cannot be parsed", found=str(error).splitlines()[0]
            ) from error
        first = bad[0]
        raise DataError(
            f"{first.file}, line {first.line}", first.reason, found=repr(first.text), do="Mend the row."
        ) from error


class Texts:
    """Numbers for texts, in order of first appearance; memory grows with distinct texts."""

    def __init__(self, known: Sequence[str] = ()) -> None:
        self.names = list(known)
        self._codes = {name: code for code, name in enumerate(self.names)}
        self._is_fixed = bool(known)

    def codes(self, column: pa.Array, where: str) -> Int64:
        """Give the number of each text; -1 for an unknown one where the texts were given.

        Raises
        ------
        DataError
            For a missing text.
        """
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        if column.null_count:
            raise DataError(where, "a key is missing", found=f"row {int(np.argmax(_is_null(column))) + 1} of a block")
        local = [self._code(text) for text in column.dictionary.cast(pa.string()).to_pylist()]
        places: Int64 = column.indices.cast(pa.int64()).to_numpy()
        return np.asarray(np.array(local or [0], np.int64)[places])

    def _code(self, text: str) -> int:
        if self._is_fixed:
            return self._codes.get(text, -1)
        code = self._codes.setdefault(text, len(self.names))
        if code == len(self.names):
            self.names.append(text)
        return code


def _is_null(column: pa.Array) -> Bool:
    return np.asarray(column.is_null())


class TimeReader:
    """Times of one source, in the one format that is declared or that a sample proves."""

    def __init__(self, tables: Sequence[Table], declared: str | None) -> None:
        self.kind = ""
        self._format: TimeFormat | None = declared_format(declared, where="time_format") if declared else None
        if self._format is None:
            for table in tables:
                table.require([])
            texts = list(sample_tables(tables).time_texts)
            self._format = infer_format(texts, where=f"column {tables[0].time}") if texts else None

    def times(self, column: pa.Array, where: str) -> Int64:
        """Give ns since 1970 or steps, int64 [n].

        Raises
        ------
        DataError
            For a time that is missing or does not fit the format, with its text.
        """
        if pa.types.is_dictionary(column.type) and self._format is not None:
            parsed, fits = parse_texts(column.dictionary.cast(pa.string()), self._format)
            places = column.indices.cast(pa.int64()).fill_null(-1).to_numpy()
            times, valid = np.append(parsed, 0)[places], np.append(fits, False)[places]
            kind = self._format.calendar_kind
        else:
            times, valid, kind = from_typed(column, where=where)
        if not valid.all():
            place = int(np.argmin(valid))
            raise DataError(
                where, "a time is missing or does not fit the format", found=repr(str(column[place])), do="Mend it."
            )
        if self.kind and kind != self.kind:
            raise DataError(where, "sources disagree on the kind of time", found=kind, allowed=self.kind)
        self.kind = kind
        return np.asarray(times)
