"""What is left on disk of a unit that is running, so that the next start can say how it ended if nobody else did."""

import csv
import json
import os
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seawall.budget.causes import CAUSES, cause_of_exception
from seawall.budget.claims import StagePlan
from seawall.budget.heartbeat import read_heartbeat
from seawall.budget.kills import KillCounts, again
from seawall.errors import SeawallError, StageError
from seawall.stores.atomic import write_json
from seawall.units import format_bytes

ATTEMPT = ".attempt.json"

_TIMELINE_TAIL_BYTES = 1024 * 1024
"""About an hour of rows: more than anybody waits for a high-water mark to be looked up."""


@dataclass(frozen=True, slots=True)
class Left:
    """How an earlier start of this run ended."""

    unit: str
    cause: str
    headline: str
    rows: tuple[tuple[str, str], ...]

    def record(self) -> dict[str, Any]:
        """Give it as plain JSON values."""
        return {"unit": self.unit, "cause": self.cause, "headline": self.headline, "rows": dict(self.rows)}

    def screen(self) -> str:
        """Write headline and rows as lines of text."""
        return "\n".join([self.headline, *(f"  {name:<16} {text}" for name, text in self.rows)])


def begin_attempt(
    folder: Path, unit: str, plan: StagePlan, *, declared_bytes: int, fence: str, kills: KillCounts
) -> None:
    """Write what the next start must know if this process and the stage are both lost."""
    record = {
        "unit": unit,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "parent": os.getpid(),
        "boot": _boot_id(),
        "declared_bytes": declared_bytes,
        "projected_private_bytes": plan.projected_private_bytes,
        "claim": f"{plan.worst.purpose} ({format_bytes(plan.worst.bytes)}: {plan.worst.formula})",
        "fence": fence,
        "kills": kills.record(),
    }
    write_json(folder / ATTEMPT, record)


def end_attempt(folder: Path, error: SeawallError | None) -> None:
    """Forget a unit that is finished; of one that failed keep what was said about it."""
    path = folder / ATTEMPT
    if error is None:
        path.unlink(missing_ok=True)
        return
    with suppress(OSError):  # the disk may be what has failed
        record = _read(path)
        said = {"cause": error.cause, "headline": error.headline or str(error), "rows": list(error.rows)}
        write_json(path, {**record, "ended": said})


def what_was_left(folder: Path) -> Left | None:
    """Say how the last unit of an earlier start ended; None where it finished, or nothing is known.

    Where that start could explain it, its own words are given. Else both processes were lost, and what is left on disk
    decides: another boot of the machine, the kernel's counters, or nothing but the fact.
    """
    record = _read(folder / ATTEMPT)
    if not record:
        return None
    unit = str(record["unit"])
    ended = record.get("ended")
    if ended:
        return Left(unit, ended["cause"], ended["headline"], tuple((name, text) for name, text in ended["rows"]))
    name, evidence = _cause(record)
    beat = read_heartbeat(folder / ".heartbeat.json")
    mark = _high_water(folder / "memory.csv", unit)
    known = format_bytes(mark) if mark else "not written yet,"
    declared, planned = format_bytes(record["declared_bytes"]), format_bytes(record["projected_private_bytes"])
    rows = (
        ("What happened", evidence),
        ("Where", _place(beat)),
        ("Last seen", _last_seen(folder / ".heartbeat.json", record["started"])),
        ("Memory", f"high-water mark {known} private; {planned} planned, {declared} declared"),
        ("Largest claim", str(record["claim"])),
        ("Fence", str(record["fence"])),
        ("What to change", CAUSES[name].advice),
    )
    return Left(unit, name, f"{unit}: {CAUSES[name].words}", rows)


def unwritable(error: OSError, folder: Path, command: str) -> StageError:
    """Explain that the parent itself cannot read or write in the run folder."""
    cause = CAUSES[cause_of_exception(error)]
    found = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    do = f"What was finished is kept. {cause.advice} Continue with: {command}"
    told = StageError(f"run folder {folder}", cause.words, found=found, do=do)
    rows = (("What happened", found), ("What to change", cause.advice))
    return told.tell(f"run folder {folder}: {cause.words}", rows, cause=cause.name)


def _cause(record: Mapping[str, Any]) -> tuple[str, str]:
    """Tell from the disk alone what took the watching process and its stage."""
    if record["boot"] and record["boot"] != _boot_id():
        return "machine-restarted", "the machine's boot id is another one now"
    before = KillCounts.from_record(record["kills"])
    after = again(before)
    for was, now in zip(before.levels, after.levels, strict=True):
        if now.kills is not None and now.kills > (was.kills or 0):
            return "group-oom", f"the kernel's count of kills for memory rose in {now.folder} since it began"
    if after.machine is not None and after.machine > (before.machine or 0):
        return "group-oom", "the machine's count of kills for memory rose since it began"
    return "parent-lost", "it was ended from outside; no counter of kills for memory has moved since it began"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _high_water(path: Path, unit: str) -> int:
    """Find the highest private memory of a unit's last rows in the timeline."""
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TIMELINE_TAIL_BYTES, 0))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return 0
    marks: deque[int] = deque()
    for row in csv.reader(reversed(lines)):
        if len(row) > 5 and row[1] == unit and row[3].isdigit() and row[4].isdigit():
            marks.append(int(row[3]) + int(row[4]))
        elif marks:
            break
    return max(marks, default=0)


def _place(beat: Mapping[str, float | str]) -> str:
    if not beat.get("substep"):
        return "before its first report"
    total = f" ({beat.get('done', 0)} of {beat['total']} done)" if beat.get("total") else ""
    return f"in sub-step {beat['substep']!r}{total}"


def _last_seen(heartbeat: Path, started: str) -> str:
    with suppress(OSError):
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(heartbeat.stat().st_mtime))
        return f"{stamp} (last report); began {started}"
    return f"began {started}"


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) and {"unit", "kills", "boot"} <= loaded.keys() else {}
