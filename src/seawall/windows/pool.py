"""Rows of a pool: read with pread where the kernel's read-ahead would only waste the disk, then cut like a store."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from seawall.arrays import Float32, Int64
from seawall.windows.cutter import Cutter
from seawall.windows.gather import Batch, Gather
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

    A plain mapped file is read with ``preadv`` past the mapping: nothing is read ahead, and no page table grows. Any
    other array is read by slices.
    """

    def __init__(self, array: Float32, columns: tuple[int, ...]) -> None:
        self.array, self.width = array, len(columns)
        self._columns = None if columns == tuple(range(array.shape[1])) else np.asarray(columns, np.intp)
        self._row_bytes = array.shape[1] * 4
        path = array.filename if isinstance(array, np.memmap) else None
        self._offset = int(array.offset) if isinstance(array, np.memmap) else 0
        self._file = os.open(path, os.O_RDONLY) if isinstance(path, Path | str) else -1
        if self._file >= 0 and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_RANDOM)
        self.bytes_read = 0

    def read(self, start: int, stop: int, into: Float32) -> None:
        """Copy rows ``start`` .. ``stop`` - 1 to ``into`` [stop - start, columns]."""
        if not self.width:
            return
        self.bytes_read += (stop - start) * self._row_bytes
        if self._file < 0 or self._columns is not None:
            whole = np.empty((stop - start, self.array.shape[1]), np.float32)
            rows = self.array[start:stop] if self._file < 0 else self._pread(start, whole)
            np.copyto(into, rows if self._columns is None else np.take(rows, self._columns, axis=1))
        else:
            self._pread(start, into)

    def _pread(self, start: int, into: Float32) -> Float32:
        view, place = into.reshape(-1).view(np.uint8).data, self._offset + start * self._row_bytes
        done = 0
        while done < len(view):
            got = os.preadv(self._file, [view[done:]], place + done)
            if got == 0:
                raise EOFError(f"the file ends before row {start + len(into):,}")
            done += got
        return into

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@dataclass(slots=True)
class Pool:
    """One pool in memory: rows of features and targets, and where each sample's window begins, in emission order."""

    number: int
    starts: Int64
    rows: Int64
    features: Cutter
    targets: Float32
    sequences: Cutter | None

    def batch(self, first: int, stop: int, gather: Gather) -> Batch:
        """Cut the windows at places ``first`` .. ``stop`` - 1 of the emission order."""
        starts, rows = self.starts[first:stop], self.rows[first:stop]
        x, mask = self.features.cut_with_mask(starts) if gather.beside.mask else (self.features.cut(starts), None)
        if self.sequences is not None:
            y = self.sequences.cut(starts)
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
        self._features = Rows(panel.features, columns or tuple(range(panel.features.shape[1])))
        self._targets = Rows(panel.targets, gather.targets)
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
        rows = members.rows[members.order]
        return Pool(pool, starts[members.order], rows, buffer.cutter, buffer.targets, buffer.sequences)

    def _room(self) -> _Buffer:
        capacity = max(self.order.capacity_rows, 1)
        features = np.empty((capacity, self._features.width), np.float32)
        targets = np.empty((capacity, self._targets.width), np.float32)
        gather, all_columns = self.gather, tuple(range(self._features.width))
        sequences = None
        if gather.beside.sequence_targets:
            sequences = gather.target_cutter(targets, tuple(range(self._targets.width)))
        return _Buffer(features, targets, gather.cutter(features, all_columns), sequences)

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
    begins = rows - (lookback_periods - 1)
    cuts = np.flatnonzero(begins[1:] > rows[:-1] + 1) + 1
    heads = np.concatenate([[0], cuts])
    firsts, stops = begins[heads], np.append(rows[cuts - 1], rows[-1]) + 1
    places = np.concatenate([[0], np.cumsum(stops - firsts)[:-1]])
    shift = np.repeat(places - firsts, np.diff(np.append(heads, len(rows))))
    return firsts, stops, begins + shift
