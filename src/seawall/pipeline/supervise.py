"""The parent's side of one unit: start the child behind a fence, sample it, stop it in order, explain it if it dies."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seawall.budget.cgroup import read_meminfo
from seawall.budget.claims import StagePlan
from seawall.budget.environment import allocator_environment
from seawall.budget.explain import ChildEnd, explain_exit
from seawall.budget.fence import Fence, data_limit, open_fence
from seawall.budget.guard import Decision, Guard
from seawall.budget.heartbeat import read_heartbeat
from seawall.budget.kills import KillCounts, Killer, who_killed
from seawall.budget.meter import HighWater, Meter, Timeline
from seawall.budget.neighbours import Neighbours, neighbours
from seawall.budget.processes import descendants
from seawall.budget.relief import write_requests
from seawall.errors import Interrupted, SeawallError, from_record
from seawall.pipeline.attempt import begin_attempt, end_attempt

SAMPLE_SECONDS = 0.045
"""A sample costs tens of microseconds; a thread can touch 1.4-3 GB/s, so the fence, not the meter, is the last word."""

YOUNG_SECONDS = 3.0
YOUNG_SAMPLE_SECONDS = 0.02
"""A stage that lives one second reaches its highest mark once, for some 50 ms; while it is young it is looked at more
often, so that the mark in the record is the true one to some percent."""

WATCH_SECONDS = 0.2
"""A display need not move more often, and to look at all else at every sample would cost as much as the sample."""

STOP_SECONDS = 20.0
"""What a child gets to end after it was asked to, before it is killed."""

OTHERS_SECONDS = 1.0
"""How often the room reserved for other processes is looked at."""

LOG_BYTES = 16 * 1024
"""Of what a stage printed, the end: a stack of the interpreter's takes some KiB."""

Watch = Callable[[dict[str, float | str], HighWater], None]
"""Called with the last heartbeat and the high-water marks some times a second: the progress display."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One unit to run in a child."""

    name: str
    request: dict[str, Any]
    plan: StagePlan
    declared_bytes: int
    parent_bytes: int
    command: str
    room_bytes: int | None = None
    """The unit's part of the budget where others run beside it; all that the parent leaves where missing."""
    asked_to_stop: Callable[[], KeyboardInterrupt | None] = lambda: None
    """Gives what the run was stopped by, to a unit that is watched outside the main thread."""
    reserve_bytes: int = 0
    """Available memory that is left to other processes: below it the stage is asked to shrink."""
    reuses_buffers: bool = False
    """The unit asks for the same buffers at every step: its allocator keeps them."""
    one_arena: bool = False
    """Its threads share what the allocator keeps."""

    @property
    def held_at_most_bytes(self) -> int:
        """What the unit and the parent may hold together."""
        return self.declared_bytes if self.room_bytes is None else self.parent_bytes + self.room_bytes


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
    limit_bytes = max(job.plan.projected_cgroup_bytes, job.held_at_most_bytes - job.parent_bytes)
    num_threads = job.plan.semantic.get("threads", 1) + job.plan.neutral.get("parse_threads", 0)
    fence = open_fence(limit_bytes, data_limit(job.plan.projected_private_bytes, num_threads=num_threads))
    try:
        result = _Attempt(job, folder, fence).run(timeline, watch)
    except SeawallError as error:
        end_attempt(folder, error)
        raise
    except KeyboardInterrupt as stop:
        end_attempt(folder, interrupted(job.command, stop, unit=job.name))
        raise
    finally:
        fence.close()
    end_attempt(folder, None)
    return result


