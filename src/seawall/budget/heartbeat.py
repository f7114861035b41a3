"""What a running stage tells the world: sub-step and units done, in a small file that survives a kill."""

import json
import time
from pathlib import Path
from typing import Protocol

from seawall.budget.relief import Relief, holders


class Beat(Protocol):
    """Callback a stage calls at every unit of work: sub-step name, units done, units in all (0 = unknown)."""

    def __call__(self, substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        """Report progress."""


def silent(substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
    """Report to nobody."""


class Heartbeat:
    """Write a stage's last report to a file: every ``interval_seconds`` at most, at once when the sub-step changes.

    Each report also says what holds the memory, and looks whether the parent has asked the stage to shrink: that is
    answered here, between two units of work, and :func:`asked_to_shrink` tells the stage.

    Parameters
    ----------
    relief
        Answers the parent; None where nobody can ask.
    fence
        What the process found when it entered its fence, repeated in every report.
    """

    def __init__(
        self, path: Path, *, interval_seconds: float = 0.2, relief: Relief | None = None, fence: str = ""
    ) -> None:
        self._path = path
        self._interval_seconds = interval_seconds
        self._fence = {"fence": fence} if fence else {}
        self._last_substep = ""
        self._last_seconds = 0.0
        self.relief = relief

    def __call__(self, substep: str, done: int = 0, total: int = 0, **numbers: float) -> None:
        """Report progress."""
        now = time.monotonic()
        if substep == self._last_substep and now - self._last_seconds < self._interval_seconds and done != total:
            return
        self._last_substep, self._last_seconds = substep, now
        report = {"substep": substep, "done": done, "total": total, **numbers, **holders(), **self._fence}
        if self.relief is not None:
            self.relief.answer()
            report |= {"num_shrinks": self.relief.num_requests, "released_bytes": self.relief.released_bytes}
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps(report), encoding="utf-8")
        temporary.replace(self._path)


def asked_to_shrink(beat: Beat) -> int:
    """Tell how often the parent has asked the stage to shrink what changes no result; 0 where nobody asks."""
    return beat.relief.num_requests if isinstance(beat, Heartbeat) and beat.relief is not None else 0


def read_heartbeat(path: Path) -> dict[str, float | str]:
    """Read the last report, or an empty one where there is none yet."""
    try:
        loaded = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
