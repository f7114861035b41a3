"""The columns of entries, mapped; light to import, as the sweep needs no table reader."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seawall.arrays import Float64, Int64

Side: TypeAlias = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Entries [N] of one type in order of time. Columns may be mapped files."""

    rows: Int64
    """Row of the bar whose open fills the entry."""
    times: Int64
    """Opening time of that bar."""
    sides: Side
    scores: Float64
    """Score components [N, F]; F is 0 where there are none."""

    def __len__(self) -> int:
        return len(self.rows)


def open_entries(folder: Path) -> Entries:
    """Map the entries of one type, read-only."""
    rows, times, sides, scores = (
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("rows", "times", "sides", "scores")
    )
    return Entries(rows, times, sides, scores)
