"""Measure a running stage: high-water marks for the record, and a timeline on disk that survives a kill."""

import csv
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from seawall.budget.heartbeat import read_heartbeat
from seawall.budget.processes import Sample, TreeReader

TIMELINE_COLUMNS = (
    "seconds",
    "unit",
    "substep",
    "private_bytes",
    "shared_bytes",
    "file_bytes",
    "cgroup_bytes",
    "parent_private_bytes",
)

ROW_SECONDS = 0.17
"""A row holds the highest figures of this time or a little more, and no peak is lost: 7 hours take some 10 MB."""

ASIDE_SECONDS = 0.17
"""Time between two looks at all but the stage's memory: its last report, the container's charge, whose peak the kernel
keeps, and the waiting parent. Each of them costs as much as the stage's own figures: after 45 ms of another's work the
caches are cold."""

FLUSH_SECONDS = 1.0
"""At most this much of the timeline is lost when the parent itself is killed."""


@dataclass(frozen=True, slots=True)
class HighWater:
    """The highest each figure has been; they need not have been so at the same moment."""

    held_bytes: int = 0
    """Private and shared memory of the stage's processes together: held against ``projected_private_bytes``."""
    private_bytes: int = 0
    shared_bytes: int = 0
    file_bytes: int = 0
    cgroup_bytes: int | None = None
    """Everything charged to the stage's container, file pages included; None where it has none of its own."""
    parent_private_bytes: int = 0

    def covers(self, sample: Sample) -> bool:
        """Tell whether a sample raises no mark."""
        return (
            sample.private_bytes <= self.private_bytes
            and sample.file_bytes <= self.file_bytes
            and sample.shared_bytes <= self.shared_bytes
            and sample.held_bytes <= self.held_bytes
        )

    def raised_by(self, sample: Sample) -> "HighWater":
        """Give the marks after one more sample."""
        return HighWater(
            max(self.held_bytes, sample.held_bytes),
            max(self.private_bytes, sample.private_bytes),
            max(self.shared_bytes, sample.shared_bytes),
            max(self.file_bytes, sample.file_bytes),
            self.cgroup_bytes,
            self.parent_private_bytes,
        )

    def beside(self, cgroup_bytes: int | None, parent_private_bytes: int) -> "HighWater":
        """Give the marks after one more look at the container and the parent."""
        return self.merged(HighWater(cgroup_bytes=cgroup_bytes, parent_private_bytes=parent_private_bytes))

    def merged(self, other: "HighWater") -> "HighWater":
        """Give the higher of each mark."""
        charges = [mark.cgroup_bytes for mark in (self, other) if mark.cgroup_bytes is not None]
        return HighWater(
            max(self.held_bytes, other.held_bytes),
            max(self.private_bytes, other.private_bytes),
            max(self.shared_bytes, other.shared_bytes),
            max(self.file_bytes, other.file_bytes),
            max(charges, default=None),
            max(self.parent_private_bytes, other.parent_private_bytes),
        )


