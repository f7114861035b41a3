"""The compiled inner loops of the window stream (kernels.c), where the package was built with them."""

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from seawall.arrays import AnyArray, Bool, Float32, Int64

if TYPE_CHECKING:
    from seawall.windows.scaling import Scaling

UInt64: TypeAlias = npt.NDArray[np.uint64]

LIBRARY = "seawall.windows.kernels"
"""Lies where an extension module of this name would; it is none, so it is opened and never imported."""

VERSION = 1
"""Of the calls and the structure in kernels.c: a library left over from another version is not used."""

ELSEWHERE = -1
"""The segment of a window that the library leaves alone."""


class _Cut(ctypes.Structure):
    """The structure ``Cut`` of kernels.c."""

    _fields_ = (
        ("sources", ctypes.c_void_p),
        ("num_rows", ctypes.c_void_p),
        ("num_sources", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("columns", ctypes.c_void_p),
        ("num_columns", ctypes.c_int64),
        ("mean", ctypes.c_void_p),
        ("std", ctypes.c_void_p),
        ("clip", ctypes.c_float),
        ("fill_missing", ctypes.c_int32),
    )


class CompiledCut:
    """Cut windows by the library: the same bits as NumPy gives, with one pass over memory and no copy between.

    Parameters
    ----------
    sources
        float32 [N, F] of each segment, in C order.
    length
        Rows of a window.
    columns
        Columns to give, in this order; None gives all.
    scaling
        Of a whole window: mean and std float32 [length * columns]. NaN becomes 0 after it.
    fill_missing
        NaN becomes 0.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        sources: Sequence[Float32],
        length: int,
        *,
        columns: Int64 | None,
        scaling: "Scaling | None",
        fill_missing: bool,
    ) -> None:
        width = sources[0].shape[1]
        addresses = np.array([_address(source) for source in sources], np.uintp)
        num_rows = np.array([len(source) for source in sources], np.int64)
        # The library is given addresses: what lies there must live as long as this.
        self._kept = (list(sources), addresses, num_rows, columns, scaling)
        self._how = _Cut(
            sources=_address(addresses),
            num_rows=_address(num_rows),
            num_sources=len(sources),
            width=width,
            length=length,
            columns=None if columns is None else _address(columns),
            num_columns=width if columns is None else len(columns),
            mean=None if scaling is None else _address(scaling.mean),
            std=None if scaling is None else _address(scaling.std),
            clip=0.0 if scaling is None else scaling.clip,
            fill_missing=fill_missing,
        )
        self._function = library.seawall_cut

    def cut(self, starts: Int64, into: Float32, mask: Bool | None, segments: Int64 | None = None) -> None:
        """Fill ``into`` [B, length, columns], and ``mask`` of that shape, with the windows that begin at these rows.

        Parameters
        ----------
        starts
            int64 [B], rows of the only source, or of the segment of each.
        segments
            int64 [B]; a window of segment ``ELSEWHERE`` is left as it is.

        Raises
        ------
        IndexError
            A window is not within its rows; nothing has been written.
        """
        starts = np.ascontiguousarray(starts, np.int64)
        places = None if segments is None else _address(segments)
        marks = None if mask is None else _address(mask)
        how = ctypes.byref(self._how)
        outside = self._function(how, len(starts), places, _address(starts), _address(into), marks)
        if outside >= 0:
            raise IndexError(f"window {outside} of the batch begins at row {starts[outside]}, outside the rows")


def permute(library: ctypes.CDLL, n: int, bits: int, keys: UInt64, positions: Int64) -> Int64:
    """Map positions of a shuffled order by the library: the numbers :func:`seawall.windows.order.permute` gives."""
    positions = np.ascontiguousarray(positions, np.int64)
    places = np.empty(len(positions), np.int64)
    library.seawall_permute(n, bits, _address(keys), len(positions), _address(positions), _address(places))
    return places


@cache
def library() -> ctypes.CDLL | None:
    """Open the library; None where the package was built without a C compiler, or from other sources."""
    found = find_spec(LIBRARY)
    if found is None or found.origin is None:
        return None
    opened = ctypes.CDLL(found.origin)
    opened.seawall_version.restype = ctypes.c_int64
    if opened.seawall_version() != VERSION:
        return None
    opened.seawall_permute.restype = None
    opened.seawall_permute.argtypes = (
        ctypes.c_uint64,
        ctypes.c_int64,
        ctypes.c_void_p,
        ctypes.c_int64,
        *[ctypes.c_void_p] * 2,
    )
    opened.seawall_cut.restype = ctypes.c_int64
    opened.seawall_cut.argtypes = (
        ctypes.POINTER(_Cut),
        ctypes.c_int64,
        *[ctypes.c_void_p] * 4,
    )
    return opened


def _address(array: AnyArray) -> int:
    address: int = array.ctypes.data
    return address
