"""Sorted rows of whole entities, on their way into a store."""

from dataclasses import dataclass, field

import numpy as np

from seawall.arrays import Bool, Float32, Float64, Int64


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of whole entities sorted by (entity, time), duplicates resolved."""

    names: list[str]
    starts: Int64
    times: Int64
    values: Float64
    """float64 [n, W]: the columns of :attr:`RecordLayout.wide`."""
    carried: Float64 | None = None
    """float64 [e], adjustment of each entity's first row here, where its earlier rows are left out; else None."""
    narrow: Float32 | None = None
    """float32 [n, M]: the columns of :attr:`RecordLayout.narrow`, where there are any."""
    kept: slice = field(default_factory=lambda: slice(None))
    """The rows that are counted and stored; others are there for them to read."""

    @property
    def first(self) -> Bool:
        """True at the first row of each entity."""
        marks = np.zeros(len(self.times), bool)
        marks[self.starts[:-1]] = True
        return marks

    @property
    def entity_number(self) -> Int64:
        """Number of each row's entity within the bucket."""
        return np.repeat(np.arange(len(self.names)), np.diff(self.starts))


def kept_places(marked: Bool, kept: slice) -> Int64:
    """List the marked rows among those that are kept."""
    start, stop, _ = kept.indices(len(marked))
    return np.flatnonzero(marked[start:stop]) + start
