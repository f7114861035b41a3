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
    ``total`` rows stand for; those that count batches with ``batch_rows``, the rows
    of one on average.
    """

    clock: Callable[[], float]
    _substep: str = ""
    _start: tuple[float, float] = field(default=(0.0, 0.0))

    def text(self, heartbeat: Mapping[str, float | str]) -> str:
        """Tell how fast rows are worked through and the time left, and of training what it has reached.

        Rows and megabytes a second of a reader; loss, IC on valid of the epoch before, rows a second, and the share of
        the epoch that steps waited for batches. Empty where the sub-step counts no rows.
        """
        substep, done = str(heartbeat.get("substep", "")), float(heartbeat.get("done", 0))
        total, source_bytes = float(heartbeat.get("total", 0)), float(heartbeat.get("source_bytes", 0))
        now = self.clock()
        if substep != self._substep or done < self._start[1]:
            self._substep, self._start = substep, (now, done)
        seconds, rows = now - self._start[0], done - self._start[1]
        batch_rows = float(heartbeat.get("batch_rows", 0))
        known = [] if not batch_rows else _reached(heartbeat)
        if not (source_bytes or batch_rows) or not total or seconds < FIRST_SECONDS or rows <= 0:
            return ", ".join(known)
        rate = rows / seconds
        left = [f"{format_seconds((total - done) / rate)} left"] if done < total else []
        if batch_rows:
            return ", ".join([*known, f"{rate * batch_rows:,.0f} rows/s", *_waited(heartbeat), *left])
        return ", ".join([f"{rate:,.0f} rows/s", f"{rate * source_bytes / total / 1e6:.0f} MB/s", *left])


def _reached(heartbeat: Mapping[str, float | str]) -> list[str]:
    named = (("loss", "loss", ".5f"), ("IC", "valid_ic", ".4f"))
    return [f"{name} {float(heartbeat[key]):{form}}" for name, key, form in named if key in heartbeat]


def _waited(heartbeat: Mapping[str, float | str]) -> list[str]:
    seconds = float(heartbeat.get("epoch_seconds", 0))
    return [f"loader wait {float(heartbeat.get('loader_wait_seconds', 0)) / seconds:.1%}"] if seconds else []
