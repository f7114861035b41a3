"""Run a command inside a real memory cgroup with swap off: the judge of every promise about memory.

Pages of files that were in the page cache before are charged to whoever read them first, so a command that reads warm
files looks smaller than in a fresh container.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from seawall.budget.cgroup import MemoryGroup, own_group

_ENTER_THEN_RUN = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
"""The shell moves itself before the command starts, so nothing of the command is charged elsewhere."""


@dataclass(frozen=True, slots=True)
class CompletedRun:
    """How a command inside the cgroup ended."""

    returncode: int
    """Minus the signal's number where a signal ended it."""
    stdout: str
    stderr: str
    peak_bytes: int
    """Highest charge of the cgroup while the command ran, page cache and nested cgroups included."""
    oom_kills: int
    """Kernel kills in this very cgroup; version 1 counts those in nested ones (a stage's own fence) only there."""


@dataclass(frozen=True, slots=True)
class MemoryCgroup:
    """A memory cgroup that stands for a small machine."""

    group: MemoryGroup

    def run(
        self,
        argv: Sequence[str | Path],
        timeout: float,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> CompletedRun:
        """Run a command to its end; past ``timeout`` seconds kill everything in the cgroup and fail.

        Raises
        ------
        subprocess.TimeoutExpired
            When the command takes longer.
        """
        kills_before = self.group.oom_kills() or 0
        self._forget_peak()
        process = subprocess.Popen(
            ["/bin/sh", "-c", _ENTER_THEN_RUN, str(self.group.folder), *map(str, argv)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            cwd=cwd,
        )
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            _kill_all(self.group.folder)
            process.communicate()
            raise
        return CompletedRun(
            process.returncode,
            stdout,
            stderr,
            self.group.peak_bytes() or 0,
            (self.group.oom_kills() or 0) - kills_before,
        )

    def _forget_peak(self) -> None:
        name = "memory.max_usage_in_bytes" if self.group.version == 1 else "memory.peak"
        with suppress(OSError):
            (self.group.folder / name).write_text("0", encoding="ascii")


@contextmanager
def memory_cgroup(limit_bytes: int) -> Iterator[MemoryCgroup]:
    """Make a memory cgroup with a limit and without swap below our own, and remove it with all that runs in it.

    The test is skipped, with the reason, where this process may not make one.
    """
    around = own_group()
    if around is None:
        pytest.skip("no memory cgroup of this process can be seen")
    folder = around.folder / f"test-{os.getpid()}-{time.monotonic_ns()}"
    try:
        _make(folder, around.version, limit_bytes)
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made below {around.folder}: {error}")
    try:
        yield MemoryCgroup(MemoryGroup(around.version, folder, around.top))
    finally:
        _remove(folder)


def _make(folder: Path, version: int, limit_bytes: int) -> None:
    if version == 2 and "memory" not in (folder.parent / "cgroup.subtree_control").read_text().split():
        (folder.parent / "cgroup.subtree_control").write_text("+memory")
    folder.mkdir()
    try:
        (folder / ("memory.limit_in_bytes" if version == 1 else "memory.max")).write_text(str(limit_bytes))
    except OSError:
        folder.rmdir()
        raise
    swap = {"memory.memsw.limit_in_bytes": str(limit_bytes), "memory.swappiness": "0"}
    for name, value in (swap if version == 1 else {"memory.swap.max": "0"}).items():
        with suppress(OSError):  # absent where the kernel keeps no account of swap
            (folder / name).write_text(value)


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + 5
    while folder.exists() and time.monotonic() < deadline:
        _kill_all(folder)
        for nested in (*_nested(folder), folder):
            with suppress(OSError):
                nested.rmdir()
        time.sleep(0.01)


def _nested(folder: Path) -> list[Path]:
    below = [path for path in folder.rglob("*") if path.is_dir()]
    return sorted(below, key=lambda path: len(path.parts), reverse=True)


def _kill_all(folder: Path) -> None:
    for group in (*_nested(folder), folder):
        with suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
