"""Windows cut out of a row-major array, many in one call: a strided view and one index."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np

from seawall.arrays import AnyArray, Bool, Float32, Int64
from seawall.errors import ConfigError
from seawall.stores.segments import Layout
from seawall.windows.touch import Touch

CHUNK_BYTES = 98_304
"""Windows changed on their way (scaled, columns chosen) are taken this much at a time: the passes over them then stay
in a core's cache, and the piece below the 128 KiB from which malloc asks the kernel for fresh pages each time
(measured: 7 times slower)."""

RING_BUFFERS = 3
"""One batch being used, one ready, one being gathered."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What turns raw features into model inputs: ``(x - mean) / std``, clipped to +-``clip``, NaN to 0 (the mean)."""

    mean: Float32
    """float32 [F] of the chosen columns."""
    std: Float32
    """float32 [F], none 0."""
    clip: float
    """In standard deviations."""


class Ring:
    """Buffers that are allocated once and handed out in turn; one that somebody still holds is left to its holder.

    A view handed out keeps its buffer's reference count up, so a kept batch is never written over: it costs a new
    buffer, and the old one is freed with its last view.
    """

    def __init__(self, num_buffers: int = RING_BUFFERS) -> None:
        self._num_buffers = num_buffers
        self._buffers: list[AnyArray] = []
        self._lock = Lock()

    def take(self, shape: tuple[int, ...], dtype: str) -> AnyArray:
        """Give an array of this shape with any content."""
        with self._lock:
            for number in range(len(self._buffers)):
                # Two references: the list's, and the one this call holds.
                if sys.getrefcount(self._buffers[number]) <= 2 and self._fits(self._buffers[number], shape, dtype):
                    return self._buffers[number][: shape[0]]
            made = np.empty(shape, dtype)
            self._buffers = [made, *self._buffers[: self._num_buffers - 1]]
            return made[: shape[0]]

    @staticmethod
    def _fits(buffer: AnyArray, shape: tuple[int, ...], dtype: str) -> bool:
        return buffer.shape[1:] == shape[1:] and buffer.shape[0] >= shape[0] and buffer.dtype == dtype


class Cutter:
    """Cut windows of ``length`` rows out of a float32 array [N, F].

    Parameters
    ----------
    source
        The rows: one array, or with a ``layout`` one array a segment.
    layout
        How the rows of several segments follow one another.
    columns
        Columns to give, in this order; None gives all.
    scaling
        Given, values are scaled and clipped and NaN becomes 0.
    fill_missing
        NaN becomes 0 without scaling.
    rings
        Buffers for windows and masks that several cutters share.
    """

    def __init__(
        self,
        source: Sequence[Float32],
        length: int,
        *,
        layout: Layout | None = None,
        columns: tuple[int, ...] | None = None,
        scaling: Scaling | None = None,
        fill_missing: bool = False,
        rings: tuple[Ring, Ring] | None = None,
    ) -> None:
        width = source[0].shape[1]
        self.length, self._width = length, width
        if columns is not None and not all(0 <= column < width for column in columns):
            raise ConfigError("columns", "no such column", found=str(columns), allowed=f"0 to {width - 1}")
        whole = columns is None or columns == tuple(range(width))
        self._columns = None if whole or columns is None else np.asarray(columns, np.intp)
        self.num_columns = width if columns is None else len(columns)
        self._scaling = None if scaling is None else _flat(scaling, length)
        self._fill_missing = fill_missing or scaling is not None
        self._ring, self._masks = rings or (Ring(), Ring())
        self._windows = [_whole_windows(part, length) for part in source]
        self._source, self._layout = source, layout
        self._touch = Touch(source[0], length) if layout is None else None
        self._chunk = max(1, CHUNK_BYTES // max(1, 4 * length * width))

    @property
    def changes(self) -> bool:
        """Whether windows come other than as stored."""
        return self._columns is not None or self._fill_missing

    def cut(self, starts: Int64) -> Float32:
        """Give float32 [B, length, F]: the windows that begin at these rows.

        As stored, it is one fancy index into a fresh array. Changed on the way, windows come in a buffer of a ring,
        which is used again once nobody holds the array.
        """
        if self._touch is not None:
            self._touch(starts)
        return self._changed(starts, None) if self.changes else self._taken(starts)

    def cut_with_mask(self, starts: Int64) -> tuple[Float32, Bool]:
        """Give the windows, and bool [B, length, F]: True where a value is stored, False where it is NaN."""
        if self._touch is not None:
            self._touch(starts)
        mask_BLF: Bool = self._masks.take((len(starts), self.length, self.num_columns), "|b1")
        return self._changed(starts, mask_BLF), mask_BLF

    def _taken(self, starts: Int64) -> Float32:
        if self._layout is not None:
            return self._taken_over_segments(self._layout, starts)
        taken: Float32 = self._windows[0][starts].view("<f4").reshape(len(starts), self.length, self._width)
        return taken

    def _taken_over_segments(self, layout: Layout, starts: Int64) -> Float32:
        """Index each segment's windows at once; windows that cross from one segment to another are pieced together."""
        first, place = layout.locate(starts)
        last, end = layout.locate(starts + (self.length - 1))
        whole = (first == last) & (end - place == self.length - 1)
        taken = np.empty((len(starts), self.length, self._width), np.float32)
        for segment in np.unique(first[whole]).tolist():
            here = whole & (first == segment)
            taken[here] = self._windows[segment][place[here]].view("<f4").reshape(-1, self.length, self._width)
        for window in np.flatnonzero(~whole).tolist():
            step = 0
            for segment, at, num_rows in layout.pieces(int(starts[window]), int(starts[window]) + self.length):
                taken[window, step : step + num_rows] = self._source[segment][at : at + num_rows]
                step += num_rows
        return taken

    def _changed(self, starts: Int64, mask_BLF: Bool | None) -> Float32:
        x_BLF: Float32 = self._ring.take((len(starts), self.length, self.num_columns), "<f4")
        for first in range(0, len(starts), self._chunk):
            piece = slice(first, first + self._chunk)
            taken = self._taken(starts[piece])
            if self._columns is not None:
                taken = np.take(taken, self._columns, axis=2, out=x_BLF[piece], mode="clip")
            if mask_BLF is not None:
                np.equal(taken, taken, out=mask_BLF[piece])
            # One flat row a window: NumPy's inner loop then runs over the whole lookback, not over a few features.
            self._finish(taken.reshape(len(taken), -1), x_BLF[piece].reshape(len(taken), -1))
        return x_BLF

    def _finish(self, taken: Float32, into: Float32) -> None:
        if self._scaling is None:
            np.copyto(into, taken)
        else:
            np.subtract(taken, self._scaling.mean, out=into)
            into /= self._scaling.std
            np.clip(into, -self._scaling.clip, self._scaling.clip, out=into)
        if self._fill_missing:
            np.copyto(into, 0.0, where=np.isnan(into))


def _whole_windows(source: Float32, length: int) -> AnyArray:
    """View an array as overlapping windows, each one opaque item: NumPy then copies a window with one memcpy."""
    num_rows, width = source.shape
    plain = np.ascontiguousarray(source).view(np.ndarray)
    opaque = np.dtype((np.void, 4 * length * width))
    shape = (max(num_rows - length + 1, 0),)
    if not (shape[0] and width):
        return np.empty(shape, opaque)
    windows: AnyArray = np.ndarray(shape, opaque, buffer=plain, strides=plain.strides[:1])
    return windows


def _flat(scaling: Scaling, length: int) -> Scaling:
    return Scaling(np.tile(scaling.mean, length), np.tile(scaling.std, length), scaling.clip)
