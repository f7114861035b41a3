"""Where this process stands in the kernel's memory cgroups (version 1 or 2), and what a group's files say."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from seawall.budget.mounts import Mount, read_mounts
from seawall.units import KIB

_UNLIMITED_BYTES = 1 << 60
"""Version 1 writes 'no limit' as the largest multiple of a page below 2**63; no machine has 2**60 bytes."""


class _Files(NamedTuple):
    """Names that one version of the interface gives to the same facts."""

    limits: tuple[str, ...]
    charged: str
    peak: str
    events: str


_FILES = {
    1: _Files(("memory.limit_in_bytes",), "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"),
    2: _Files(("memory.max", "memory.high"), "memory.current", "memory.peak", "memory.events"),
}


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """One memory cgroup, by the folder that shows it; ``top`` is the highest ancestor that can be seen."""

    version: int
    folder: Path
    top: Path

    def with_ancestors(self) -> list["MemoryGroup"]:
        """List this group and every visible ancestor, nearest first."""
        groups, folder = [self], self.folder
        while folder != self.top:
            folder = folder.parent
            groups.append(MemoryGroup(self.version, folder, self.top))
        return groups

    def limits_bytes(self) -> list[tuple[str, int]]:
        """List the limits set on this group itself, by file name; empty where there is none."""
        found = [(name, read_number(self.folder / name)) for name in _FILES[self.version].limits]
        inherited = self._statistics().get("hierarchical_memory_limit")
        if self.folder == self.top and inherited not in {limit for _, limit in found}:
            # Version 1 only: the one trace of a smaller limit on an ancestor that this process cannot see.
            found.append(("hierarchical_memory_limit", inherited))
        return [(name, limit) for name, limit in found if limit is not None and limit < _UNLIMITED_BYTES]

    def held_bytes(self) -> int:
        """Sum what is charged here and below and cannot be reclaimed: private, shared and kernel memory, no file pages.

        Version 1 does not tell which kernel memory could be reclaimed, so all of it counts.
        """
        statistics = self._statistics()
        if self.version == 1:
            kernel = read_number(self.folder / "memory.kmem.usage_in_bytes") or 0
            return statistics.get("total_rss", 0) + statistics.get("total_shmem", 0) + kernel
        parts = ("slab_unreclaimable", "kernel_stack", "pagetables", "percpu", "sock")
        kernel = sum(statistics.get(part, 0) for part in parts)
        if "kernel" in statistics:
            kernel = max(kernel, statistics["kernel"] - statistics.get("slab_reclaimable", 0))
        return statistics.get("anon", 0) + statistics.get("shmem", 0) + kernel

    def open_charge(self) -> int | None:
        """Open the file that says what is charged here and below now, file pages included; None where there is none."""
        try:
            return os.open(self.folder / _FILES[self.version].charged, os.O_RDONLY)
        except OSError:
            return None

    def processes_bytes(self) -> int:
        """Sum the private and shared memory charged here and below, without the kernel's own."""
        statistics = self._statistics()
        names = ("total_rss", "total_shmem") if self.version == 1 else ("anon", "shmem")
        return sum(statistics.get(name, 0) for name in names)

    def is_killed_whole(self) -> bool:
        """Tell whether one kill for memory takes every process of this group (``memory.oom.group``, version 2)."""
        return self.version == 2 and read_number(self.folder / "memory.oom.group") == 1

    def peak_bytes(self) -> int | None:
        """Read the highest charge so far, file pages included; None where the kernel does not keep it."""
        return read_number(self.folder / _FILES[self.version].peak)

    def oom_kills(self) -> int | None:
        """Read how many processes of this group the kernel has killed for memory; None where it does not count them."""
        return read_table(self.folder / _FILES[self.version].events).get("oom_kill")

    def _statistics(self) -> dict[str, int]:
        return read_table(self.folder / "memory.stat")


def own_group(root: Path = Path("/")) -> MemoryGroup | None:
    """Find the memory cgroup of this process, or None where there is none to be seen."""
    return group_of("self", root)


def group_of(pid: str, root: Path = Path("/")) -> MemoryGroup | None:
    """Find the memory cgroup of a process.

    Where both versions are mounted the memory controller belongs to one of them: to version 1 if it is listed there.
    """
    try:
        lines = (root / "proc" / pid / "cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    entries = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    mounts = read_mounts(root)
    for _, controllers, path in entries:
        if "memory" in controllers.split(","):
            mounted = [mount for mount in mounts if mount.kind == "cgroup" and "memory" in mount.options]
            return _visible_group(1, path, mounted, root)
    for _, controllers, path in entries:
        if controllers == "":
            return _visible_group(2, path, [mount for mount in mounts if mount.kind == "cgroup2"], root)
    return None


def _visible_group(version: int, path: str, mounted: list[Mount], root: Path) -> MemoryGroup | None:
    """Translate the kernel's path to a folder; inside a container the mount may show only a part of the tree."""
    for mount in mounted:
        top = root / mount.point.lstrip("/")
        inside = PurePosixPath(path)
        if inside.is_relative_to(mount.source):
            folder = top / inside.relative_to(mount.source)
            if ".." not in inside.parts and folder.is_dir():
                return MemoryGroup(version, folder, top)
    # The path is told from outside the container's view: the mount's own top is the nearest group that can be read.
    tops = [root / mount.point.lstrip("/") for mount in mounted]
    return next((MemoryGroup(version, top, top) for top in tops if top.is_dir()), None)


def read_number(path: Path) -> int | None:
    """Read a file that holds one number; None for ``max``, for anything else and for a file that is not there."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def read_table(path: Path) -> dict[str, int]:
    """Read a file of ``name number`` lines; other lines are left out, a missing file is empty."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return {}
    pairs = (line.split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def read_meminfo(root: Path = Path("/")) -> dict[str, int]:
    """Read the machine's memory in bytes by the kernel's names; empty where there is no such file."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    found = (re.fullmatch(r"(\w+):\s+(\d+) kB", line) for line in lines)
    return {match.group(1): int(match.group(2)) * KIB for match in found if match}