@dataclass(slots=True)
class _Attempt:
    """One child, from its start to the record or the explanation of its end."""

    job: Job
    folder: Path
    fence: Fence
    stopped: Decision = ""
    neighbours: Neighbours | None = None
    before: KillCounts | None = None
    after: KillCounts | None = None
    """The kernel's counters before the stage, and as soon as it had died."""
    _next_others_seconds: float = 0.0
    paths: dict[str, Path] = field(default_factory=dict)

    def run(self, timeline: Timeline, watch: Watch) -> dict[str, Any]:
        job, fence = self.job, self.fence
        self._clear()
        self.before = fence.kills()
        words, before = fence.describe(), self.before
        begin_attempt(self.folder, job.name, job.plan, declared_bytes=job.declared_bytes, fence=words, kills=before)
        started, (reader, writer) = time.monotonic(), os.pipe()
        try:
            child = self._start(writer)
            meter = Meter(
                timeline, pid=child.pid, unit=job.name, heartbeat=self.paths["heartbeat"], charged=fence.charged
            )
            guard = Guard(job.plan, job.held_at_most_bytes, meter.read_bytes)
            try:
                self._wait(child, meter, guard, watch)
            finally:
                end_child(child)
                meter.close()
            said = _read_report(reader)
        finally:
            os.close(reader)
        result = _read_json(self.paths["result"])
        if not result.get("ok"):
            raise self._failure(said, child, meter, guard)
        self._clear()
        measures = measured(meter.high, fence, time.monotonic() - started, result.get("fence_kind", ""))
        return result | measures | {"num_shrinks": guard.num_requests}

    def _clear(self) -> None:
        """Remove the small files of this attempt, or of one before it that was killed."""
        names = ("request", "result", "heartbeat", "shrink")
        self.paths = {name: self.folder / f".{name}.json" for name in names}
        for path in (*self.paths.values(), self.folder / ".stderr.txt"):
            path.unlink(missing_ok=True)

    def _start(self, report: int) -> subprocess.Popen[bytes]:
        """Start the child in a session of its own: Ctrl-C reaches the parent, which then stops the child in order.

        -P: a file of the user's in the current folder, say ``queue.py``, must not be imported in place of a library.
        """
        job = self.job
        request = {**job.request, "unit": job.name, "fence": self.fence.ticket(), "parent": os.getpid()}
        request |= {"report": report, **{name: str(path) for name, path in self.paths.items()}}
        self.paths["request"].write_text(json.dumps(request), encoding="utf-8")
        threads = job.plan.semantic.get("threads", 1)
        allocator = allocator_environment(threads, reuses_buffers=job.reuses_buffers, one_arena=job.one_arena)
        environment = {**os.environ, **allocator}
        argv = [sys.executable, "-P", "-m", "seawall.pipeline.child", str(self.paths["request"])]
        try:
            with (self.folder / ".stderr.txt").open("wb") as log:
                return subprocess.Popen(
                    self.fence.command(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                    pass_fds=(report,),
                )
        finally:
            os.close(report)

    def _wait(self, child: subprocess.Popen[bytes], meter: Meter, guard: Guard, watch: Watch) -> None:
        """Sample until the child ends, or has to be stopped."""
        ends, watched, wait_seconds = _Ends(child), 0.0, YOUNG_SAMPLE_SECONDS
        young_until = time.monotonic() + YOUNG_SECONDS
        try:
            while not ends.within(wait_seconds):
                sample, now = meter.sample(), time.monotonic()
                held_bytes = sample.held_bytes + meter.parent_private_bytes
                decision = guard.decide(held_bytes, now, others_need=self._others_need(now))
                if decision == "shrink":
                    with suppress(OSError):
                        write_requests(self.paths["shrink"], guard.num_requests)
                elif decision:
                    self.stopped = decision
                    self.neighbours = neighbours(descendants(child.pid))
                    return
                if now - watched >= WATCH_SECONDS:
                    watched = now
                    if stop := self.job.asked_to_stop():
                        raise stop
                    if self.fence.started(child.pid):
                        self.before = self.fence.kills()  # those of the scope too
                    watch(dict(meter.heartbeat), meter.high)
                usual_seconds = YOUNG_SAMPLE_SECONDS if now < young_until else SAMPLE_SECONDS
                wait_seconds = guard.wait_seconds(now, usual_seconds)
            if child.returncode:
                self.after = self.fence.kills()  # at once: a scope goes with its process
        finally:
            ends.close()

    def _others_need(self, now: float) -> bool:
        if not self.job.reserve_bytes or now < self._next_others_seconds:
            return False
        self._next_others_seconds = now + OTHERS_SECONDS
        return read_meminfo().get("MemAvailable", self.job.reserve_bytes) < self.job.reserve_bytes

    def _failure(
        self, said: dict[str, Any], child: subprocess.Popen[bytes], meter: Meter, guard: Guard
    ) -> SeawallError:
        stopped = {"stop": "stopped-memory", "livelock": "livelock"}.get(self.stopped, "")
        error = said.get("error", {})
        if error and not stopped and error.get("kind") != "Interrupted":
            return from_record(error).tell("", (), cause=said.get("cause", ""))
        failure = said.get("failure", {}) or ({"cause": "terminated"} if error else {})
        heartbeat, after = read_heartbeat(self.paths["heartbeat"]), self.after or self.fence.kills()
        end = ChildEnd(
            unit=self.job.name,
            plan=self.job.plan,
            returncode=child.returncode,
            killer=self._killer(after),
            is_counted=after.machine is not None or any(level.kills is not None for level in after.levels),
            stopped=stopped,
            failure=failure,
            printed=_end_of(self.folder / ".stderr.txt"),
            growth=guard.growth.words() if len(guard.growth) else "",
            bytes_read=guard.bytes_read,
            allowed_read_bytes=guard.allowed_read_bytes,
            heartbeat=heartbeat or meter.heartbeat,
            high_water=meter.high,
            declared_bytes=self.job.declared_bytes,
            fence=self.fence.describe(str(heartbeat.get("fence", ""))),
            neighbours=self.neighbours or neighbours(),
        )
        return explain_exit(end, command=self.job.command, log=self._keep_log())

    def _killer(self, after: KillCounts) -> Killer | None:
        fence, before = self.fence, self.before or after
        has_own_group = fence.has_own_count(after)
        gone_bytes = fence.limit_bytes if fence.kind == "user scope" and not has_own_group else None
        return who_killed(before, after, has_own_group=has_own_group, gone_bytes=gone_bytes)

    def _keep_log(self) -> str:
        """Keep what the child printed under a name that the next unit does not write over."""
        log, kept = self.folder / ".stderr.txt", self.folder / "crash.txt"
        try:
            if log.stat().st_size == 0:
                return ""
            log.replace(kept)
        except OSError:
            return ""
        return str(kept)


class _Ends:
    """Wait for a process without waking up in between; the standard library's wait looks every few milliseconds."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self._child = child
        self._descriptor: int | None = None
        with suppress(OSError, AttributeError):  # kernels before 5.3, and systems other than Linux
            self._descriptor = os.pidfd_open(child.pid)
            self._poll = select.poll()
            self._poll.register(self._descriptor, select.POLLIN)

    def within(self, seconds: float) -> bool:
        if self._descriptor is not None:
            return bool(self._poll.poll(seconds * 1000)) and self._child.wait() is not None
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)
        return self._child.poll() is not None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def end_child(child: subprocess.Popen[bytes]) -> None:
    """End a child in order, or after a while by force; a second Ctrl-C does not wait and leaves no process behind."""
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        pass
    finally:
        child.kill()
        child.wait()


def _read_report(descriptor: int) -> dict[str, Any]:
    """Read what the child said through its pipe; a process it left behind may still hold the other end."""
    os.set_blocking(descriptor, False)
    try:
        loaded = json.loads(os.read(descriptor, 65536) or b"{}")
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _read_json(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def measured(high: HighWater, fence: Fence, wall_seconds: float, entered: str = "") -> dict[str, Any]:
    """Put what the meter saw in the names of a unit record."""
    return {
        "measured_private_bytes": high.held_bytes,
        "measured_file_bytes": high.file_bytes,
        "parent_private_bytes": high.parent_private_bytes,
        "cgroup_peak_bytes": fence.peak_bytes(),
        "fence": fence.describe(entered),
        "wall_seconds": round(wall_seconds, 3),
    }


_STOPS: dict[int, str] = {
    signal.SIGTERM: "stopped by signal 15 (SIGTERM), as a scheduler, a service manager or kill sends it",
    signal.SIGHUP: "stopped by signal 1 (SIGHUP): the terminal or session was closed",
}


def interrupted(command: str, stop: KeyboardInterrupt, *, unit: str = "") -> Interrupted:
    """Say that the user or the system stopped the run, and how to go on."""
    what = _STOPS.get(stop.args[0] if stop.args else signal.SIGINT, "stopped by you")
    error = Interrupted("run", what, do=f"What was finished is kept. Continue with: {command}")
    return error.tell(f"{unit or 'run'}: {what}", (), cause="interrupted")
