"""Say why a stage's process ended without its result, from evidence only, and how to go on."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seawall.budget.causes import CAUSES, Cause, cause_of_signal
from seawall.budget.claims import StagePlan
from seawall.budget.kills import Killer
from seawall.budget.meter import HighWater
from seawall.budget.neighbours import Neighbours
from seawall.errors import ConfigError, SeawallError, StageError
from seawall.units import format_bytes

_NEAR_SHARE = 0.9
"""A crash this near to the plan is probably a refused allocation that a library did not survive."""

_TEXT_LENGTH = 300

_LESS = "Lower what the largest claim speaks of."
"""Where the fence follows the plan, a larger budget does not move it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnd:
    """What is known about a stage's process that ended without a result."""

    unit: str
    """As it is named in run.json: the stage, and the fold where there is one."""
    plan: StagePlan
    returncode: int
    """As :class:`subprocess.Popen` gives it: minus the signal's number where a signal ended it."""
    declared_bytes: int
    fence: str
    """:meth:`Fence.describe`."""
    high_water: HighWater
    heartbeat: Mapping[str, float | str] = field(default_factory=dict)
    """Last report of the stage, empty where it made none."""
    killer: Killer | None = None
    """Whose limit the kernel enforced, see :func:`seawall.budget.kills.who_killed`."""
    is_counted: bool = True
    """Whether anybody counts the kernel's kills here."""
    stopped: str = ""
    """Why the parent stopped it: ``stopped-memory``, ``livelock``, or empty."""
    failure: Mapping[str, Any] = field(default_factory=dict)
    """What the process itself wrote about an exception: cause, text, place; empty where it could not."""
    printed: str = ""
    """The end of what it printed."""
    growth: str = ""
    """:meth:`Growth.words`."""
    bytes_read: int | None = None
    allowed_read_bytes: int = 0
    neighbours: Neighbours = field(default_factory=lambda: Neighbours((), None))


def explain_exit(end: ChildEnd, *, command: str, log: str = "") -> SeawallError:
    """Explain an end: who stopped the stage, in which sub-step, what it had used of what, and which command continues.

    Parameters
    ----------
    end
        The evidence. Counters are read before the fence is closed.
    command
        The user's own command line.
    log
        File that holds all the process has printed; empty where it is not kept.
    """
    cause = cause_of(end)
    words = cause.words.format(signal=_name(_signal_of(end.returncode) or 0))
    planned, declared = format_bytes(end.plan.projected_private_bytes), format_bytes(end.declared_bytes)
    held = format_bytes(end.high_water.held_bytes)
    largest = f"{end.plan.worst.purpose} ({format_bytes(end.plan.worst.bytes)}: {end.plan.worst.formula})"
    evidence, do = _evidence(end, cause, log), _advice(end, cause)
    rows = (
        ("What happened", evidence),
        ("Where", _place(end.heartbeat) + _line(end.failure)),
        ("Memory", f"high-water mark {held} private; {planned} planned, {declared} declared"),
        ("Growth", end.growth if cause.is_memory else ""),
        ("Held by", _holders(end.heartbeat) if cause.is_memory else ""),
        ("Largest claim", largest),
        ("Fence", end.fence),
        ("Other processes", end.neighbours.words()),
        ("What to change", do),
    )
    kind = ConfigError if cause.name == "missing-library" else StageError
    error = kind(
        end.unit,
        f"{words}, {_place(end.heartbeat)}",
        found=f"{evidence + '; ' if evidence else ''}a high-water mark of {held} of private memory",
        allowed=f"{planned} planned, {declared} declared",
        do=f"The largest claim is {largest}. The fence was: {end.fence}. {do} What was finished is kept."
        f" The same command continues: {command}",
    )
    shown = [(name, text) for name, text in rows if text]
    return error.tell(f"{end.unit}: {words}", shown, cause=cause.name)


