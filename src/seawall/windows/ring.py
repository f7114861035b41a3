"""Memory that batches are cut into: allocated once, used in turn, beginning on a line of the cache."""

import math
import sys
from threading import Lock

import numpy as np

from seawall.arrays import AnyArray

LINE_BYTES = 64
"""Of a cache. NumPy begins a large array 16 bytes behind a page: each copy of a line then touches two."""

RING_BUFFERS = 3
"""One batch being used, one ready, one being gathered."""


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
        num_bytes = _num_bytes(shape, dtype)
        with self._lock:
            for number in range(len(self._buffers)):
                # Two references: the list's, and the one this call holds.
                if sys.getrefcount(self._buffers[number]) <= 2 and self._buffers[number].nbytes >= num_bytes:
                    return _on_a_line(self._buffers[number], shape, dtype)
            made = np.empty(num_bytes, np.uint8)
            self._buffers = [made, *self._buffers[: self._num_buffers - 1]]
            return _on_a_line(made, shape, dtype)


def empty_on_a_line(shape: tuple[int, ...], dtype: str) -> AnyArray:
    """Give an array with any content that begins on a line of the cache."""
    return _on_a_line(np.empty(_num_bytes(shape, dtype), np.uint8), shape, dtype)


def _num_bytes(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize + LINE_BYTES


def _on_a_line(buffer: AnyArray, shape: tuple[int, ...], dtype: str) -> AnyArray:
    made: AnyArray = np.ndarray(shape, dtype, buffer=buffer, offset=-buffer.ctypes.data % LINE_BYTES)
    return made
