"""Windows cut out of a row-major array, many in one call: compiled, or a strided view and one index of NumPy."""

from collections.abc import Sequence
from ctypes import CDLL

import numpy as np

from seawall.arrays import AnyArray, Bool, Float32, Int64
from seawall.errors import ConfigError
from seawall.stores.segments import Layout
from seawall.windows.compiled import ELSEWHERE, CompiledCut, library
from seawall.windows.ring import Ring
from seawall.windows.scaling import Scaling

CHUNK_BYTES = 98_304
"""Without the library, windows changed on their way (scaled, columns chosen) are taken this much at a time: the passes
over them then stay in a core's cache, and the piece below the 128 KiB from which malloc asks the kernel for fresh pages
each time (measured: 7 times slower)."""


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
        self._columns = None if whole or columns is None else np.asarray(columns, np.int64)
        self.num_columns = width if columns is None else len(columns)
        self._scaling = None if scaling is None else _flat(scaling, length)
        self._fill_missing = fill_missing or scaling is not None
        self._ring, self._masks = rings or (Ring(), Ring())
        self._source, self._layout = [np.ascontiguousarray(part).view(np.ndarray) for part in source], layout
        self._windows = [_whole_windows(part, length) for part in self._source]
        self._compiled = self._compile(library())
        self._chunk = max(1, CHUNK_BYTES // max(1, 4 * length * width))

    def _compile(self, opened: CDLL | None) -> CompiledCut | None:
        if opened is None:
            return None
        columns, scaling, fill = self._columns, self._scaling, self._fill_missing
        return CompiledCut(opened, self._source, self.length, columns=columns, scaling=scaling, fill_missing=fill)

    def cut(self, starts: Int64) -> Float32:
        """Give float32 [B, length, F]: the windows that begin at these rows.

        They come in a buffer of a ring, which is used again once nobody holds the array.
        """
        return self._cut(starts, None)

    def cut_with_mask(self, starts: Int64) -> tuple[Float32, Bool]:
        """Give the windows, and bool [B, length, F]: True where a value is stored, False where it is NaN."""
        mask_BLF: Bool = self._masks.take((len(starts), self.length, self.num_columns), "|b1")
        return self._cut(starts, mask_BLF), mask_BLF

    def _cut(self, starts: Int64, mask_BLF: Bool | None) -> Float32:
        changes = self._columns is not None or self._fill_missing or mask_BLF is not None
        if self._compiled is None and not changes:
            return self._taken(starts)
        x_BLF: Float32 = self._ring.take((len(starts), self.length, self.num_columns), "<f4")
        if self._compiled is None:
            self._change_in_chunks(starts, x_BLF, mask_BLF)
        elif self._layout is None:
            self._compiled.cut(starts, x_BLF, mask_BLF)
        else:
            self._cut_over_segments(self._compiled, self._layout, starts, x_BLF, mask_BLF)
        return x_BLF

    def _cut_over_segments(
        self, compiled: CompiledCut, layout: Layout, starts: Int64, x_BLF: Float32, mask_BLF: Bool | None
    ) -> None:
        segment, place, whole = self._locate(layout, starts)
        compiled.cut(place, x_BLF, mask_BLF, np.where(whole, segment, ELSEWHERE))
        for window in np.flatnonzero(~whole).tolist():
            one = slice(window, window + 1)
            self._change(self._taken(starts[one]), x_BLF[one], None if mask_BLF is None else mask_BLF[one])

    def _locate(self, layout: Layout, starts: Int64) -> tuple[Int64, Int64, Bool]:
        """Find the segment and the place each window begins at, and whether it lies there whole."""
        segment, place = layout.locate(starts)
        last, end = layout.locate(starts + (self.length - 1))
        return segment, place, (segment == last) & (end - place == self.length - 1)

    def _taken(self, starts: Int64) -> Float32:
        if self._layout is not None:
            return self._taken_over_segments(self._layout, starts)
        taken: Float32 = self._windows[0][starts].view("<f4").reshape(len(starts), self.length, self._width)
        return taken

    def _taken_over_segments(self, layout: Layout, starts: Int64) -> Float32:
        """Index each segment's windows at once; windows that cross from one segment to another are pieced together."""
        first, place, whole = self._locate(layout, starts)
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

    def _change_in_chunks(self, starts: Int64, x_BLF: Float32, mask_BLF: Bool | None) -> None:
        for first in range(0, len(starts), self._chunk):
            piece = slice(first, first + self._chunk)
            self._change(self._taken(starts[piece]), x_BLF[piece], None if mask_BLF is None else mask_BLF[piece])

    def _change(self, taken: Float32, into: Float32, mask: Bool | None) -> None:
        if self._columns is not None:
            taken = np.take(taken, self._columns, axis=2, out=into, mode="clip")
        if mask is not None:
            np.equal(taken, taken, out=mask)
        # One flat row a window: NumPy's inner loop then runs over the whole lookback, not over a few features.
        self._finish(taken.reshape(len(taken), -1), into.reshape(len(into), -1))

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
    opaque = np.dtype((np.void, 4 * length * width))
    shape = (max(num_rows - length + 1, 0),)
    if not (shape[0] and width):
        return np.empty(shape, opaque)
    windows: AnyArray = np.ndarray(shape, opaque, buffer=source, strides=source.strides[:1])
    return windows


def _flat(scaling: Scaling, length: int) -> Scaling:
    return Scaling(np.tile(scaling.mean, length), np.tile(scaling.std, length), scaling.clip)
