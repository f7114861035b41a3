"""Cut a text stream into pieces of whole lines and work on several at once, in order and in bounded memory."""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from seawall.errors import DataError
from seawall.units import format_bytes

Result = TypeVar("Result")

SKIP_BYTES = 1024 * 1024
MAX_LINE_PIECES = 2
"""A line may be as long as so many pieces; beyond that the file is no table, and memory has an end."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two rows of a table, to go on reading from."""

    line: int
    """Of the next row."""
    offset: int = 0
    """Bytes of the text, decompressed, before it; 0 where rows are found by number."""


class Piece(NamedTuple):
    """Whole lines of a text."""

    text: bytes
    end: int
    """Bytes of the stream up to the end of these lines."""


class Stream(Protocol):
    """Bytes in order, decompressed."""

    def read(self, size: int, /) -> bytes | None:
        """Give up to so many bytes; none at the end."""


def cut_pieces(stream: Stream, piece_bytes: int, *, where: str, start: int = 0) -> Iterator[Piece]:
    """Cut a stream at line ends into pieces of about ``piece_bytes``; a longer line is a piece by itself.

    Nothing but blank lines is never a piece. From ``start``, the end of an earlier piece, the cuts are those that are
    made when all is read.

    Raises
    ------
    DataError
        Where a line does not end.
    """
    _skip(stream, start)
    rest, end = stream.read(-start % piece_bytes) or b"", start
    while data := stream.read(piece_bytes):
        cut = data.rfind(b"\n") + 1 or data.rfind(b"\r") + 1  # old texts end lines with a carriage return alone
        if not cut:
            rest += data
            if len(rest) > MAX_LINE_PIECES * piece_bytes:
                found = f"more than {format_bytes(len(rest))} without a line end"
                raise DataError(where, "a line does not end", found=found)
            continue
        piece, rest = b"".join((rest, memoryview(data)[:cut])), data[cut:]
        end += len(piece)
        if not piece.isspace():
            yield Piece(piece, end)
    if rest and not rest.isspace():
        yield Piece(rest, end + len(rest))


def _skip(stream: Stream, num_bytes: int) -> None:
    """Go to a byte of a stream that stands at its beginning; what is decompressed must be read."""
    if isinstance(stream, io.BufferedReader):
        stream.seek(num_bytes)
        return
    while num_bytes > 0 and (passed := stream.read(min(num_bytes, SKIP_BYTES))):
        num_bytes -= len(passed)


def in_order(work: Callable[[int, Piece], Result], pieces: Iterable[Piece], num_threads: int) -> Iterator[Result]:
    """Work on numbered pieces in threads; results come in order, and at most ``num_threads + 2`` exist at once."""
    with ThreadPoolExecutor(num_threads, thread_name_prefix="parse") as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for number, piece in enumerate(pieces):
                waiting.append(pool.submit(work, number, piece))
                if len(waiting) > num_threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
