"""How fast a long sub-step goes and how long it has still to go, from the units of work its heartbeats count."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from seawall.units import format_seconds

FIRST_SECONDS = 2.0
"""A pace seen for less is not told."""


@dataclass(slots=True)
class Pace:
    """Follow the heartbeats of one unit.

    A sub-step is timed from its first heartbeat. Those that count rows say so with ``source_bytes``, the bytes that
    ``total`` rows stand for.
    """

    clock: Callable[[], float]
    _substep: str = ""
    _start: tuple[float, float] = field(default=(0.0, 0.0))

    def text(self, heartbeat: Mapping[str, float | str]) -> str:
        """Tell rows and megabytes per second and the time left; empty where the sub-step counts no rows."""
        substep, done = str(heartbeat.get("substep", "")), float(heartbeat.get("done", 0))
        total, source_bytes = float(heartbeat.get("total", 0)), float(heartbeat.get("source_bytes", 0))
        now = self.clock()
        if substep != self._substep or done < self._start[1]:
            self._substep, self._start = substep, (now, done)
        seconds, rows = now - self._start[0], done - self._start[1]
        if not source_bytes or not total or seconds < FIRST_SECONDS or rows <= 0:
            return ""
        rate = rows / seconds
        left = f", {format_seconds((total - done) / rate)} left" if done < total else ""
        return f"{rate:,.0f} rows/s, {rate * source_bytes / total / 1e6:.0f} MB/s{left}"
