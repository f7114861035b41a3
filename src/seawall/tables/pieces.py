"""Cut a text stream into pieces of whole lines and work on several at once, in order and in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from seawall.errors import DataError
from seawall.units import format_bytes

Result = TypeVar("Result")

MAX_LINE_PIECES = 2
"""A line may be as long as so many pieces; beyond that the file is no table, and memory has an end."""


class Stream(Protocol):
    """Bytes in order, decompressed."""

    def read(self, size: int, /) -> bytes | None:
        """Give up to so many bytes; none at the end."""


def cut_pieces(stream: Stream, piece_bytes: int, *, where: str) -> Iterator[bytes]:
    """Cut a stream at line ends into pieces of about ``piece_bytes``; a longer line is a piece by itself.

    Nothing but blank lines is never a piece.

    Raises
    ------
    DataError
        Where a line does not end.
    """
    rest = b""
    while data := stream.read(piece_bytes):
        cut = data.rfind(b"\n") + 1 or data.rfind(b"\r") + 1  # old texts end lines with a carriage return alone
        if not cut:
            rest += data
            if len(rest) > MAX_LINE_PIECES * piece_bytes:
                found = f"more than {format_bytes(len(rest))} without a line end"
                raise DataError(where, "a line does not end", found=found)
            continue
        piece, rest = b"".join((rest, memoryview(data)[:cut])), data[cut:]
        if not piece.isspace():
            yield piece
    if rest and not rest.isspace():
        yield rest


def in_order(work: Callable[[int, bytes], Result], pieces: Iterable[bytes], num_threads: int) -> Iterator[Result]:
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
