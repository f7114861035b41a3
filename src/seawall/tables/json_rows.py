"""JSON lists of rows, as bots for crypto markets keep them, turned into CSV as they are read."""

import csv
import io
import json
import re
from typing import IO, Any

from seawall.errors import DataError

PIECE_BYTES = 256 * 1024
_ROW = re.compile(rb"\[([^\[\]{}]*)\]|(\{[^\[\]{}]*\})")
_BETWEEN = re.compile(rb"[\s,\[\]]*")


class JsonRows(io.RawIOBase):
    """CSV text of ``[[1514764800000, 13715.65, ...], ...]`` or of ``[{"date": ..., "open": ...}, ...]``.

    Lists give rows without a header; objects give a header, and must all have the keys of the first. Lines of objects
    (JSON Lines) work the same. Memory is one piece of 256 KiB.

    Raises
    ------
    DataError
        From ``read``, where the text is no flat list of rows.
    """

    def __init__(self, stream: IO[bytes] | Any, label: str) -> None:  # noqa: ANN401 - a pyarrow stream
        self._stream, self._label = stream, label
        self._carry, self._ready = b"", b""
        self._keys: list[str] | None = None

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes of CSV."""
        while size < 0 or len(self._ready) < size:
            piece = self._stream.read(PIECE_BYTES)
            if not piece:
                break
            self._ready += self._rows(self._carry + piece)
        if not self._ready and self._carry.strip(b" \t\r\n,]"):
            raise self._wrong(self._carry)
        given, self._ready = (self._ready, b"") if size < 0 else (self._ready[:size], self._ready[size:])
        return given

    def _rows(self, text: bytes) -> bytes:
        place, lines, objects = 0, [], []
        for match in _ROW.finditer(text):
            between = text[place : match.start()]
            if not _BETWEEN.fullmatch(between):
                raise self._wrong(between)
            place = match.end()
            if match.group(2) is None:
                lines.append(match.group(1))
            else:
                objects.append(match.group(2))
        self._carry = text[place:]
        if len(self._carry) > PIECE_BYTES:
            raise self._wrong(self._carry)
        if objects:
            return self._object_lines(objects)
        return b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines)

    def _object_lines(self, objects: list[bytes]) -> bytes:
        try:
            rows = json.loads(b"[" + b",".join(objects) + b"]")
        except ValueError as error:
            raise self._wrong(objects[0]) from error
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        if self._keys is None:
            self._keys = list(rows[0])
            writer.writerow(self._keys)
        for row in rows:
            if list(row) != self._keys:
                raise DataError(
                    f"source {self._label}",
                    "keys change between rows",
                    found=str(list(row))[:120],
                    allowed=str(self._keys)[:120],
                )
            writer.writerow([row[key] for key in self._keys])
        return out.getvalue().encode()

    def _wrong(self, text: bytes) -> DataError:
        shown = text[:60].decode("utf-8", "replace")
        return DataError(
            f"source {self._label}",
            "not a flat JSON list of rows",
            found=repr(shown),
            allowed="[[...], ...] or [{...}, ...]",
        )

    def close(self) -> None:
        """Close the stream below."""
        if not self.closed:
            self._stream.close()
        super().close()
