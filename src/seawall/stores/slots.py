"""The slot file: a place on disk for every prediction of a fold, filled in any order; a bitmap says what is there."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from seawall.arrays import Bool, Float32, Int64
from seawall.errors import ResumeError
from seawall.stores.atomic import replacing
from seawall.stores.slot_bits import SlotBits

SLOTS_FORMAT = "seawall-slots/1"
HEADER_BYTES = 4096

COMMIT_SECONDS = 1.0
"""Slots written since the last commit are written again after a kill: a second of work against one flush a second."""

COMMIT_BYTES = 4 * 1024 * 1024
"""Unwritten pages are charged to the container: never more than this."""

COMMIT_BITS_BYTES = 16 * 1024 * 1024
"""Of the bitmap: pages that slots in no order have touched."""


class SlotFile:
    """float32 [num_slots, num_outputs] on disk, written batch by batch; the format is section 2 of FORMAT.md.

    Opening a file with the same sizes and key continues it; any other file at ``path`` is started anew. Writes become
    proof against a kill or a power cut at the next commit (each second, each 4 MiB, and on close): values are flushed
    before their bits. Memory is one batch and the pages of the bitmap that it touches; the rest is the page cache's.

    Parameters
    ----------
    key
        Content key of what the values are computed from.
    num_steps, stride_periods
        Of slots that hold every step of a window, [step, output] flat: the steps, and the rows between windows.
    shared
        Several processes write the file, each slots of its own: bits are added to those on disk, under a lock.
    """

    def __init__(
        self,
        path: Path,
        *,
        num_slots: int,
        num_outputs: int,
        key: str,
        num_steps: int = 0,
        stride_periods: int = 0,
        shared: bool = False,
    ) -> None:
        self.path, self.num_slots, self.num_outputs, self.shared = path, num_slots, num_outputs, shared
        steps = {"num_steps": num_steps, "stride_periods": stride_periods} if num_steps else {}
        header = _header(num_slots, num_outputs, key, steps)
        bits_at = HEADER_BYTES + 4 * num_slots * num_outputs
        size_bytes = bits_at + -(-num_slots // 8)
        if not _is_ours(path, header, size_bytes):
            _create(path, header, size_bytes)
        self._descriptor = os.open(path, os.O_RDWR)
        self._values: Float32 | None = None
        self._bits = SlotBits(self._descriptor, bits_at, num_slots)
        self._uncommitted_bytes = 0
        self._committed_at = time.monotonic()

    def write(self, slots: Int64, values: Float32) -> None:
        """Put float32 [n, num_outputs] at their slots; a slot may be written again."""
        self._map()[slots] = values
        self._bits.add(slots)
        self._uncommitted_bytes += values.nbytes
        is_full = self._uncommitted_bytes >= COMMIT_BYTES or self._bits.num_fresh_bytes >= COMMIT_BITS_BYTES
        if is_full or time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Force values to disk, then the bits that vouch for them."""
        if self._uncommitted_bytes:
            os.fsync(self._descriptor)
            with self._alone():
                self._bits.commit()
            os.fsync(self._descriptor)
        self._uncommitted_bytes = 0
        self._committed_at = time.monotonic()

    def read(self, slots: Int64) -> Float32:
        """Copy values out of the file; meaningless where nothing was written."""
        found: Float32 = np.array(self._map()[slots])
        return found

    def written(self, slots: Int64) -> Bool:
        """Tell which slots hold a value, written here or committed by another process."""
        return self._bits.test(slots)

    def missing(self) -> Int64:
        """List the slots without a value, in order; memory is 8 bytes each."""
        return self._bits.missing()

    @property
    def is_complete(self) -> bool:
        """Every slot holds a value."""
        return self._bits.count() == self.num_slots

    def values(self) -> Float32:
        """Give float32 [num_slots, num_outputs], mapped read-only.

        Raises
        ------
        ResumeError
            While a slot is missing.
        """
        if not self.is_complete:
            found = f"{len(self.missing()):,} of {self.num_slots:,} missing"
            raise ResumeError(str(self.path), "slots are not complete", found=found, do="Run the same command again.")
        self.commit()
        mapped = self._map().view()
        mapped.flags.writeable = False
        return mapped

    def close(self) -> None:
        """Commit and close."""
        if self._descriptor >= 0:
            self.commit()
            os.close(self._descriptor)
            self._descriptor = -1
            self._values = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the bits on disk, where others write them too."""
        if self.shared:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if self.shared:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _map(self) -> Float32:
        if self._values is None:
            shape = (self.num_slots, self.num_outputs)
            empty = 0 in shape
            self._values = (
                np.empty(shape, np.float32)
                if empty
                else np.memmap(self.path, dtype="<f4", mode="r+", offset=HEADER_BYTES, shape=shape)
            )
        return self._values


def _header(num_slots: int, num_outputs: int, key: str, steps: dict[str, int]) -> bytes:
    record = {"format": SLOTS_FORMAT, "num_slots": num_slots, "num_outputs": num_outputs, **steps, "key": key}
    return json.dumps(record).encode("ascii").ljust(HEADER_BYTES)


def _is_ours(path: Path, header: bytes, size_bytes: int) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(HEADER_BYTES) == header and path.stat().st_size == size_bytes
    except OSError:
        return False


def _create(path: Path, header: bytes, size_bytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(header)
        file.truncate(size_bytes)
        # Space is taken now: a disk that fills up is told at once, not as a fault in the middle of a mapped write.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size_bytes)
