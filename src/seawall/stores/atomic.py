"""Write a file so that a reader, or a kill at any moment, sees the old file or the new one, never a half."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

BLOCK_BYTES = 64 * 1024 * 1024
"""Bytes per checksum block."""

READ_BYTES = 256 * 1024

WINDOW_BYTES = 16 * 1024 * 1024
"""Written bytes are forced to disk and dropped from the cache at this step: dirty pages get containers killed."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; on success flush it to disk and rename it to ``path``.

    On an exception the temporary file is removed and ``path`` stays as it was.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Force a file or folder to disk and give its pages back to the kernel."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


class DirtyWindow:
    """Keep the unwritten pages of a growing file below ``WINDOW_BYTES``: call :meth:`note` after each write."""

    def __init__(self, path: Path) -> None:
        self._path, self._flushed_bytes = path, 0

    def note(self) -> None:
        """Flush where enough has been written since the last time."""
        written_bytes = self._path.stat().st_size
        if written_bytes - self._flushed_bytes >= WINDOW_BYTES:
            flush(self._path)
            self._flushed_bytes = written_bytes


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Replace a JSON file atomically."""
    write_text(path, json_text(value))


def json_text(value: object) -> str:
    """Write a value as JSON: sorted keys, no NaN (undefined numbers must be None)."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def file_checksum(path: Path) -> str:
    """Compute the xxh3-64 of a whole file, reading 256 KiB at a time into one buffer."""
    digest, buffer = xxhash.xxh3_64(), memoryview(bytearray(READ_BYTES))
    with path.open("rb", buffering=0) as file:
        while num_read := file.readinto(buffer):
            digest.update(buffer[:num_read])
    return digest.hexdigest()


class BlockSums:
    """The xxh3-64 of a stream of bytes and of each 64 MiB block of it, as they come."""

    def __init__(self) -> None:
        self._whole, self._block = xxhash.xxh3_64(), xxhash.xxh3_64()
        self._blocks: list[str] = []
        self._filled_bytes = 0

    def update(self, data: memoryview) -> None:
        """Take in the next bytes."""
        while data:
            part = data[: BLOCK_BYTES - self._filled_bytes]
            self._whole.update(part)
            self._block.update(part)
            self._filled_bytes += len(part)
            if self._filled_bytes == BLOCK_BYTES:
                self._blocks.append(self._block.hexdigest())
                self._block, self._filled_bytes = xxhash.xxh3_64(), 0
            data = data[len(part) :]

    def sums(self) -> tuple[str, list[str]]:
        """Give the checksum of all bytes so far, and those of their blocks."""
        rest = [self._block.hexdigest()] if self._filled_bytes or not self._blocks else []
        return self._whole.hexdigest(), [*self._blocks, *rest]


def block_checksums(path: Path) -> tuple[str, list[str]]:
    """Compute the xxh3-64 of a whole file and of each 64 MiB block, in one read."""
    found = BlockSums()
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            found.update(memoryview(chunk))
    return found.sums()


def text_key(*parts: str) -> str:
    """Compute a content key (xxh3-128, hex) of several texts; the order matters, and so do the cuts between them."""
    digest = xxhash.xxh3_128()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()
