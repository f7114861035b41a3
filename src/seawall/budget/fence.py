"""The strongest barrier around a stage's process that this machine allows, so that a mistake hurts the stage alone.

Own memory cgroup, made by hand or asked of the user's service manager (a scope): the kernel kills the stage at its
limit. Data limit (``RLIMIT_DATA``): an allocation too many becomes
a ``MemoryError`` that names the line. Meter only: nothing but the parent's samples.
"""

import itertools
import json
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seawall.budget.cgroup import MemoryGroup, own_group, read_number
from seawall.budget.kills import KillCounts, count_kills
from seawall.budget.scope import scope_command, scope_of, why_no_scope
from seawall.units import MIB, format_bytes

FenceKind = Literal["cgroup", "user scope", "data limit", "meter only"]

OOM_SCORE_ADJUSTMENT = 1000
"""Asks the kernel to take the stage first: without it a 600 MiB parent was killed in the place of its growing child."""

CLOSE_SECONDS = 0.5
"""A dead process leaves its cgroup within milliseconds; after this the folder is left for the next run to sweep."""

_PREFIX = "seawall-"

_SETTINGS = {
    1: ("memory.limit_in_bytes", (("memory.memsw.limit_in_bytes", "{limit}"), ("memory.swappiness", "0"))),
    2: ("memory.max", (("memory.swap.max", "0"),)),
}
"""By version of the interface: the file of the limit, and what turns swap off."""


@dataclass(slots=True)
class Fence:
    """What holds one stage to its limit."""

    kind: FenceKind
    limit_bytes: int
    """Limit of everything charged to the stage's own cgroup."""
    data_limit_bytes: int
    """Limit of private writable address space, for the data limit."""
    group: MemoryGroup | None
    """The stage's own cgroup; None for the other kinds."""
    around: MemoryGroup | None
    """The cgroup of the parent, if any: its counter tells of kills where the stage has no cgroup of its own."""
    _charge: int | None = None
    """Descriptor of the file of the present charge, which is read several times a second."""

    def describe(self, entered: str = "") -> str:
        """Say in words what holds the stage; ``entered`` is what its process found when it went in."""
        if entered and entered != self.kind:
            return f"{self._words(entered)} (the {self.kind} refused the process)"
        return self._words(self.kind)

    def _words(self, kind: str) -> str:
        if kind == "cgroup":
            version = self.group.version if self.group else 2
            return f"own memory cgroup (version {version}), limit {self._limit_words()}"
        if kind == "user scope":
            return f"scope of the user's service manager, limit {format_bytes(self.limit_bytes)}"
        if kind == "data limit":
            return f"data limit (RLIMIT_DATA) of {format_bytes(self.data_limit_bytes)}"
        return "meter only: nothing but the samples holds the stage to its plan"

    def _limit_words(self) -> str:
        """Write the limit, and what is left of it where somebody has lowered it."""
        now = None if self.group is None else read_number(self.group.folder / _SETTINGS[self.group.version][0])
        if now is None or now > self.limit_bytes - mmap.PAGESIZE:  # the kernel rounds to pages
            return format_bytes(self.limit_bytes)
        return f"{format_bytes(now)}, lowered from {format_bytes(self.limit_bytes)} by somebody else"

    def command(self, argv: list[str]) -> list[str]:
        """Give the command that starts a process inside this fence, or one that will enter it by itself."""
        return [*scope_command(self.limit_bytes), *argv] if self.kind == "user scope" else argv

    def started(self, pid: int) -> bool:
        """Find the scope the service manager has put the started process in, and tell when it has just been found.

        It takes some milliseconds to appear; from then on :meth:`kills` counts in it too.
        """
        if self.kind != "user scope" or self.group is not None:
            return False
        self.group = scope_of(pid)
        return self.group is not None

    def ticket(self) -> str:
        """Write what the child needs to enter this fence, as a short JSON text for its command line or environment."""
        procs = str(self.group.folder / "cgroup.procs") if self.kind == "cgroup" and self.group else None
        return json.dumps({"kind": self.kind, "procs": procs, "data_limit_bytes": self.data_limit_bytes})

    def peak_bytes(self) -> int | None:
        """Read the highest charge of the stage's own cgroup, file pages included; None where it has none."""
        return None if self.group is None else self.group.peak_bytes()

    def charged(self) -> int | None:
        """Read the present charge of the stage's own cgroup, file pages included; None where it has none."""
        if self._charge is None:
            self._charge = None if self.group is None else self.group.open_charge()
        try:
            return None if self._charge is None else int(os.pread(self._charge, 32, 0))
        except (OSError, ValueError):
            return None

    def kills(self) -> KillCounts:
        """Read the kernel's counters of kills for memory at every level around the stage, nearest first.

        Read it before and after a stage: only the difference is about the stage, and outside an own cgroup it may still
        have been a neighbour. A scope is removed soon after its process, and counts nothing any more.
        """
        around = [] if self.around is None else self.around.with_ancestors()
        return count_kills([*([] if self.group is None else [self.group]), *around])

    def has_own_count(self, counts: KillCounts) -> bool:
        """Tell whether the first of these counters is that of the stage's own group."""
        return self.kind == "cgroup" or (self.group is not None and counts.levels[0].kills is not None)

    def close(self) -> None:
        """Remove the stage's cgroup once its processes are gone; what cannot be removed is left for a later sweep."""
        if self._charge is not None:
            os.close(self._charge)
            self._charge = None
        if self.group is None or self.kind != "cgroup":
            return
        deadline = time.monotonic() + CLOSE_SECONDS
        while not _removed(self.group.folder) and time.monotonic() < deadline:
            time.sleep(0.01)


