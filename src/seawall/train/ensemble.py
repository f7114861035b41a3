"""Predictions of several seeds put together as they are asked for: memory is some copies of one slice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seawall.arrays import Float32, Float64
from seawall.stores.predictions import Sliced


@dataclass(frozen=True, slots=True)
class SeedMean:
    """The mean over seeds, float32; sums are float64 and in order of the seeds."""

    seeds: Sequence[Sliced]

    def __getitem__(self, rows: slice, /) -> Float32:
        """Give float32 [n, K]."""
        return _mean(self.seeds, rows).astype(np.float32)


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """The standard deviation over two or more seeds (n - 1 below the line), float32."""

    seeds: Sequence[Sliced]

    def __getitem__(self, rows: slice, /) -> Float32:
        """Give float32 [n, K]."""
        mean = _mean(self.seeds, rows)
        squares = np.zeros_like(mean)
        for seed in self.seeds:
            squares += (seed[rows] - mean) ** 2
        spread: Float32 = np.sqrt(squares / (len(self.seeds) - 1)).astype(np.float32)
        return spread


@dataclass(frozen=True, slots=True)
class Constant:
    """One value for each target, whatever the row."""

    values: Sequence[float]

    def __getitem__(self, rows: slice, /) -> Float32:
        """Give float32 [n, K] for a slice with both ends."""
        return np.tile(np.array(self.values, np.float32), (rows.stop - rows.start, 1))


def _mean(seeds: Sequence[Sliced], rows: slice) -> Float64:
    total = seeds[0][rows].astype(np.float64)
    for seed in seeds[1:]:
        total += seed[rows]
    mean: Float64 = total / len(seeds)
    return mean
