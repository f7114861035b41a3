"""What a run does now, from the small files it leaves: nothing is locked, changed or imported that is heavy."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seawall.budget.cgroup import read_meminfo
from seawall.errors import FormatError
from seawall.pipeline.aftermath import aftermath
from seawall.pipeline.journal import last_report, last_run
from seawall.pipeline.manifest import read_run_record

TAIL_BYTES = 4096
"""Of the memory timeline, the end: some tens of samples."""

MAX_REPORTS = 400
"""Reports of training that are shown, newest last."""

FOLD_STAGES = ("train", "predict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One look at a run. None and empty where nothing is known yet."""

    name: str = ""
    state: str = "no run yet"
    happened: str = ""
    pid: int | None = None
    unit: str = ""
    stage: str = ""
    fold: int | None = None
    num_folds: int | None = None
    substep: str = ""
    done: float = 0
    total: float = 0
    loss: float | None = None
    rows_per_second: float | None = None
    seconds_left_in_stage: float | None = None
    """From the mean of the finished units of this stage; None before the first has ended."""
    held_bytes: int | None = None
    peak_bytes: int | None = None
    declared_bytes: int | None = None
    finished: tuple[str, ...] = ()
    reports: tuple[Mapping[str, Any], ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


class Watcher:
    """Look at a run folder again and again; a run that starts anew there is simply seen at the next look.

    Memory is one snapshot: of the log its last 256 KiB, of the memory timeline 4 KiB.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._place: tuple[str, str] = ("", "")
        self._since: tuple[float, float] = (0.0, 0.0)
        self._peak_bytes = 0

    def look(self) -> Snapshot:
        """Read what there is."""
        try:
            record, found = read_run_record(self.folder), aftermath(self.folder)
        except FormatError:
            return Snapshot(name=self.folder.name, machine=machine_line())
        events, report = last_run(self.folder), last_report(self.folder)
        is_running = found.state == "running"
        unit = str(report.get("unit") or "") if is_running else ""
        stage, _, place = unit.partition("/fold_")
        fold, _, member = place.partition("/")
        plan, held_bytes = _json(self.folder / "plan.json"), self._held_bytes(unit)
        folds = _json(self.folder / "folds.json").get("folds", ())
        return Snapshot(
            name=str(record.get("name", "")),
            state=found.state,
            happened=found.happened,
            pid=next((event.get("pid") for event in events if event["event"] == "began"), None),
            unit=unit,
            stage=stage,
            fold=int(fold) if fold.isdigit() else None,
            num_folds=len(folds) or None,
            substep=str(report.get("substep", "")) if unit else "",
            done=_number(report.get("done")) or 0 if unit else 0,
            total=_number(report.get("total")) or 0 if unit else 0,
            loss=_number(report.get("loss")) if unit else None,
            rows_per_second=self._pace(unit, report) if unit else None,
            seconds_left_in_stage=None if member else _left(record["units"], events, unit, stage, len(folds)),
            held_bytes=held_bytes,
            peak_bytes=self._peak_bytes or None,
            declared_bytes=plan.get("declared_bytes"),
            finished=tuple(record["units"]),
            reports=tuple(_reports(events)),
            machine=machine_line(),
        )

    def _pace(self, unit: str, report: Mapping[str, Any]) -> float | None:
        """Count the units of work a second since this sub-step was first seen, in rows where a step is a batch."""
        place, done, now = (unit, str(report.get("substep"))), _number(report.get("done")) or 0.0, time.monotonic()
        if place != self._place or done < self._since[1]:
            self._place, self._since = place, (now, done)
            return None
        seconds, steps = now - self._since[0], done - self._since[1]
        if seconds < 0.5 or steps <= 0:
            return None
        return steps * (_number(report.get("batch_rows")) or 1) / seconds

    def _held_bytes(self, unit: str) -> int | None:
        """Read the last sample of the timeline: the run's private and shared memory, its parent included."""
        for line in reversed(_tail(self.folder / "memory.csv").splitlines()[1:]):
            parts = line.split(",")
            with suppress(ValueError, IndexError):
                held = sum(int(float(parts[i] or 0)) for i in (-5, -4, -1))
                self._peak_bytes = max(self._peak_bytes, held)
                return held if unit else None
        return None


def machine_line() -> dict[str, Any]:
    """Tell load, memory and GPU of this machine."""
    memory = read_meminfo()
    found: dict[str, Any] = {
        "load": round(os.getloadavg()[0], 2),
        "cores": os.cpu_count(),
        "memory_bytes": memory.get("MemTotal"),
        "available_bytes": memory.get("MemAvailable"),
    }
    if Path("/proc/driver/nvidia/gpus").is_dir():
        command = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used,memory.total", "--format=csv,noheader"]
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
            found["gpu"] = done.stdout.strip().splitlines()
    return found


def _left(
    units: Mapping[str, Any], events: list[dict[str, Any]], unit: str, stage: str, num_folds: int
) -> float | None:
    """Estimate the time left in a stage of folds from the finished ones, less what the present one has taken."""
    took = [record["wall_seconds"] for record in units.values() if record["stage"] == stage]
    started = [event for event in events if event["event"] == "started" and event.get("unit") == unit]
    if stage not in FOLD_STAGES or not took or not started:
        return None
    waited = time.time() - _seconds(str(started[-1].get("time", "")))
    mean = sum(took) / len(took)
    return float(mean * max(num_folds - len(took) - 1, 0) + max(mean - waited, 0.0))


def _seconds(text: str) -> float:
    with suppress(ValueError):
        return datetime.fromisoformat(text).timestamp()
    return datetime.now(UTC).timestamp()


def _reports(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    dropped = ("event", "error")
    found = [event for event in events if event["event"] == "report"][-MAX_REPORTS:]
    return [{key: value for key, value in event.items() if key not in dropped} for event in found]


def _tail(path: Path) -> str:
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
        return file.read().decode("utf-8", "replace")
    return ""


def _json(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        loaded = json.loads(path.read_text(encoding="utf-8"))
        return loaded if isinstance(loaded, dict) else {}
    return {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
