"""Bytes of text sources: opened, decompressed as they are read, and stopped where they swell beyond all reason."""

import io
import zipfile
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from seawall.errors import DataError
from seawall.tables.json_rows import JsonRows
from seawall.tables.layout import Layout
from seawall.tables.parts import Part
from seawall.units import MIB, format_bytes

EXPANSION_FROM_BYTES = 4 * MIB
"""Bytes a compressed file may give before the ratio is looked at: short files of one repeated line are no bomb."""


class Expanding(io.RawIOBase):
    """A decompressing stream that stops where it has given too many bytes per byte of its file.

    Raises
    ------
    DataError
        From ``read``; pyarrow hands it through.
    """

    def __init__(self, stream: IO[bytes] | Any, packed_bytes: int, limit: float, label: str) -> None:  # noqa: ANN401 - a pyarrow stream
        self._stream, self._packed_bytes, self._limit, self._label = stream, max(1, packed_bytes), limit, label
        self._given_bytes = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes."""
        piece: bytes = self._stream.read(size)
        self._given_bytes += len(piece)
        ratio = self._given_bytes / self._packed_bytes
        if self._given_bytes > EXPANSION_FROM_BYTES and ratio > self._limit:
            raise DataError(
                f"source {self._label}",
                "the compressed file swells beyond all reason",
                found=f"{format_bytes(self._given_bytes)} and more from {format_bytes(self._packed_bytes)}",
                allowed=f"{self._limit:g} bytes per byte",
                do="If it is meant to, declare layout.max_expansion.",
            )
        return piece

    def close(self) -> None:
        """Close the stream below."""
        if not self.closed:
            self._stream.close()
        super().close()


def open_bytes(part: Part, layout: Layout) -> io.RawIOBase | IO[bytes]:
    """Open the plain text of a source as bytes; JSON comes as CSV.

    Memory is a few buffers of the decompressor.

    Raises
    ------
    OSError, zipfile.BadZipFile, pyarrow.ArrowException
        Where it cannot be opened.
    """
    stream = open_text(part, layout)
    return JsonRows(stream, part.label) if part.kind == "json" else stream


def open_text(part: Part, layout: Layout) -> Expanding | IO[bytes]:
    """Open the text of a source as it is, decompressed."""
    if part.member:
        archive = zipfile.ZipFile(part.path)
        info = archive.getinfo(part.member)
        return Expanding(archive.open(info), info.compress_size, layout.max_expansion, part.label)
    if part.compression:
        stream = pa.input_stream(str(part.path), compression=part.compression)
        return Expanding(stream, part.path.stat().st_size, layout.max_expansion, part.label)
    return part.path.open("rb")


def is_plain(part: Part) -> bool:
    """Tell whether the bytes on disk are the text itself."""
    return not part.member and not part.compression


def packed_bytes(part: Part) -> int:
    """Size on disk of a part."""
    if part.member:
        with zipfile.ZipFile(part.path) as archive:
            return archive.getinfo(part.member).compress_size
    return Path(part.path).stat().st_size
