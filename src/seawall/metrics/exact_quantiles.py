"""Exact quantiles of any number of float32 values in constant memory: count upper bits, then lower ones."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seawall.arrays import AnyArray, Float64, Int64

HALF_BITS = 16
NUM_CELLS = 1 << HALF_BITS
BLOCK_VALUES = 65_536
_SIGN = np.uint32(1 << 31)


class ExactQuantiles:
    """Quantiles by two passes over the same values, as NumPy's default defines them (linear between neighbours).

    The first pass counts values by the upper 16 bits of their order; :meth:`next_pass` picks the cells the quantiles
    lie in, and the second pass counts the lower 16 bits there. Any chunking and any merge order give the same bits.
    NaN is left out and counted; infinite values order like others. Memory is 512 KiB, and in the second pass as much
    for each cell that is needed (two a quantile at most), whatever the number of values.

    Parameters
    ----------
    probabilities
        Each from 0 to 1.

    Examples
    --------
    >>> quantiles = ExactQuantiles([0.0, 0.5, 0.75])
    >>> for _ in quantiles.passes():
    ...     quantiles.update([4.0, 1.0])
    ...     quantiles.update([2.0, float("nan"), 3.0])
    >>> quantiles.result().tolist()
    [1.0, 2.5, 3.25]
    """

    def __init__(self, probabilities: Sequence[float]) -> None:
        self.probabilities = tuple(float(probability) for probability in probabilities)
        if not all(0.0 <= probability <= 1.0 for probability in self.probabilities):
            raise ValueError(f"probabilities are {self.probabilities}: each must be from 0 to 1")
        self._upper: Int64 = np.zeros(NUM_CELLS, np.int64)
        self._lower: dict[int, Int64] | None = None
        self.num_left_out = 0
        """NaN values seen in the first pass."""

    @property
    def num_values(self) -> int:
        """Values counted in the first pass."""
        return int(self._upper.sum())

    def passes(self) -> "_Passes":
        """Give both passes, to feed the same values in each: ``for _ in quantiles.passes(): ...``."""
        return _Passes(self)

    def update(self, values: npt.ArrayLike) -> None:
        """Take in values of any shape.

        Raises
        ------
        ValueError
            For values that float32 cannot hold exactly.
        """
        given = np.asarray(values).reshape(-1)
        for start in range(0, len(given), BLOCK_VALUES):
            self._count(_exact_float32(given[start : start + BLOCK_VALUES]))

    def _count(self, values: AnyArray) -> None:
        present = values[~np.isnan(values)]
        keys = _ordered_keys(present)
        upper = (keys >> np.uint32(HALF_BITS)).astype(np.int64)
        if self._lower is None:
            self.num_left_out += len(values) - len(present)
            self._upper += np.bincount(upper, minlength=NUM_CELLS)
            return
        for cell, counts in self._lower.items():
            inside = keys[upper == cell] & np.uint32(NUM_CELLS - 1)
            counts += np.bincount(inside.astype(np.int64), minlength=NUM_CELLS)

    def next_pass(self) -> None:
        """End the first pass; every value must be fed once more."""
        ends = np.cumsum(self._upper)
        cells = {int(np.searchsorted(ends, rank, side="right")) for rank in self._ranks()}
        self._lower = {cell: np.zeros(NUM_CELLS, np.int64) for cell in sorted(cells)}

    def merge(self, other: "ExactQuantiles") -> None:
        """Take in everything another one of the same quantiles has seen in the same pass.

        Raises
        ------
        ValueError
            Where they are not of the same quantiles, or not in the same pass over the same values.
        """
        if other.probabilities != self.probabilities or (other._lower is None) != (self._lower is None):
            raise ValueError("only accumulators of the same quantiles and in the same pass can be merged")
        if self._lower is None or other._lower is None:
            self._upper += other._upper
            self.num_left_out += other.num_left_out
            return
        if self._lower.keys() != other._lower.keys():
            raise ValueError("in the second pass every part must start from the merged first pass")
        for cell, counts in other._lower.items():
            self._lower[cell] += counts

    def result(self) -> Float64:
        """Give the quantiles, float64; NaN where no value was seen.

        Raises
        ------
        ValueError
            Before the second pass is done, or where it saw other values than the first.
        """
        if self.num_values == 0:
            return np.full(len(self.probabilities), np.nan)
        if self._lower is None or any(counts.sum() != self._upper[cell] for cell, counts in self._lower.items()):
            raise ValueError("the second pass has not seen the same values as the first")
        return np.array([self._interpolated(probability) for probability in self.probabilities])

    def _ranks(self) -> set[int]:
        places = [(self.num_values - 1) * probability for probability in self.probabilities] if self.num_values else []
        return {rank for place in places for rank in (math.floor(place), math.ceil(place))}

    def _interpolated(self, probability: float) -> float:
        place = (self.num_values - 1) * probability
        low, high = self._value(math.floor(place)), self._value(math.ceil(place))
        if low == high:
            return low
        share = place - math.floor(place)
        return low + (high - low) * share if share < 0.5 else high - (high - low) * (1.0 - share)

    def _value(self, rank: int) -> float:
        """Find the value of a rank counted from 0."""
        ends = np.cumsum(self._upper)
        cell = int(np.searchsorted(ends, rank, side="right"))
        counts = (self._lower or {})[cell]
        within = rank - (int(ends[cell]) - int(self._upper[cell]))
        lower = int(np.searchsorted(np.cumsum(counts), within, side="right"))
        key = np.array([(cell << HALF_BITS) | lower], np.uint32)
        return float(np.where(key & _SIGN, key ^ _SIGN, ~key).astype(np.uint32).view(np.float32)[0])

    def state(self) -> dict[str, Any]:
        """Give everything as plain numbers and lists: only the cells that are not empty."""
        lower = None if self._lower is None else [[cell, _sparse(counts)] for cell, counts in self._lower.items()]
        plain = {"probabilities": list(self.probabilities), "num_left_out": self.num_left_out}
        return {**plain, "upper": _sparse(self._upper), "lower": lower}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Continue from what :meth:`state` gave."""
        restored = cls(state["probabilities"])
        restored.num_left_out, restored._upper = int(state["num_left_out"]), _dense(state["upper"])
        if state["lower"] is not None:
            restored._lower = {int(cell): _dense(counts) for cell, counts in state["lower"]}
        return restored


class _Passes:
    """Two rounds of a loop, with the end of the first pass between them."""

    def __init__(self, quantiles: ExactQuantiles) -> None:
        self._quantiles, self._done = quantiles, 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        if self._done == 1:
            self._quantiles.next_pass()
        if self._done == 2:
            raise StopIteration
        self._done += 1
        return self._done


def _exact_float32(values: AnyArray) -> AnyArray:
    if values.dtype == np.float32:
        return values
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    if not np.array_equal(narrow.astype(np.float64), values.astype(np.float64), equal_nan=True):
        raise ValueError("values must be float32, or numbers that float32 holds exactly")
    return narrow


def _ordered_keys(values: AnyArray) -> AnyArray:
    """Map float32 to uint32 of the same order: flip the sign bit, and all bits of negative values."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    keys: AnyArray = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return keys


def _sparse(counts: Int64) -> list[list[int]]:
    places = np.flatnonzero(counts)
    return [places.tolist(), counts[places].tolist()]


def _dense(sparse: Sequence[Sequence[int]]) -> Int64:
    counts = np.zeros(NUM_CELLS, np.int64)
    counts[np.asarray(sparse[0], np.int64)] = np.asarray(sparse[1], np.int64)
    return counts
