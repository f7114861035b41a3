"""Everything that was tried, as profit by block of time: what the tests of overfitting need, and all they need."""

from collections.abc import Iterator, Sequence

import numpy as np

from seawall.arrays import Float64

CHUNK_TRIALS = 512
"""Trials looked at together: results do not depend on it."""


class Trials:
    """Profit of every trial by block [C, B], in parts that may be mapped files.

    A trial is any combination, weight set, threshold or refinement point that could have been chosen.
    """

    def __init__(self, parts: Sequence[Float64]) -> None:
        self._parts = [part for part in parts if len(part)]
        self.num_trials = sum(len(part) for part in self._parts)
        self.num_blocks = self._parts[0].shape[1] if self._parts else 0

    def chunks(self) -> Iterator[tuple[int, Float64]]:
        """Give (number of the first trial, profits [c, B]) in order; at most ``CHUNK_TRIALS`` at once."""
        offset = 0
        for part in self._parts:
            for start in range(0, len(part), CHUNK_TRIALS):
                rows = np.asarray(part[start : start + CHUNK_TRIALS])
                yield offset + start, rows
            offset += len(part)

    def row(self, number: int) -> Float64:
        """Give the profits of one trial [B]."""
        for part in self._parts:
            if number < len(part):
                return np.array(part[number])
            number -= len(part)
        raise IndexError("no such trial")

    def totals(self) -> Float64:
        """Give the total of every trial [C]; 8 bytes a trial."""
        found = [rows.sum(axis=1) for _, rows in self.chunks()]
        return np.concatenate(found) if found else np.empty(0)
