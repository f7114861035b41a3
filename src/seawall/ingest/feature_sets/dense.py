"""Lay whole entities out in chunks of dense positions: before each piece its own history, or nothing at the start.

A chunk is small enough to stay in the processor's cache, whatever the number or the length of the entities.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Bool, Float32, Float64, Int64

CHUNK_POSITIONS = 8_192
"""Dense positions computed at once; smaller chunks pay for calls, larger ones for cache."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows ``first`` to ``stop`` of the bucket, read from ``history`` on, at ``offset`` of the chunk."""

    history: int
    first: int
    stop: int
    offset: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Pieces of entities side by side.

    ``read_rows`` are the bucket's rows to lay out at ``read_places``; ``rows`` are those whose features are wanted, at
    ``places``. ``exists`` marks positions at or after the first row of their entity.
    """

    size: int
    read_rows: Int64
    read_places: Int64
    rows: Int64
    places: Int64
    exists: Bool


@dataclass(frozen=True, slots=True)
class Dense:
    """Bars of one chunk: float32 [m] by name, NaN where there is no row or no value."""

    columns: Mapping[str, Float32]
    exists: Bool


def lay_out(chunk: Chunk, columns: Mapping[str, Float64]) -> Dense:
    """Fill the positions of a chunk; infinite values count as missing."""
    dense: dict[str, Float32] = {}
    for name, values in columns.items():
        laid = np.full(chunk.size, np.nan, np.float32)
        with np.errstate(over="ignore"):
            laid[chunk.read_places] = values[chunk.read_rows]
        laid[np.isinf(laid)] = np.nan
        dense[name] = laid
    return Dense(dense, chunk.exists)


def chunks(position: Int64, starts: Int64, history: int, size: int = CHUNK_POSITIONS) -> Iterator[Chunk]:
    """Cut a bucket into chunks of about ``size`` positions.

    Parameters
    ----------
    position
        int64 [n], place of each row on its entity's own axis: rows, or dates of the calendar, counted from 0.
    starts
        int64 [e + 1], first row of each entity and the end.
    history
        Positions before a row that its features may depend on.
    """
    pieces: list[Piece] = []
    used = 0
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        first = start
        while first < stop:
            room = max(1, size - used - history)
            last = first + int(np.searchsorted(position[first:stop], position[first] + room))
            begin = start + int(np.searchsorted(position[start:first], position[first] - history))
            pieces.append(Piece(begin, first, last, used))
            used += history + int(position[last - 1] - position[first]) + 1
            first = last
            if used + history >= size:
                yield _chunk(pieces, position, history, used)
                pieces, used = [], 0
    if pieces:
        yield _chunk(pieces, position, history, used)


def _chunk(pieces: Sequence[Piece], position: Int64, history: int, size: int) -> Chunk:
    exists = np.zeros(size, np.bool_)
    read_rows, read_places, rows, places = [], [], [], []
    for number, piece in enumerate(pieces):
        ends = pieces[number + 1].offset if number + 1 < len(pieces) else size
        shift = piece.offset + history - position[piece.first]
        exists[piece.offset + max(0, history - int(position[piece.first])) : ends] = True
        read = np.arange(piece.history, piece.stop)
        read_rows.append(read)
        read_places.append(position[read] + shift)
        rows.append(read[piece.first - piece.history :])
        places.append(read_places[-1][piece.first - piece.history :])
    return Chunk(
        size=size,
        read_rows=np.concatenate(read_rows),
        read_places=np.concatenate(read_places),
        rows=np.concatenate(rows),
        places=np.concatenate(places),
        exists=exists,
    )
