"""Follow a unit on another machine by its small files alone: memory, sub-step, reports, and whether it still lives."""

import csv
import json
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seawall.budget.claims import StagePlan
from seawall.budget.heartbeat import read_heartbeat
from seawall.budget.meter import TIMELINE_COLUMNS, HighWater, Timeline
from seawall.pipeline.cluster.capsule import Capsule
from seawall.pipeline.journal import log_event
from seawall.pipeline.stages import Unit
from seawall.pipeline.unit import UnitRun


@dataclass(slots=True)
class Follower:
    """What is seen of one unit; rows of its memory go into the run's timeline, reports into the run's log."""

    work: UnitRun
    timeline: Timeline
    unit: Unit
    capsule: Capsule
    plan: StagePlan
    node: dict[str, Any] = field(default_factory=dict)
    """Where the present start works."""
    high: HighWater = field(default_factory=HighWater)
    _before: dict[str, Any] = field(default_factory=dict)
    _tails: dict[str, "_Tail"] = field(default_factory=dict)
    _life: tuple[int, ...] = ()
    _life_seconds: float = field(default_factory=time.monotonic)

    def restart(self) -> None:
        """Wait for another start than the one that is written now; rows and reports go on where they are."""
        self.node, self._before = {}, self.capsule.node()
        self._life_seconds = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """How long no file of the unit has changed."""
        return time.monotonic() - self._life_seconds

    def look(self) -> dict[str, Any]:
        """Look once; gives the node of the present start, empty before it began."""
        folder = self.capsule.newest
        if folder is None:
            return self.node
        found = self.capsule.node()
        if found and found not in (self.node, self._before):
            self.node = found
            self.work.listener.started(self.unit, self.plan)
            self.work.listener.noted(f"{self.unit.name}: on node {self.node['address']}, start {self.node['start']}")
        self._note_life(folder)
        self._rows(folder)
        self._reports(folder)
        beat = read_heartbeat(_first(folder, ".heartbeat.json"))
        if beat and self.node:
            self.work.listener.sampled(self.unit, beat, self.high)
        return self.node

    def _note_life(self, folder: Path) -> None:
        life = []
        for name in (".heartbeat.json", "memory.csv", "log.jsonl", ".node.json"):
            with suppress(OSError):
                life.append(_first(folder, name).stat().st_mtime_ns)
        if tuple(life) != self._life:
            self._life, self._life_seconds = tuple(life), time.monotonic()

    def _rows(self, folder: Path) -> None:
        for row in csv.reader(self._new_lines(_first(folder, "memory.csv"))):
            if len(row) == len(TIMELINE_COLUMNS) and row[0] != TIMELINE_COLUMNS[0]:
                with suppress(ValueError):
                    private, shared, file, parent = (int(row[place]) for place in (3, 4, 5, 7))
                    cgroup = int(row[6]) if row[6] else None
                    marks = HighWater(private + shared, private, shared, file, cgroup, parent)
                    self.timeline.append(self.unit.name, row[2], marks)
                    held = max(self.high.held_bytes, marks.held_bytes)
                    self.high = marks if held == marks.held_bytes else self.high

    def _reports(self, folder: Path) -> None:
        for line in self._new_lines(folder / "log.jsonl"):
            with suppress(ValueError):
                event = json.loads(line)
                if event.get("event") == "report":
                    values = {
                        name: value for name, value in event.items() if name not in ("time", "event", "unit", "error")
                    }
                    log_event(self.work.config.output, "report", self.unit.name, "", **values)

    def _new_lines(self, path: Path) -> list[str]:
        return self._tails.setdefault(path.name, _Tail()).lines(path)


@dataclass(slots=True)
class _Tail:
    """Whole lines of a growing file that were not given before."""

    _at: int = 0

    def lines(self, path: Path) -> list[str]:
        with suppress(OSError), path.open("rb") as file:
            file.seek(self._at)
            whole = file.read()
            whole = whole[: whole.rfind(b"\n") + 1]
            self._at += len(whole)
            return whole.decode("utf-8", "replace").splitlines()
        return []


def _first(folder: Path, name: str) -> Path:
    """Give a small file of the unit, or of its first rank."""
    of_rank = folder / ".rank_0" / name
    return of_rank if of_rank.exists() else folder / name
