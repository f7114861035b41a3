"""What a running stage tells the world: sub-step and units done, in a small file that survives a kill."""

import json
import time
from pathlib import Path
from typing import Protocol


class Beat(Protocol):
    """Callback a stage calls at every unit of work: sub-step name, units done, units in all (0 = unknown)."""

    def __call__(self, substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        """Report progress."""


def silent(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
    """Report to nobody."""


class Heartbeat:
    """Write a stage's last report to a file: every ``interval_seconds`` at most, at once when the sub-step changes."""

    def __init__(self, path: Path, *, interval_seconds: float = 0.2) -> None:
        self._path = path
        self._interval_seconds = interval_seconds
        self._last_substep = ""
        self._last_seconds = 0.0

    def __call__(self, substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        """Report progress."""
        now = time.monotonic()
        if substep == self._last_substep and now - self._last_seconds < self._interval_seconds and done != total:
            return
        self._last_substep, self._last_seconds = substep, now
        text = json.dumps({"substep": substep, "done": done, "total": total, **numbers})
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self._path)


def read_heartbeat(path: Path) -> dict[str, float | str]:
    """Read the last report, or an empty one where there is none yet."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