def cause_of(end: ChildEnd) -> Cause:
    """Tell the cause from the evidence: the parent's own act, the process's own words, the kernel's counters, a signal.

    That order is the order of certainty.
    """
    number = _signal_of(end.returncode)
    if end.stopped and not (number == signal.SIGKILL and end.killer is not None):  # the kernel can be faster
        return CAUSES[end.stopped]
    if end.failure.get("cause") in CAUSES:
        return CAUSES[str(end.failure["cause"])]
    if number is None:
        return CAUSES["bug" if "Traceback" in end.printed else "exit"]
    if number == signal.SIGKILL:
        if end.killer is not None:
            return CAUSES[f"oom-{end.killer.kind}"]
        return CAUSES["killed" if end.is_counted else "killed-uncounted"]
    name = cause_of_signal(number, end.printed)
    near = end.high_water.held_bytes >= _NEAR_SHARE * end.plan.projected_private_bytes
    return CAUSES["crash-near-limit" if near and name in ("crash-segv", "crash-abort") else name]


def _evidence(end: ChildEnd, cause: Cause, log: str) -> str:
    """Say what the verdict rests on, beyond its name."""
    kept = f" (all of it in {log})" if log else ""
    if cause.name == "stopped-memory":
        held = end.high_water.held_bytes + end.high_water.parent_private_bytes
        return f"stage and parent together held up to {format_bytes(held)} of {format_bytes(end.declared_bytes)}"
    if cause.name == "livelock":
        read, planned = format_bytes(end.bytes_read or 0), format_bytes(end.plan.planned_read_bytes)
        return f"{read} read from disk, {planned} planned at worst, {format_bytes(end.allowed_read_bytes)} allowed"
    if end.failure.get("text"):
        return str(end.failure["text"])[:_TEXT_LENGTH] + (kept if cause.name == "bug" else "")
    if end.killer is not None and cause.name.startswith("oom-"):
        unsure = "" if end.killer.is_certain else "; others share that counter, so it may have been one of them"
        return end.killer.words + unsure
    last = (end.printed.strip().splitlines() or [""])[-1].strip()
    if cause.name in ("bug", "exit"):
        return f"exit code {end.returncode}" + (f", {last[:_TEXT_LENGTH]}{kept}" if last else ", nothing was printed")
    if cause.name.startswith("crash") or cause.name == "memory-abort":
        return f"{_crashed_in(end.printed) or last[:_TEXT_LENGTH] or 'it printed nothing'}{kept}"
    return ""


def _crashed_in(printed: str) -> str:
    """Find the first line of ours in the stack that the interpreter prints at a crash."""
    lines = [line.strip() for line in printed.splitlines() if line.strip().startswith('File "')]
    ours = [line for line in lines if "/seawall/" in line and "/seawall/pipeline/child.py" not in line]
    return (ours or lines or [""])[0]


def _advice(end: ChildEnd, cause: Cause) -> str:
    if cause.name.startswith("oom-") and end.high_water.held_bytes > end.plan.projected_private_bytes:
        return f"The stage used more than planned, please report that. {cause.advice}"
    if cause.name == "oom-own":
        return f"At the last sample it was within its plan: it grew faster than it is sampled. {cause.advice}"
    if cause.name.startswith("memory-") and end.fence.startswith("data limit"):
        return "The stage asked for more than it had planned, please report that. " + _LESS
    return str(end.failure.get("do") or cause.advice)


def _place(heartbeat: Mapping[str, float | str]) -> str:
    substep, done, total = heartbeat.get("substep"), heartbeat.get("done", 0), heartbeat.get("total", 0)
    if not substep:
        return "before its first report"
    return f"in sub-step {substep!r} ({done} of {total} done)" if total else f"in sub-step {substep!r}"


def _line(failure: Mapping[str, Any]) -> str:
    return f", at {failure['at']}" if failure.get("at") else ""


def _holders(heartbeat: Mapping[str, float | str]) -> str:
    """Say what the stage's own counters showed at its last report."""
    arrow, blocks = heartbeat.get("arrow_bytes"), heartbeat.get("python_blocks")
    parts = []
    if isinstance(arrow, int | float):
        parts.append(f"Arrow {format_bytes(arrow)}")
    if isinstance(blocks, int | float):
        parts.append(f"{int(blocks):,} blocks of Python objects")
    return f"{', '.join(parts)}; the rest is arrays and libraries (at its last report)" if parts else ""


def _signal_of(returncode: int) -> int | None:
    if returncode < 0:
        return -returncode
    # A shell between parent and stage reports a signal as 128 more than its number.
    return returncode - 128 if returncode in range(129, 160) else None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"number {number}"
