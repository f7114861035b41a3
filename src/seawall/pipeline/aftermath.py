"""What a look at a run folder tells: what happened last, what is safe, and what to type next."""

import os
import shlex
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seawall.pipeline.journal import last_report, last_run, told
from seawall.pipeline.lock import last_owner
from seawall.pipeline.manifest import read_run_record
from seawall.pipeline.stages import STAGES
from seawall.units import format_seconds

State = Literal["running", "finished", "failed", "interrupted", "killed", "not finished"]


@dataclass(frozen=True, slots=True)
class Aftermath:
    """One screen's worth."""

    state: State
    happened: str
    safe: str
    to_type: str
    """Empty where there is nothing to do."""


def aftermath(folder: Path) -> Aftermath:
    """Read a run folder that may be in use; nothing is locked or changed.

    Raises
    ------
    FormatError
        Where the folder holds no run.
    """
    units = read_run_record(folder)["units"]
    events, report = last_run(folder), last_report(folder)
    state, happened = _happened(folder, events, report)
    began = next((event for event in events if event["event"] == "began"), {})
    to_type = "" if state in ("running", "finished") else _command(began)
    return Aftermath(state, happened, _safe(folder, units, report, state), to_type)


def _happened(folder: Path, events: list[dict[str, Any]], report: Mapping[str, Any]) -> tuple[State, str]:
    owner = last_owner(folder)
    if owner is not None and owner.is_holding:
        return "running", f"running now as process {owner.pid}, {told(report)}"
    if owner is not None:
        return "killed", (
            f"process {owner.pid} and its stage were killed {told(report)}. It left no word, as after signal 9 (a kill"
            " by hand, by a scheduler, or by the kernel for memory) or a power cut"
        )
    ends = [event for event in events if event["event"] in ("failed", "interrupted", "ended")]
    if not ends:
        return "not finished", f"not running; it stopped {told(report)}" if report else "not running"
    last = ends[-1]
    if last["event"] == "ended":
        return "finished", "the last run ended well"
    if last["event"] == "interrupted":
        return "interrupted", f"stopped on request {told(report) if report else 'in ' + str(last.get('unit'))}"
    return "failed", str(last.get("error") or f"{last.get('unit')} failed")


def _safe(folder: Path, units: Mapping[str, Any], report: Mapping[str, Any], state: State) -> str:
    """Name the finished units by stage, and what an unfinished one goes on from."""
    counts = Counter(sorted((str(name).split("/")[0] for name in units), key=place_of))
    finished = ", ".join(f"{stage} ({count} folds)" if count > 1 else stage for stage, count in counts.items())
    kept = f"finished and kept: {finished}" if finished else "no unit is finished"
    progress = goes_on_from(folder, str(report.get("unit", ""))) if state != "running" else ""
    return f"{kept}. {progress}" if progress else kept


def place_of(stage: str) -> int:
    """Give the place of a stage in the order of the flow."""
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def goes_on_from(folder: Path, unit: str) -> str:
    """Tell what an unfinished unit goes on from; empty for no unit."""
    stage, _, part = unit.partition("/")
    found = [
        (path.stat().st_mtime, what)
        for pattern, what in _LEFT.get(stage, ())
        for path in folder.glob(pattern.format(part=part))
    ]
    if not found:
        return f"{unit} starts anew" if unit else ""
    written, what = max(found)
    return f"{unit} goes on from {what}, {format_seconds(max(time.time() - written, 0.0))} ago"


_LEFT: dict[str, tuple[tuple[str, str], ...]] = {
    "ingest": (
        (".*.ingest/checkpoint.npz", "the rows it has read"),
        (".*.ingest/built.npz", "the entities it has computed"),
        (".*.ingest/dates.npz", "the dates it has compared"),
    ),
    "train": (("models/{part}/checkpoint.pt", "its last checkpoint"),),
    "predict": (("predictions/{part}.*slots", "the predictions it has written"),),
    "search": (
        ("search/.work/*/prepared.json", "the bars and entries it has prepared"),
        ("search/.work/*/**/partial.npz", "its last checkpoint"),
        ("search/.work/*/**/done.json", "the sums it has finished"),
    ),
}
"""Files a killed stage leaves for its next start, and what they hold."""


def _command(began: Mapping[str, Any]) -> str:
    command, where = str(began.get("command", "")), str(began.get("where", ""))
    if not command:
        return "the command that started the run"
    return command if where in ("", os.getcwd()) else f"cd {shlex.quote(where)} && {command}"  # noqa: PTH109 - a text
