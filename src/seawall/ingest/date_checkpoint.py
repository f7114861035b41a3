"""How far the pass by date has come, and the targets of the slab it stands in as they were before: a kill is undone."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seawall.arrays import Float64
from seawall.stores.sealed import read_sealed, write_sealed


@dataclass(frozen=True, slots=True)
class DateState:
    """Dates before ``start`` are done; of those up to ``stop`` some rows may be."""

    start: int
    stop: int
    missing: dict[str, int]
    """Rows without a value before ``start``, by feature."""
    returns: Float64 | None = None
    """float64 [rows of the slab, K], before the mean of a market was taken off; None where none is."""


class DateCheckpoint:
    """A file beside the rows set aside, replaced as a whole before each slab is written.

    Features that compare names are made of others, so they can be made twice; a mean taken off twice would be wrong.
    Disk is the targets of one slab.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, state: DateState) -> None:
        """Put the state on disk: the slab may be written from here on."""
        told = {"start": state.start, "stop": state.stop, "missing": state.missing}
        arrays = {"told": np.frombuffer(json.dumps(told).encode(), np.uint8)}
        write_sealed(self._path, arrays | ({} if state.returns is None else {"returns": state.returns}))

    def load(self) -> DateState | None:
        """Read what a killed pass has left; None where it had not begun."""
        arrays = read_sealed(self._path)
        if arrays is None:
            return None
        return DateState(**json.loads(arrays["told"].tobytes()), returns=arrays.get("returns"))

    def forget(self) -> None:
        """Remove it: the rows it tells of are made anew."""
        self._path.unlink(missing_ok=True)
