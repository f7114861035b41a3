"""Write a file so that a reader, or a kill at any moment, sees the old file or the new one, never a half."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

BLOCK_BYTES = 64 * 1024 * 1024
"""Bytes per checksum block."""

READ_BYTES = 1024 * 1024

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
    """Compute the xxh3-64 of a whole file, reading 1 MiB at a time."""
    digest = xxhash.xxh3_64()
    with path.open("rb") as file:
        while chunk := file.read(READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def block_checksums(path: Path) -> tuple[str, list[str]]:
    """Compute the xxh3-64 of a whole file and of each 64 MiB block, in one read."""
    whole, blocks = xxhash.xxh3_64(), []
    with path.open("rb") as file:
        block, filled = xxhash.xxh3_64(), 0
        while chunk := file.read(min(READ_BYTES, BLOCK_BYTES - filled)):
            whole.update(chunk)
            block.update(chunk)
            filled += len(chunk)
            if filled == BLOCK_BYTES:
                blocks.append(block.hexdigest())
                block, filled = xxhash.xxh3_64(), 0
        if filled or not blocks:
            blocks.append(block.hexdigest())
    return whole.hexdigest(), blocks


def text_key(*parts: str) -> str:
    """Compute a content key (xxh3-128, hex) of several texts; the order matters, and so do the cuts between them."""
    digest = xxhash.xxh3_128()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()
