"""How far the second pass of an ingest has come: entities computed and on disk, so that a kill does not undo them."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seawall.ingest.checkpoint import BUILT_NAME
from seawall.ingest.quality import Quality
from seawall.stores.panel_spec import PanelSpec, Settled
from seawall.stores.sealed import read_sealed, write_sealed

_NOW = "now"


@dataclass(frozen=True, slots=True)
class Built:
    """Rows of whole entities that are computed and written."""

    num_rows: int = 0
    """Rows of the first pass they were made of, in the order of names."""
    settled: Settled | None = None
    quality: Quality | None = None


class BuiltCheckpoint:
    """The state of the second pass beside the rows set aside, replaced as a whole every ``every_seconds`` at most.

    Memory while it is written: the names of the entities twice, and 8 bytes a date.
    """

    def __init__(self, folder: Path, every_seconds: float) -> None:
        self._path, self._every_seconds = folder / BUILT_NAME, every_seconds
        self._saved_seconds = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Tell whether enough has been done since the last time."""
        return time.monotonic() - self._saved_seconds >= self._every_seconds

    def save(self, built: Built) -> None:
        """Write the state; the rows it counts must be on disk."""
        settled, quality = built.settled, built.quality
        if settled is None or quality is None:
            return
        record, arrays = quality.state()
        told: dict[str, Any] = {"num_rows": built.num_rows, "folder": settled.folder, "quality": record}
        arrays |= {"lengths": settled.lengths, "rows_per_date": settled.rows_per_date}
        arrays["names"] = np.frombuffer("\0".join(settled.names).encode(), np.uint8)
        arrays["record"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
        write_sealed(self._path, arrays)
        self._saved_seconds = time.monotonic()

    def load(self, store: Path, spec: PanelSpec) -> Built:
        """Read what a killed pass has left; nothing built where there is none, or its rows are no longer there."""
        arrays = read_sealed(self._path)
        if arrays is None:
            return Built()
        told = json.loads(arrays["record"].tobytes())
        names = arrays["names"].tobytes().decode().split("\0") if len(arrays["lengths"]) else []
        settled = Settled(told["folder"], names, arrays["lengths"], arrays["rows_per_date"])
        if not settled.is_whole(store, spec):
            return Built()
        return Built(told["num_rows"], settled, Quality.of_state(told["quality"], arrays))