class Timeline:
    """Append to ``memory.csv``; an existing one is continued in time, after a half-written last line is cut off.

    Where the disk takes no more, rows are lost and the stage goes on: whether it can is for the stage to find out.
    """

    def __init__(self, path: Path) -> None:
        seconds_before, self._lock = _mend(path), threading.Lock()
        self._file = path.open("a", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._waiting: list[tuple[object, ...]] = []
        self._origin_seconds = time.monotonic() - seconds_before
        self._flushed_seconds = time.monotonic()
        if path.stat().st_size == 0:
            self._rows.writerow(TIMELINE_COLUMNS)

    def append(self, unit: str, substep: str, marks: HighWater) -> None:
        """Write one row at the present time; units that run side by side take turns."""
        with self._lock:
            self._append(unit, substep, marks)

    def _append(self, unit: str, substep: str, marks: HighWater) -> None:
        now = time.monotonic()
        figures = (marks.private_bytes, marks.shared_bytes, marks.file_bytes, marks.cgroup_bytes)
        self._waiting.append((f"{now - self._origin_seconds:.2f}", unit, substep, *figures, marks.parent_private_bytes))
        if now - self._flushed_seconds >= FLUSH_SECONDS:
            self._flushed_seconds = now
            self._write()

    def _write(self) -> None:
        """Write the rows of a second at once: five times one row would cost five times as much."""
        rows, self._waiting = self._waiting, []
        with suppress(OSError):
            self._rows.writerows(rows)
            self._file.flush()

    def close(self) -> None:
        """Write what is buffered."""
        with self._lock:
            self._write()
        with suppress(OSError):
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _mend(path: Path) -> float:
    """Cut a half-written last line and give the seconds of the last whole one; 0 where there is none."""
    try:
        with path.open("rb+") as file:
            start = max(file.seek(0, os.SEEK_END) - 65536, 0)
            file.seek(start)
            tail = file.read()
            whole = tail[: tail.rfind(b"\n") + 1]
            file.truncate(start + len(whole))
    except FileNotFoundError:
        return 0.0
    lines = whole.splitlines()
    try:
        return float(lines[-1].split(b",", 1)[0]) if lines else 0.0
    except ValueError:
        return 0.0


class Meter:
    """Sample one stage's processes each time the parent's wait loop asks, and keep its high-water marks.

    Parameters
    ----------
    timeline
        Where the rows go; several meters write to it one after another.
    pid
        The stage's process.
    unit
        Name of the unit in ``run.json``.
    heartbeat
        File the stage reports its sub-step to.
    charged
        Gives what the stage's own container is charged with now (``Fence.charged``), or None.
    """

    def __init__(
        self, timeline: Timeline, *, pid: int, unit: str, heartbeat: Path, charged: Callable[[], int | None]
    ) -> None:
        self.parent_private_bytes = 0
        self._timeline, self._unit, self._charged = timeline, unit, charged
        self._tree = TreeReader(pid)
        self._heartbeat = _LastReport(heartbeat)
        self._next_aside_seconds = 0.0
        self._written, self._row = HighWater(), HighWater()
        self._row_substep, self._row_started = "", time.monotonic()

    def sample(self) -> Sample:
        """Measure now; a row is written when the sub-step is seen to change and at least every ``ROW_SECONDS``."""
        sample = self._tree.sample()
        now = time.monotonic()
        if now >= self._next_aside_seconds:
            self._next_aside_seconds = now + ASIDE_SECONDS
            self._look_aside(now)
        marks = self._row
        if not marks.covers(sample):
            self._row = marks.raised_by(sample)
        return sample

    def _look_aside(self, now: float) -> None:
        parent_bytes, charged_bytes = self._tree.own_private_bytes(), self._charged()
        self.parent_private_bytes = max(self.parent_private_bytes, parent_bytes)
        substep = str(self._heartbeat.read().get("substep", ""))
        if substep != self._row_substep or now - self._row_started >= ROW_SECONDS:
            self._write_row()
            self._row_substep, self._row_started = substep, now
        self._row = self._row.beside(charged_bytes, parent_bytes)

    def read_bytes(self) -> int | None:
        """Sum what the stage's processes have really read from disk; None where the kernel does not say."""
        return self._tree.read_bytes()

    @property
    def high(self) -> HighWater:
        """The marks of all samples so far."""
        return self._written.merged(self._row)

    @property
    def heartbeat(self) -> Mapping[str, float | str]:
        """The stage's last report, as of the last sample."""
        return self._heartbeat.last

    def close(self) -> None:
        """Write the last row."""
        self._write_row()
        self._tree.close()

    def _write_row(self) -> None:
        if self._row != HighWater():
            self._timeline.append(self._unit, self._row_substep, self._row)
            self._written, self._row = self.high, HighWater()


class _LastReport:
    """What a heartbeat file says, parsed again only when the file was replaced."""

    def __init__(self, path: Path) -> None:
        self._path, self._name = path, str(path)
        self._seen = (0, 0)
        self.last: dict[str, float | str] = {}

    def read(self) -> dict[str, float | str]:
        try:
            status = os.stat(self._name)  # noqa: PTH116 - twenty times a second, and a Path costs as much as the call
        except OSError:
            return self.last
        seen = (status.st_ino, status.st_mtime_ns)
        if seen != self._seen:
            self._seen, self.last = seen, read_heartbeat(self._path) or self.last
        return self.last
