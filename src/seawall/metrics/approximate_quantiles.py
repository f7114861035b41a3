"""Approximate quantiles in one pass and a few KiB, with a stated error: for where two passes cannot be made."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from seawall.arrays import Float64

FIRST_LEVEL_VALUES = 4096
"""Values gathered before any is dropped: few values have exact quantiles, and NumPy has something to sort."""

SHRINK = 2 / 3
"""Each level holds two thirds of the one above it."""

FEWEST_VALUES = 8
"""Smallest level."""


class ApproximateQuantiles:
    """Quantiles of any number of values by one pass: the KLL sketch. Where two passes can be made, take ExactQuantiles.

    Values are gathered in levels; a value at level h stands for 2^h of them. A full level is sorted and every other
    value, from the first or from the second by a coin, goes up a level. Each time that happens, the rank of any value
    shifts by at most 2^h, up or down alike; :meth:`rank_error` bounds their sum. Up to 4,096 values nothing is dropped.

    The same values in the same order and with the same seed give the same bits, however they are cut into chunks.
    NaN is left out and counted; infinite values order like others. Memory is at most 8 B x (8,192 + 3 x capacity +
    8 x levels), about 115 KiB by default, and no more for any number of values.

    Parameters
    ----------
    probabilities
        Each from 0 to 1; smallest and largest value are exact.
    capacity
        Values of the highest level, at least 8; the error is inverse to it.
    seed
        Decides the coins together with the values. Parts to be merged that may hold the very same values need seeds of
        their own.

    Notes
    -----
    Source: Z. Karnin, K. Lang, E. Liberty, Optimal quantile approximation in streams, FOCS 2016; bounded here by
    Hoeffding's inequality over the compactions that took place.

    Examples
    --------
    >>> quantiles = ApproximateQuantiles([0.0, 0.5, 1.0])
    >>> quantiles.update([4.0, 1.0])
    >>> quantiles.update([2.0, float("nan")])
    >>> quantiles.result().tolist(), quantiles.rank_error()
    ([1.0, 2.0, 4.0], 0.0)
    """

    def __init__(self, probabilities: Sequence[float], *, capacity: int = 2048, seed: int = 0) -> None:
        self.probabilities = tuple(float(probability) for probability in probabilities)
        if not all(0.0 <= probability <= 1.0 for probability in self.probabilities):
            raise ValueError(f"probabilities are {self.probabilities}: each must be from 0 to 1")
        if capacity < FEWEST_VALUES:
            raise ValueError(f"capacity is {capacity}: must be at least {FEWEST_VALUES}")
        self.capacity, self.seed = capacity, seed
        self.num_values = self.num_left_out = 0
        """Values taken in, and NaN values left out."""
        self._ends = (math.inf, -math.inf)
        self._first, self._num_first = np.empty(FIRST_LEVEL_VALUES), 0
        self._levels: list[Float64] = []
        self._num_compacted, self._squared_shifts = 0, 0

    def update(self, values: npt.ArrayLike) -> None:
        """Take in values of any shape, read as float64."""
        given = np.asarray(values, np.float64).reshape(-1)
        start = 0
        while start < len(given):
            part = given[start : start + FIRST_LEVEL_VALUES - self._num_first]
            start += len(part)
            present = part[~np.isnan(part)]
            self.num_left_out += len(part) - len(present)
            self._take(present)

    def merge(self, other: "ApproximateQuantiles") -> None:
        """Take in everything another one of the same quantiles and capacity has seen; the error bounds add up.

        Raises
        ------
        ValueError
            Where they are not of the same quantiles or capacity.
        """
        if (other.probabilities, other.capacity) != (self.probabilities, self.capacity):
            raise ValueError("only accumulators of the same quantiles and capacity can be merged")
        held = other._first[: other._num_first].copy()
        self._ends = (min(self._ends[0], other._ends[0]), max(self._ends[1], other._ends[1]))
        self.num_values += other.num_values - len(held)
        self.num_left_out += other.num_left_out
        self._squared_shifts += other._squared_shifts
        self._num_compacted += other._num_compacted
        for level, values in enumerate(other._levels):
            self._raise_to(level, values)
        self._shrink()
        for start in range(0, len(held), FIRST_LEVEL_VALUES // 2):
            self.update(held[start : start + FIRST_LEVEL_VALUES // 2])

    def result(self) -> Float64:
        """Give the quantiles, float64: values that were seen, not interpolated; NaN where none was."""
        if self.num_values == 0:
            return np.full(len(self.probabilities), np.nan)
        parts = [self._first[: self._num_first], *self._levels]
        values = np.concatenate(parts)
        weights = np.concatenate([np.full(len(part), 1 << level) for level, part in enumerate(parts)])
        order = np.argsort(values, kind="stable")
        reached = np.cumsum(weights[order])
        wanted = [max(1, math.ceil(probability * self.num_values)) for probability in self.probabilities]
        found: Float64 = values[order][np.searchsorted(reached, wanted)]
        for place, probability in enumerate(self.probabilities):
            if probability in (0.0, 1.0):
                found[place] = self._ends[int(probability)]
        return found

    def rank_error(self, confidence: float = 0.99) -> float:
        """Bound how far the rank of a quantile is off, as a share of all values, at a confidence.

        The bound is sqrt(2 ln(2 / (1 - confidence)) x sum of squared shifts) / n: it knows what was dropped, and holds
        for every order of values and any merges. It stays below 4 sqrt(ln(2 / (1 - confidence))) / capacity: 0.45 % by
        default at 99 %.
        """
        if self.num_values == 0:
            return 0.0
        return math.sqrt(2.0 * math.log(2.0 / (1.0 - confidence)) * self._squared_shifts) / self.num_values

    @property
    def held_bytes(self) -> int:
        """Bytes of the values held."""
        return self._first.nbytes + sum(values.nbytes for values in self._levels)

    def state(self) -> dict[str, Any]:
        """Give everything as plain numbers and lists."""
        return {
            "probabilities": list(self.probabilities),
            "capacity": self.capacity,
            "seed": self.seed,
            "num_values": self.num_values,
            "num_left_out": self.num_left_out,
            "ends": list(self._ends),
            "first": self._first[: self._num_first].tolist(),
            "levels": [values.tolist() for values in self._levels],
            "num_compacted": self._num_compacted,
            "squared_shifts": self._squared_shifts,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Continue from what :meth:`state` gave."""
        restored = cls(state["probabilities"], capacity=state["capacity"], seed=state["seed"])
        restored.num_values, restored.num_left_out = int(state["num_values"]), int(state["num_left_out"])
        restored._ends = (float(state["ends"][0]), float(state["ends"][1]))
        restored._num_first = len(state["first"])
        restored._first[: restored._num_first] = state["first"]
        restored._levels = [np.array(values, np.float64) for values in state["levels"]]
        restored._num_compacted = int(state["num_compacted"])
        restored._squared_shifts = int(state["squared_shifts"])
        return restored

    def _take(self, present: Float64) -> None:
        """Put values into the first level, which has room for them; once it is full, half of it goes up."""
        if not len(present):
            return
        self._first[self._num_first : self._num_first + len(present)] = present
        self._num_first += len(present)
        self.num_values += len(present)
        self._ends = (min(self._ends[0], float(present.min())), max(self._ends[1], float(present.max())))
        if self._num_first == FIRST_LEVEL_VALUES:
            self._raise_to(0, self._half_of(self._first, 0))
            self._num_first = 0
            self._shrink()

    def _raise_to(self, level: int, values: Float64) -> None:
        """Add values to the level above the first one, or a higher one: it stays sorted only when it is compacted."""
        while len(self._levels) <= level:
            self._levels.append(np.empty(0))
        self._levels[level] = np.concatenate([self._levels[level], values])

    def _shrink(self) -> None:
        """Halve every level that holds more than its part, from the lowest on; a new highest one makes others small."""
        level = 0
        while level < len(self._levels):
            values = self._levels[level]
            if len(values) > self._most_of(level):
                num_odd = len(values) % 2
                self._levels[level] = values[:num_odd].copy()
                highest = len(self._levels)
                self._raise_to(level + 1, self._half_of(values[num_odd:], level + 1))
                if len(self._levels) > highest:
                    level = -1
            level += 1

    def _most_of(self, level: int) -> int:
        share = SHRINK ** (len(self._levels) - 1 - level)
        return max(FEWEST_VALUES, math.ceil(self.capacity * share))

    def _half_of(self, values: Float64, power: int) -> Float64:
        """Give every other one of sorted values that stand for 2^power each, from the first or from the second."""
        ordered = np.sort(values)
        key = f"{self.seed}/{self._num_compacted}/{power}".encode()
        offset = hashlib.blake2b(ordered.tobytes(), key=hashlib.blake2b(key).digest(), digest_size=1).digest()[0] & 1
        self._num_compacted += 1
        self._squared_shifts += 1 << 2 * power
        half: Float64 = ordered[offset::2].copy()
        return half
