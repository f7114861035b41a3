"""Plain .npy files with a 4096-byte header: written without leaving dirty pages, checked before a byte is mapped."""

import ast
import math
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from seawall.arrays import AnyArray
from seawall.errors import FormatError
from seawall.stores.atomic import WINDOW_BYTES, BlockSums

HEADER_BYTES = 4096

_MAGIC = b"\x93NUMPY\x01\x00"


def header(dtype: np.dtype, shape: Sequence[int]) -> bytes:
    """Build the header of a C-order array, padded to 4096 bytes."""
    text = f"{{'descr': {dtype.str!r}, 'fortran_order': False, 'shape': {tuple(shape)!r}, }}"
    body = text.ljust(HEADER_BYTES - 11) + "\n"
    return _MAGIC + (HEADER_BYTES - 10).to_bytes(2, "little") + body.encode("ascii")


class ArrayWriter:
    """Append rows to a .npy file; the number of rows is fixed when it is closed.

    Memory does not grow with what is written: at most ``WINDOW_BYTES`` are dirty in the page cache.

    Parameters
    ----------
    num_rows
        Go on with a file after so many rows, which are on disk; what comes later in it is cut off.
    final_rows
        How many there will be in the end, where that is known: checksums are then made of what is written.
    """

    def __init__(
        self,
        path: Path,
        dtype: str,
        row_shape: tuple[int, ...] = (),
        *,
        num_rows: int = 0,
        final_rows: int | None = None,
    ) -> None:
        self._dtype = np.dtype(dtype)
        self._row_shape = row_shape
        self._file = path.open("r+b" if num_rows else "wb")
        self._final_rows = None if num_rows else final_rows
        self._sums = BlockSums()
        head = header(self._dtype, (self._final_rows or 0, *row_shape))
        self._file.write(head)
        self._sums.update(memoryview(head))
        self._num_rows = num_rows
        if num_rows:
            self._file.truncate(HEADER_BYTES + num_rows * math.prod(row_shape) * self._dtype.itemsize)
            self._file.seek(0, os.SEEK_END)
        self._unflushed_bytes = 0

    def append(self, rows: AnyArray) -> None:
        """Append rows of the declared row shape; the values are cast to the declared dtype."""
        block = np.ascontiguousarray(rows, dtype=self._dtype)
        if block.shape[1:] != self._row_shape:
            raise ValueError(f"rows of shape {block.shape[1:]}, expected {self._row_shape}")
        if block.size:
            self._file.write(block.data)
            if self._final_rows is not None:
                self._sums.update(block.reshape(-1).view(np.uint8).data)
        self._num_rows += len(block)
        self._unflushed_bytes += block.nbytes
        if self._unflushed_bytes >= WINDOW_BYTES:
            self.flush()

    def flush(self) -> None:
        """Force all rows to disk, and let the kernel forget them."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._unflushed_bytes = 0

    def close(self) -> None:
        """Write the final shape and force everything to disk."""
        if self._file.closed:
            return
        if self._num_rows != self._final_rows:
            self._file.seek(0)
            self._file.write(header(self._dtype, (self._num_rows, *self._row_shape)))
        self.flush()
        self._file.close()

    @property
    def checksums(self) -> tuple[str, list[str]] | None:
        """Checksums of the closed file and its 64 MiB blocks; None where the file must be read for them."""
        return self._sums.sums() if self._file.closed and self._num_rows == self._final_rows else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def write_array(path: Path, array: AnyArray) -> None:
    """Write one array that is already in memory."""
    with ArrayWriter(path, array.dtype.str, array.shape[1:]) as writer:
        rows_per_step = max(1, WINDOW_BYTES // max(1, array.itemsize * math.prod(array.shape[1:])))
        for start in range(0, len(array), rows_per_step):
            writer.append(array[start : start + rows_per_step])


def check_array(path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    """Check header and length of an array file against what the manifest says, before a byte is mapped.

    Raises
    ------
    FormatError
        Where the file is missing, truncated, too long, or holds another dtype, order or shape.
    """
    where = str(path)
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except OSError as error:
        raise FormatError(where, "cannot be read", found=error.strerror or str(error)) from error
    expected_bytes = HEADER_BYTES + math.prod(shape) * np.dtype(dtype).itemsize
    if head[:8] != _MAGIC or len(head) != HEADER_BYTES or int.from_bytes(head[8:10], "little") != HEADER_BYTES - 10:
        raise FormatError(
            where, "not a .npy file with a 4096-byte header", found=repr(head[:10]), do="Run seawall ingest again."
        )
    try:
        fields = ast.literal_eval(head[10:].decode("ascii").strip())
        found = (fields["descr"], fields["fortran_order"], tuple(fields["shape"]))
    except (ValueError, SyntaxError, KeyError, TypeError, UnicodeDecodeError, MemoryError, RecursionError) as error:
        raise FormatError(where, "damaged header", found=repr(head[10:60]), do="Run seawall ingest again.") from error
    wanted = (np.dtype(dtype).str, False, shape)
    if found != wanted:
        raise FormatError(where, "header does not match the manifest", found=repr(found), allowed=repr(wanted))
    if size_bytes != expected_bytes:
        raise FormatError(where, "wrong length", found=f"{size_bytes:,} bytes", allowed=f"{expected_bytes:,} bytes")


def map_array(path: Path, dtype: str, shape: tuple[int, ...]) -> AnyArray:
    """Check and map an array file read-only. Its pages are lent by the kernel and can be taken back."""
    check_array(path, dtype, shape)
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype=np.dtype(dtype), mode="r", offset=HEADER_BYTES, shape=shape)


def advise_random(array: AnyArray) -> None:
    """Tell the kernel that a mapped array is read in scattered places, so that a place costs its own page and no more.

    The default mapping reads 128 KiB and more around every place, and under a tight limit throws it away before it is
    used: 150 GB were read so for 0.3 GB of windows. Arrays in memory are left alone.
    """
    for part in getattr(array, "parts", ()):  # one array a segment
        advise_random(part)
    if hasattr(mmap, "MADV_RANDOM") and (found := mapping_of(array)) is not None:
        found[0].madvise(mmap.MADV_RANDOM)


def mapping_of(array: AnyArray) -> tuple[mmap.mmap, int] | None:
    """Find the mapping an array lies in and the byte of it that the array begins at; None for an array in memory."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if not isinstance(base, mmap.mmap):
        return None
    start, own = (part.__array_interface__["data"][0] for part in (np.frombuffer(base, np.uint8), array))
    return base, own - start
