"""Rows of a pool: read with pread where the kernel's read-ahead would only waste the disk, then cut like a store."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from seawall.arrays import Float32, Int64
from seawall.errors import FormatError
from seawall.stores.segments import Layout
from seawall.windows.cutter import Cutter
from seawall.windows.gather import Batch, Gather
from seawall.windows.ring import Ring, empty_on_a_line
from seawall.windows.tiles import Members


class PooledOrder(Protocol):
    """An order that knows what is in each pool."""

    capacity_rows: int
    num_pools: int
    num_steps: int

    def members(self, epoch: int, pool: int) -> Members:
        """List the samples of a pool."""


class Rows:
    """Read ranges of rows of a mapped array, whole or some columns.

    Mapped files are read with ``preadv`` past the mapping: nothing is read ahead, and no page table grows.
    """

    def __init__(self, parts: Sequence[Float32], columns: tuple[int, ...], layout: Layout | None) -> None:
        self.width, self._layout = len(columns), layout
        num_columns = parts[0].shape[1]
        self._columns = None if columns == tuple(range(num_columns)) else np.asarray(columns, np.intp)
        self._files = [_File(part) for part in parts] if columns else []
        self._num_columns = num_columns
        self.bytes_read = 0

    def read(self, start: int, stop: int, into: Float32) -> None:
        """Copy rows ``start`` .. ``stop`` - 1 to ``into`` [stop - start, columns]."""
        if not self.width:
            return
        self.bytes_read += (stop - start) * self._num_columns * 4
        whole = into if self._columns is None else np.empty((stop - start, self._num_columns), np.float32)
        pieces = [(0, start, stop - start)] if self._layout is None else self._layout.pieces(start, stop)
        done = 0
        for segment, place, num_rows in pieces:
            self._files[segment].read(place, whole[done : done + num_rows])
            done += num_rows
        if self._columns is not None:
            np.take(whole, self._columns, axis=1, out=into, mode="clip")


class _File:
    """One mapped array and a descriptor of its own for reading past the mapping; other arrays are copied."""

    def __init__(self, array: Float32) -> None:
        self._array, self._path, self._descriptor = array, "", -1
        if isinstance(array, np.memmap) and array.filename is not None:
            self._path = str(array.filename)
            self._descriptor = os.open(self._path, os.O_RDONLY)
            self._offset, self._row_bytes = int(array.offset), 4 * array.shape[1]
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def read(self, place: int, into: Float32) -> None:
        if self._descriptor < 0:
            np.copyto(into, self._array[place : place + len(into)])
            return
        view, start = into.reshape(-1).view(np.uint8).data, self._offset + place * self._row_bytes
        done = 0
        while done < len(view):
            got = os.preadv(self._descriptor, [view[done:]], start + done)
            if got == 0:
                raise FormatError(self._path, "the file has become shorter", do="Run seawall ingest again.")
            done += got

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(slots=True)
class Pool:
    """One pool in memory: rows of features and targets, and its samples in the order they are emitted in."""

    number: int
    starts: Int64
    """Where the window of each sample begins."""
    rows: Int64
    """The row each sample ends at."""
    features: Cutter
    targets: Float32
    sequences: Cutter | None

    def batch(self, first: int, stop: int, gather: Gather) -> Batch:
        """Cut the windows at places ``first`` .. ``stop`` - 1 of the emission order."""
        starts, rows = self.starts[first:stop], self.rows[first:stop]
        x, mask = self.features.cut_with_mask(starts) if gather.beside.mask else (self.features.cut(starts), None)
        if self.sequences is not None:
            y = self.sequences.cut(starts)
        elif not self.targets.shape[1]:
            y = np.empty((len(starts), 0), np.float32)
        else:
            y = self.targets[starts + (gather.lookback_periods - 1)]
        return gather.beside_rows(rows, x, y, mask)


@dataclass(slots=True)
class _Buffer:
    """Room for the rows of one pool, allocated once."""

    features: Float32
    targets: Float32
    cutter: Cutter
    sequences: Cutter | None
    starts: Int64 | None = None
    """Where each window begins, kept where this is the only pool: it is then read once, whatever the epoch."""


class PoolReader:
    """Load pools, two of them in turn: one is emitted while the next is read. One where one holds everything.

    Memory is the declared pool once or twice: ``capacity_rows`` rows of features and targets, and the index of samples.
    """

    def __init__(self, gather: Gather, order: PooledOrder) -> None:
        self.gather, self.order = gather, order
        panel, columns = gather.panel, gather.columns
        every = tuple(range(panel.shape.num_features))
        self._features = Rows(panel.parts("features"), every if columns is None else columns, panel.layout)
        self._targets = Rows(panel.parts("targets"), gather.targets, panel.layout)
        self._rings = (Ring(), Ring())
        self._buffers = [self._room() for _ in range(min(2, order.num_pools))]
        self._turn = 0

    @property
    def bytes_read(self) -> int:
        """Bytes read from the store so far."""
        return self._features.bytes_read + self._targets.bytes_read

    def load(self, epoch: int, pool: int) -> Pool:
        """Read a pool; what a buffer holds already is not read again."""
        members = self.order.members(epoch, pool)
        buffer = self._buffers[self._turn % len(self._buffers)]
        self._turn += 1
        starts = self._fill(buffer, members.rows) if buffer.starts is None else buffer.starts
        if self.order.num_pools == 1:
            buffer.starts = starts
        order = members.order  # followed once for the whole pool: batch by batch it costs 30 ns a window (measured)
        return Pool(pool, starts[order], members.rows[order], buffer.cutter, buffer.targets, buffer.sequences)

    def _room(self) -> _Buffer:
        capacity = max(self.order.capacity_rows, 1)
        features = empty_on_a_line((capacity, self._features.width), "<f4")
        targets = np.empty((capacity, self._targets.width), np.float32)
        gather, length = self.gather, self.gather.lookback_periods
        fill_missing = gather.beside.fill_missing or gather.beside.mask
        cutter = Cutter([features], length, scaling=gather.scaling, fill_missing=fill_missing, rings=self._rings)
        return _Buffer(features, targets, cutter, Cutter([targets], length) if gather.beside.sequence_targets else None)

    def _fill(self, buffer: _Buffer, rows: Int64) -> Int64:
        """Read the lookbacks of these rows, neighbours together; give the place each window begins at."""
        firsts, stops, starts = intervals(rows, self.gather.lookback_periods)
        place = 0
        for first, stop in zip(firsts.tolist(), stops.tolist(), strict=True):
            self._features.read(first, stop, buffer.features[place : place + stop - first])
            self._targets.read(first, stop, buffer.targets[place : place + stop - first])
            place += stop - first
        return starts


def intervals(rows: Int64, lookback_periods: int) -> tuple[Int64, Int64, Int64]:
    """Join the lookbacks of samples that touch into ranges of rows.

    Parameters
    ----------
    rows
        int64 [n], ascending: the row each sample ends at.

    Returns
    -------
    firsts, stops, starts
        Ranges of rows to read one after the other, and int64 [n]: where each sample's window begins among them.
    """
    if not len(rows):
        return rows, rows, rows
    cuts = np.flatnonzero(np.diff(rows) > lookback_periods) + 1
    heads = np.concatenate([[0], cuts])
    firsts, stops = rows[heads] - (lookback_periods - 1), np.append(rows[cuts - 1], rows[-1]) + 1
    places = np.concatenate([[0], np.cumsum(stops - firsts)[:-1]])
    starts = np.repeat(places - firsts - (lookback_periods - 1), np.diff(np.append(heads, len(rows))))
    starts += rows
    return firsts, stops, starts
