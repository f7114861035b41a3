"""Say why a stage's process ended without its result, from evidence only, and how to go on."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass

from seawall.budget.claims import StagePlan
from seawall.budget.meter import HighWater
from seawall.errors import StageError
from seawall.units import format_bytes

_NEAR_SHARE = 0.9
"""A crash this near to the plan is probably a refused allocation that a library did not survive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEnd:
    """What is known about a stage's process that ended without a result."""

    plan: StagePlan
    returncode: int
    """As :class:`subprocess.Popen` gives it: minus the signal's number where a signal ended it."""
    oom_kills_before: int | None
    """:meth:`Fence.oom_kills` before the stage; None where nobody counts."""
    oom_kills_after: int | None
    heartbeat: Mapping[str, float | str]
    """Last report of the stage, empty where it made none."""
    high_water: HighWater
    declared_bytes: int
    fence: str
    """:meth:`Fence.describe`."""


def explain_exit(end: ChildEnd, *, command: str) -> StageError:
    """Explain an end: who stopped the stage, in which sub-step, what it had used of what, and which command continues.

    Parameters
    ----------
    end
        The evidence. Counters are read before the fence is closed.
    command
        The user's own command line.
    """
    largest = max(end.plan.private, key=lambda claim: claim.bytes)
    planned, declared = format_bytes(end.plan.projected_private_bytes), format_bytes(end.declared_bytes)
    return StageError(
        end.plan.stage,
        f"{_cause(end)} {_place(end.heartbeat)}",
        found=f"a high-water mark of {format_bytes(end.high_water.held_bytes)} of private memory",
        allowed=f"{planned} planned, {declared} declared",
        do=f"The largest claim is {largest.purpose} ({format_bytes(largest.bytes)}: {largest.formula})."
        f" The fence was: {end.fence}. {_advice(end)}What was finished is kept. The same command continues: {command}",
    )


def killed_for_memory(end: ChildEnd) -> bool:
    """Tell whether the kernel killed the process for memory: it was signal 9, and a counter has moved."""
    return _signal_of(end.returncode) == signal.SIGKILL and _num_kills(end) > 0


def _num_kills(end: ChildEnd) -> int:
    if end.oom_kills_before is None or end.oom_kills_after is None:
        return 0
    return end.oom_kills_after - end.oom_kills_before


def _cause(end: ChildEnd) -> str:
    number = _signal_of(end.returncode)
    if number is None:
        return f"ended with exit code {end.returncode}"
    if killed_for_memory(end):
        return "killed by the kernel for memory (its out-of-memory counter moved)"
    if number == signal.SIGKILL and end.oom_kills_after is None:
        return "killed by signal 9, perhaps by the kernel for memory: this machine keeps no counter that would tell"
    if number == signal.SIGKILL:
        return "killed by signal 9 from outside (the kernel's out-of-memory counter did not move)"
    crashed = number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
    if crashed and end.high_water.held_bytes >= _NEAR_SHARE * end.plan.projected_private_bytes:
        return f"crashed ({_name(number)}) near its planned memory, probably after a refused allocation,"
    return f"{'crashed' if crashed else 'stopped'} by signal {number} ({_name(number)})"


def _place(heartbeat: Mapping[str, float | str]) -> str:
    substep, done, total = heartbeat.get("substep"), heartbeat.get("done", 0), heartbeat.get("total", 0)
    if not substep:
        return "before its first report"
    return f"in sub-step {substep!r} ({done} of {total} done)" if total else f"in sub-step {substep!r}"


def _advice(end: ChildEnd) -> str:
    if not killed_for_memory(end):
        return ""
    if end.high_water.held_bytes > end.plan.projected_private_bytes:
        return "The stage used more than planned: declare more memory, and please report the plan as wrong. "
    return "At the last sample it was within its plan: it grew faster than it is sampled, or others filled the limit. "


def _signal_of(returncode: int) -> int | None:
    if returncode < 0:
        return -returncode
    # A shell between parent and stage reports a signal as 128 more than its number.
    return returncode - 128 if returncode in range(129, 160) else None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
