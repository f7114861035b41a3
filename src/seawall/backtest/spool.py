"""Rows on their way to a file: set aside on disk while the backtest walks, and read again when it is done.

A Parquet writer keeps something of every row group it has written until it is closed, and a curve grows by a row a
date. Set aside, neither is in memory while prices are: what the walk holds does not grow with dates or trades.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seawall.stores.atomic import WINDOW_BYTES

Rows = np.ndarray[Any, np.dtype[np.void]]


class Spool:
    """Append-only rows of named columns in a file without a name, which is gone with its process.

    Memory is the buffer. What was written is forced to disk every 16 MiB and leaves the page cache.

    Parameters
    ----------
    folder
        Whose file system holds the rows.
    dtype
        Names and types of the columns.
    buffer_rows
        Rows held before they are written. Changes no result.
    """

    def __init__(self, folder: Path, dtype: npt.DTypeLike, buffer_rows: int) -> None:
        # Closed by close(); a with statement here would end it with the constructor.
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._buffer: Rows = np.zeros(buffer_rows, dtype)
        self._held = self._num_written = self._unflushed_bytes = 0

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Names and types of the columns."""
        return self._buffer.dtype

    def __len__(self) -> int:
        """Count the rows appended."""
        return self._num_written + self._held

    def append(self, columns: Mapping[str, Any], num_rows: int) -> None:
        """Add rows: for each column an array of ``num_rows``, or one value for all of them."""
        start = 0
        while start < num_rows:
            if self._held == len(self._buffer):
                self._write()
            stop = min(num_rows, start + len(self._buffer) - self._held)
            place = self._buffer[self._held : self._held + stop - start]
            for name, values in columns.items():
                place[name] = values[start:stop] if np.ndim(values) else values
            self._held += stop - start
            start = stop

    def blocks(self, num_rows: int) -> Iterator[Rows]:
        """Read all rows in order, ``num_rows`` at a time; the last block may be shorter."""
        self._write()
        row_bytes = self._buffer.dtype.itemsize
        for start in range(0, self._num_written, num_rows):
            block = np.empty(min(num_rows, self._num_written - start), self._buffer.dtype)
            _read_all(self._file.fileno(), block.view(np.uint8).data, start * row_bytes)
            yield block

    def _write(self) -> None:
        held = self._buffer[: self._held].view(np.uint8).data
        # An unbuffered file may take less than it is given.
        while len(held):
            held = held[self._file.write(held) :]
        self._num_written += self._held
        self._unflushed_bytes += self._held * self._buffer.dtype.itemsize
        self._held = 0
        if self._unflushed_bytes >= WINDOW_BYTES:
            os.fsync(self._file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            self._unflushed_bytes = 0

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()


def _read_all(descriptor: int, into: memoryview, offset: int) -> None:
    while len(into):
        num_read = os.preadv(descriptor, [into], offset)
        if not num_read:
            raise OSError("rows that were set aside are not all there")
        into, offset = into[num_read:], offset + num_read
