"""Rows of fixed width set aside on disk by part: written in long runs, each sorted by part, and read part by part."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from seawall.arrays import AnyArray, Int64

SLICE_BYTES = 1024 * 1024
"""Rows gathered at once when a run is written."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment to roll back to."""

    num_runs: int
    num_bytes: int
    num_staged: int


@dataclass(frozen=True, slots=True)
class Written:
    """What is on disk for good: bytes of the file, first byte and ends of parts of each run."""

    num_bytes: int
    starts: list[int]
    runs: list[AnyArray]


class Spill:
    """One file of runs. Rows of a part come back in the order they were added.

    Memory: ``staging_bytes`` twice over at most, and 4 bytes a part and run. What was written is forced to disk in the
    background, one run behind: dirty pages are never more than two runs.

    Parameters
    ----------
    dtype
        Layout of a row.
    staging_bytes
        Rows gathered before a run is written.
    written
        Go on with the file after these runs; what comes later in it is cut off.
    """

    def __init__(
        self, path: Path, dtype: np.dtype, num_parts: int, staging_bytes: int, written: Written | None = None
    ) -> None:
        self.path, self.dtype, self.num_parts = path, dtype, num_parts
        capacity = max(1, staging_bytes // dtype.itemsize)
        self._staged: AnyArray = np.empty((capacity, dtype.itemsize), np.uint8)
        self._parts = np.empty(capacity, np.uint16 if num_parts <= 1 << 16 else np.int64)
        self._fill = self._marked = 0
        self._runs: list[AnyArray] = list(written.runs) if written else []
        self._starts: list[int] = list(written.starts) if written else []
        self._num_bytes = written.num_bytes if written else 0
        self._file = path.open("r+b" if written else "w+b", buffering=0)
        self._cut()
        self._sync_pool = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._sync: Future[None] | None = None

    def add(self, rows: AnyArray, parts: Int64) -> None:
        """Add rows of the declared layout, each with the number of its part."""
        raw = rows.view(np.uint8).reshape(len(rows), self.dtype.itemsize)
        done = 0
        while done < len(rows):
            if self._fill == len(self._staged):
                self.flush()
            count = min(len(rows) - done, len(self._staged) - self._fill)
            place = slice(self._fill, self._fill + count)
            self._staged[place], self._parts[place] = raw[done : done + count], parts[done : done + count]
            self._fill, done = self._fill + count, done + count

    def flush(self) -> None:
        """Write what is staged; rows before a mark make a run of their own, so that it can be rolled back to."""
        for start, stop in ((0, self._marked), (self._marked, self._fill)):
            if stop > start:
                self._write_run(start, stop)
        self._fill = self._marked = 0

    def _write_run(self, start: int, stop: int) -> None:
        self._wait_for_sync()
        parts = self._parts[start:stop]
        order = np.argsort(parts, kind="stable") + start
        counts = np.bincount(parts, minlength=self.num_parts)
        rows_per_slice = max(1, SLICE_BYTES // self.dtype.itemsize)
        for first in range(0, len(order), rows_per_slice):
            _write_all(self._file.fileno(), self._staged[order[first : first + rows_per_slice]])
        self._runs.append(np.concatenate([[0], np.cumsum(counts)]).astype(np.uint32))
        self._starts.append(self._num_bytes)
        self._num_bytes += len(order) * self.dtype.itemsize
        self._sync = self._sync_pool.submit(os.fdatasync, self._file.fileno())

    def _wait_for_sync(self) -> None:
        if self._sync is not None:
            self._sync.result()
            self._sync = None

    def mark(self) -> Mark:
        """Remember this moment; it holds until the next mark."""
        self._marked = self._fill
        return Mark(len(self._runs), self._num_bytes, self._fill)

    def roll_back(self, mark: Mark) -> None:
        """Forget all rows added since the mark."""
        self._wait_for_sync()
        if len(self._runs) == mark.num_runs:
            self._fill = mark.num_staged
            return
        kept = mark.num_runs + (mark.num_staged > 0)  # the rows staged at the mark were written as a run
        self._num_bytes = mark.num_bytes + mark.num_staged * self.dtype.itemsize
        del self._runs[kept:], self._starts[kept:]
        self._cut()
        self._fill = self._marked = 0

    def _cut(self) -> None:
        os.ftruncate(self._file.fileno(), self._num_bytes)
        os.lseek(self._file.fileno(), self._num_bytes, os.SEEK_SET)

    def settle(self) -> Written:
        """Force all rows to disk, and tell how to find them again."""
        self.flush()
        self._wait_for_sync()
        return Written(self._num_bytes, list(self._starts), list(self._runs))

    def release(self) -> None:
        """Write what is staged and give the staging memory back: reading begins."""
        self.flush()
        self._wait_for_sync()
        self._staged, self._parts = self._staged[:0].copy(), self._parts[:0].copy()

    def num_rows(self, part: int) -> int:
        """Count the rows of a part that are written."""
        return sum(int(ends[part + 1] - ends[part]) for ends in self._runs)

    def read(self, part: int) -> AnyArray:
        """Read all rows of a part."""
        rows: AnyArray = np.empty(self.num_rows(part), self.dtype)
        raw = rows.view(np.uint8).data
        done = 0
        for offset, size in self._places(part):
            _read_all(self._file.fileno(), raw[done : done + size], offset)
            done += size
        return rows

    def read_slowly(self, part: int, max_rows: int) -> Iterator[AnyArray]:
        """Read the rows of a part, at most so many at once."""
        step = max_rows * self.dtype.itemsize
        for offset, size in self._places(part):
            for first in range(0, size, step):
                rows: AnyArray = np.empty(min(step, size - first) // self.dtype.itemsize, self.dtype)
                _read_all(self._file.fileno(), rows.view(np.uint8).data, offset + first)
                yield rows

    def fetch_ahead(self, part: int) -> None:
        """Ask the kernel to bring a part into its cache while something else is computed."""
        if part < self.num_parts and hasattr(os, "posix_fadvise"):
            for offset, size in self._places(part):
                os.posix_fadvise(self._file.fileno(), offset, size, os.POSIX_FADV_WILLNEED)

    def _places(self, part: int) -> Iterator[tuple[int, int]]:
        width = self.dtype.itemsize
        for start, ends in zip(self._starts, self._runs, strict=True):
            if ends[part + 1] > ends[part]:
                yield start + int(ends[part]) * width, int(ends[part + 1] - ends[part]) * width

    def close(self, *, keep: bool = False) -> None:
        """Close the file, and remove it."""
        self._sync_pool.shutdown()
        self._file.close()
        if not keep:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _write_all(descriptor: int, rows: AnyArray) -> None:
    left = rows.data.cast("B")
    while left:
        left = left[os.write(descriptor, left) :]


def _read_all(descriptor: int, into: memoryview, offset: int) -> None:
    done = 0
    while done < len(into):
        count = os.preadv(descriptor, [into[done:]], offset + done)
        if not count:
            raise OSError("a temporary file of ingest was cut short by somebody else")
        done += count
