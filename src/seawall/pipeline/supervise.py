"""The parent's side of one unit: start the child behind a fence, sample it, stop it in order, explain it if it dies."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.budget.claims import StagePlan
from seawall.budget.environment import allocator_environment
from seawall.budget.explain import ChildEnd, explain_exit
from seawall.budget.fence import Fence, data_limit, open_fence
from seawall.budget.heartbeat import read_heartbeat
from seawall.budget.meter import HighWater, Meter, Timeline
from seawall.errors import Interrupted, SeawallError, StageError, from_record
from seawall.units import format_bytes

SAMPLE_SECONDS = 0.04
"""A sample costs tens of microseconds; a thread can touch 1.4-3 GB/s, so the fence, not the meter, is the last word."""

STOP_SHARE = 0.95
"""Share of the budget at which the stage is stopped in order."""

STOP_SECONDS = 20.0
"""What a child gets to end after it was asked to, before it is killed."""

Watch = Callable[[dict[str, float | str], HighWater], None]
"""Called with the last heartbeat and the high-water marks at every sample: the progress display."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One unit to run in a child."""

    name: str
    request: dict[str, Any]
    plan: StagePlan
    declared_bytes: int
    parent_bytes: int
    command: str
    reuses_buffers: bool = False
    """The unit asks for the same buffers at every step: its allocator keeps them."""


def run_job(job: Job, folder: Path, timeline: Timeline, watch: Watch) -> dict[str, Any]:
    """Run a unit in a fresh process and wait for it.

    Returns
    -------
    dict
        The child's result with what was measured added.

    Raises
    ------
    SeawallError
        The child's own error, or a StageError that explains how it ended; Interrupted on Ctrl-C.
    """
    limit_bytes = max(job.plan.projected_cgroup_bytes, job.declared_bytes - job.parent_bytes)
    num_threads = job.plan.semantic.get("threads", 1)
    fence = open_fence(limit_bytes, data_limit(job.plan.projected_private_bytes, num_threads=num_threads))
    try:
        return _run_behind(fence, job, folder, timeline, watch)
    finally:
        fence.close()


def _run_behind(fence: Fence, job: Job, folder: Path, timeline: Timeline, watch: Watch) -> dict[str, Any]:
    paths = {name: folder / f".{name}.json" for name in ("request", "result", "heartbeat")}
    for path in paths.values():
        path.unlink(missing_ok=True)
    request = {**job.request, "unit": job.name, "fence": fence.ticket(), "parent": os.getpid()}
    request |= {name: str(path) for name, path in paths.items()}
    paths["request"].write_text(json.dumps(request), encoding="utf-8")
    started, kills_before = time.monotonic(), fence.oom_kills()
    log = folder / ".stderr.txt"
    with log.open("wb") as errors:
        child = _start(paths["request"], errors.fileno(), _environment(job))
    try:
        meter = Meter(timeline, pid=child.pid, unit=job.name, heartbeat=paths["heartbeat"], charged=fence.charged)
        try:
            too_much = _wait(child, meter, job, lambda high: watch(read_heartbeat(paths["heartbeat"]), high))
        finally:
            meter.close()
    finally:
        _end(child)
    result = _read(paths["result"])
    if not result.get("ok"):
        raise too_much or _failure(result, child, fence, job, meter.high, kills_before, paths["heartbeat"], log)
    for path in (*paths.values(), log):
        path.unlink(missing_ok=True)
    return result | measured(meter.high, fence, time.monotonic() - started)


def _start(request: Path, errors: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the child in a session of its own: Ctrl-C reaches the parent, which then stops the child in order.

    -P: a file of the user's in the current folder, say ``queue.py``, must not be imported in place of a library.
    """
    argv = [sys.executable, "-P", "-m", "seawall.pipeline.child", str(request)]
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment, start_new_session=True
    )


def _environment(job: Job) -> dict[str, str]:
    threads = job.plan.semantic.get("threads", 1)
    return {**os.environ, **allocator_environment(threads, reuses_buffers=job.reuses_buffers)}


def _wait(
    child: subprocess.Popen[bytes], meter: Meter, job: Job, watch: Callable[[HighWater], None]
) -> StageError | None:
    """Sample until the child ends; give the reason where it had to be stopped for memory."""
    stop_bytes = int(job.declared_bytes * STOP_SHARE)
    while child.poll() is None:
        sample = meter.sample()
        watch(meter.high)
        if sample.held_bytes + meter.high.parent_private_bytes > stop_bytes:
            _end(child)
            return _over(job, meter.high, sample.held_bytes)
        try:
            child.wait(SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:  # a second Ctrl-C does not wait any longer, and leaves no process behind
        child.kill()
        child.wait()


def _over(job: Job, high: HighWater, held_bytes: int) -> StageError:
    return StageError(
        job.name,
        f"stopped at {STOP_SHARE:.0%} of the budget, before the kernel would",
        found=f"{format_bytes(held_bytes)} private, and {format_bytes(high.parent_private_bytes)} of the parent",
        allowed=_allowed(job),
        do=_declare_more(job),
    )


def _refused(job: Job, high: HighWater, request: str) -> StageError:
    return StageError(
        job.name,
        f"an allocation was refused by the memory fence ({request})",
        found=f"a high-water mark of {format_bytes(high.held_bytes)} of private memory",
        allowed=_allowed(job),
        do=_declare_more(job),
    )


def _allowed(job: Job) -> str:
    planned, declared = format_bytes(job.plan.projected_private_bytes), format_bytes(job.declared_bytes)
    return f"{planned} planned, {declared} declared"


def _declare_more(job: Job) -> str:
    worst = job.plan.worst
    return (
        f"The largest claim is {worst.purpose} ({format_bytes(worst.bytes)}: {worst.formula})."
        f" What was finished is kept. Declare more and run again: {job.command}"
    )


def _failure(
    result: dict[str, Any],
    child: subprocess.Popen[bytes],
    fence: Fence,
    job: Job,
    high: HighWater,
    kills_before: int | None,
    heartbeat: Path,
    log: Path,
) -> SeawallError:
    if result.get("memory"):
        return _refused(job, high, str(result["error"]["found"]))
    if "error" in result:
        return from_record(result["error"])
    end = ChildEnd(
        plan=job.plan,
        returncode=child.returncode,
        oom_kills_before=kills_before,
        oom_kills_after=fence.oom_kills(),
        heartbeat=read_heartbeat(heartbeat),
        high_water=high,
        declared_bytes=job.declared_bytes,
        fence=fence.describe(),
    )
    error = explain_exit(end, command=job.command)
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] if log.exists() else []
    if last and child.returncode > 0:
        error = StageError(error.where, error.what, found=last[0][:300], do=f"{error.do} The full text is in {log}.")
    return error


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def measured(high: HighWater, fence: Fence, wall_seconds: float) -> dict[str, Any]:
    """Put what the meter saw in the names of a unit record."""
    return {
        "measured_private_bytes": high.held_bytes,
        "measured_file_bytes": high.file_bytes,
        "parent_private_bytes": high.parent_private_bytes,
        "cgroup_peak_bytes": fence.peak_bytes(),
        "fence": fence.describe(),
        "wall_seconds": round(wall_seconds, 3),
    }


def interrupted(command: str) -> Interrupted:
    """Say that the user stopped the run, and how to go on."""
    return Interrupted("run", "stopped by you", do=f"What was finished is kept. Continue with: {command}")


def own_cpu_seconds() -> float:
    """CPU seconds of this process and its ended children."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
