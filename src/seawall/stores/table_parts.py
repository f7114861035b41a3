"""A table on disk in parts of a fixed number of row groups, so that neither its writer nor its reader grows with it.

Parquet keeps something of every row group of a file that is open. Files of 16 row groups bound that; a table of up to
1,048,576 rows is one file.
"""

import re
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from seawall.stores.atomic import DirtyWindow, flush

GROUPS_PER_PART = 16
"""Row groups of one file: 1,048,576 rows where each holds 65,536. Part of the format."""

_PART = re.compile(r"table_\d{4,}\.parquet")


def table_parts(path: Path) -> list[Path]:
    """List the files of a table in order of time: the one file named, or ``table_NNNN.parquet`` of a folder."""
    if not path.is_dir():
        return [path]
    found = (part for part in path.iterdir() if _PART.fullmatch(part.name))
    return sorted(found, key=lambda part: int(part.stem.removeprefix("table_")))


class PartsWriter:
    """Write ``table_0000.parquet``, ``table_0001.parquet``, ...; they take the place of earlier ones at the good end.

    Until then, and after an exception, the earlier table stays as it was. Memory is one row group and the footer of one
    part.

    Parameters
    ----------
    folder
        Where the parts go.
    schema
        Columns of the table.
    dictionary_columns
        Columns whose values repeat enough for Parquet's dictionaries.
    """

    def __init__(self, folder: Path, schema: pa.Schema, dictionary_columns: list[str]) -> None:
        self._folder, self._schema, self._dictionaries = folder, schema, dictionary_columns
        self._temporaries: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._num_groups = 0

    def write(self, group: pa.Table) -> None:
        """Append one row group."""
        if self._num_groups == GROUPS_PER_PART:
            self._close()
            self._open()
        if self._writer is not None:
            self._writer.write_table(group)
            self._num_groups += 1
            self._window.note()

    def _open(self) -> None:
        self._temporaries.append(self._folder / f".table_{len(self._temporaries):04d}.parquet.tmp")
        self._writer = pq.ParquetWriter(
            self._temporaries[-1], self._schema, compression="zstd", use_dictionary=self._dictionaries
        )
        self._window, self._num_groups = DirtyWindow(self._temporaries[-1]), 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            flush(self._temporaries[-1])

    def _publish(self) -> None:
        parts = [path.with_name(path.name[1:].removesuffix(".tmp")) for path in self._temporaries]
        for temporary, part in zip(self._temporaries, parts, strict=True):
            temporary.replace(part)
        for old in set(table_parts(self._folder)) - set(parts):
            old.unlink()
        flush(self._folder)

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close()
            if kind is None:
                self._publish()
        finally:
            for temporary in self._temporaries:
                temporary.unlink(missing_ok=True)
