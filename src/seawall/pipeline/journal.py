"""What happened in a run folder: one event a line in ``log.jsonl``, and the last report of a unit that did not end."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seawall.budget.heartbeat import read_heartbeat

TAIL_BYTES = 256 * 1024
"""Of the log: the events of the last run, however long the folder has been used."""


def log_event(folder: Path, event: str, unit: str = "", error: str = "", **more: str | float | None) -> None:
    """Append an event; a line that a kill cut short before is ended first."""
    entry = {"time": datetime.now(UTC).isoformat(), "event": event, "unit": unit, "error": error, **more}
    path = folder / "log.jsonl"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(entry).encode() + b"\n")


def last_run(folder: Path) -> list[dict[str, Any]]:
    """Read the events of the last run in this folder, from its ``began`` on; lines that cannot be read are left out."""
    events: list[dict[str, Any]] = []
    for line in _tail(folder / "log.jsonl").splitlines():
        with suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and isinstance(event.get("event"), str):
                events = [event] if event["event"] == "began" else [*events, event]
    return events


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, 2) - TAIL_BYTES, 0))
            return file.read()
    except OSError:
        return b""


def last_report(folder: Path) -> dict[str, Any]:
    """Read which unit has no result yet, and its last report; empty where there is none.

    Of units that ran side by side the one that reported last is given.
    """
    begun = [path for path in (folder / ".request.json", *folder.glob(".side_*/.request.json")) if path.is_file()]
    newest = max(begun, key=_last_sign, default=folder / ".request.json")
    unit = read_heartbeat(newest).get("unit")
    return {"unit": unit, **read_heartbeat(newest.with_name(".heartbeat.json"))} if unit else {}


def _last_sign(request: Path) -> float:
    """Give the time of the last report of a unit, or of its beginning."""
    signs = [0.0]
    for path in (request, request.with_name(".heartbeat.json")):
        with suppress(OSError):
            signs.append(path.stat().st_mtime)
    return max(signs)


def told(report: Mapping[str, Any]) -> str:
    """Say in words where a unit was at its last report."""
    if not report:
        return "between two units"
    place = f"in {report.get('unit')}"
    if "substep" not in report:
        return f"{place}, before its first report"
    done, total = report.get("done", 0), report.get("total", 0)
    return f"{place}, {report['substep']}" + (f" ({done} of {total})" if total else "")