def open_fence(
    limit_bytes: int, data_limit_bytes: int, *, strongest: FenceKind = "cgroup", root: Path = Path("/")
) -> Fence:
    """Prepare the strongest fence this machine allows, no stronger than ``strongest``; close it after the stage.

    Parameters
    ----------
    limit_bytes
        What may be charged to the stage's cgroup, file pages included (the kernel takes those back first).
    data_limit_bytes
        What the stage may map privately and writably: more than it touches, see :func:`data_limit`.
    """
    around = own_group(root)
    if strongest == "cgroup" and around is not None:
        _sweep(around.folder)
        with suppress(OSError):
            group = _make_group(around, limit_bytes)
            return Fence("cgroup", limit_bytes, data_limit_bytes, group, around)
    if strongest in ("cgroup", "user scope") and not why_no_scope(root):
        return Fence("user scope", limit_bytes, data_limit_bytes, None, around)
    kind: FenceKind = "data limit" if strongest != "meter only" and _data_limit_works() else "meter only"
    return Fence(kind, limit_bytes, data_limit_bytes, None, around)


def enter(ticket: str) -> FenceKind:
    """Put this process behind the fence of a ticket: the first thing a stage's process does, before heavy imports.

    What was touched before stays charged to the parent's container. A cgroup that refuses this process is replaced by
    the data limit.

    Returns
    -------
    FenceKind
        What holds this process from now on.
    """
    wanted = json.loads(ticket)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE_ADJUSTMENT), encoding="ascii")
    if wanted["kind"] == "cgroup":
        with suppress(OSError):
            Path(wanted["procs"]).write_text(str(os.getpid()), encoding="ascii")
            return "cgroup"
    if wanted["kind"] == "user scope" and (scope := scope_of(os.getpid())) is not None and scope.limits_bytes():
        return "user scope"
    if wanted["kind"] != "meter only" and _limit_data(wanted["data_limit_bytes"]):
        return "data limit"
    return "meter only"


def data_limit(private_bytes: int, *, num_threads: int = 1) -> int:
    """Turn planned private memory into a data limit that stops mistakes and nothing else.

    A data limit counts private writable address space whether touched or not: libraries were seen to map up to 130 MiB
    more than they touch, and each thread maps a stack of 8 MiB and may map an arena or buffer of 32 MiB.
    """
    return int(private_bytes * 1.15) + 128 * MIB + num_threads * 40 * MIB


def probe(root: Path = Path("/")) -> list[str]:
    """Try each kind of fence, strongest first, and say for each in a line whether it is there and why not."""
    lines = []
    around = own_group(root)
    if around is None:
        lines.append("cgroup: no, this process has no memory cgroup that can be seen")
    else:
        try:
            group = _make_group(around, 64 * MIB)
        except OSError as error:
            lines.append(f"cgroup: no, {_reason(around)} ({error.strerror})")
        else:
            lines.append(f"cgroup: yes, version {group.version}")
            _removed(group.folder)
    lacking = why_no_scope(root)
    lines.append(f"user scope: no, {lacking}" if lacking else "user scope: yes, from the user's service manager")
    works = _data_limit_works()
    lines.append("data limit: yes" if works else "data limit: no, this system does not hold processes to RLIMIT_DATA")
    return [*lines, "meter only: yes"]


def _make_group(around: MemoryGroup, limit_bytes: int) -> MemoryGroup:
    """Make a cgroup below ours with a limit and without swap; OSError where that is not allowed."""
    if around.version == 2:
        _hand_down_memory(around.folder)
    folder = next(_free_names(around.folder))
    folder.mkdir()
    limit_file, swap_settings = _SETTINGS[around.version]
    try:
        (folder / limit_file).write_text(str(limit_bytes), encoding="ascii")
    except OSError:
        _removed(folder)
        raise
    for name, value in swap_settings:
        with suppress(OSError):  # the files are missing where the kernel keeps no account of swap
            (folder / name).write_text(value.format(limit=limit_bytes), encoding="ascii")
    return MemoryGroup(around.version, folder, around.top)


def _hand_down_memory(folder: Path) -> None:
    """Give groups below a memory controller of their own.

    Version 2 refuses that while processes, this one among them, stand in the group itself; moving other people's
    processes out of the way is not ours to do, so the caller then takes a weaker fence.
    """
    control = folder / "cgroup.subtree_control"
    if "memory" not in control.read_text(encoding="ascii").split():
        control.write_text("+memory", encoding="ascii")


def _reason(around: MemoryGroup) -> str:
    if around.version == 2:
        return "version 2 hands memory down only where the group is writable and has no processes of its own"
    return f"{around.folder} is not writable"


def _free_names(folder: Path) -> Iterator[Path]:
    names = (folder / f"{_PREFIX}{os.getpid()}-{number}" for number in itertools.count())
    return (name for name in names if not name.exists())


def _sweep(folder: Path) -> None:
    """Remove empty groups that runs killed earlier have left; the kernel refuses to remove one with processes."""
    for left in folder.glob(f"{_PREFIX}*-*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            _removed(left)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def loosen() -> None:
    """Lift the data limit of this process as far as it may: a stage that was refused memory must still say so."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def _limit_data(limit_bytes: int) -> bool:
    try:
        import resource
    except ImportError:
        return False
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    except (OSError, ValueError):
        return False
    return True


def _data_limit_works() -> bool:
    """Linux has held private mappings to this limit since 4.7; other systems take the number and do nothing."""
    return Path("/proc/self/limits").exists()
