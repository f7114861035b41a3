"""Who killed for memory: the kernel's counters at every level around a stage, read before and after it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seawall.budget.cgroup import MemoryGroup, read_number, read_table
from seawall.units import MIB, format_bytes

_NEAR_BYTES = 4 * MIB
"""The kernel charges in batches of some pages for each core, so a group is killed a little below its limit."""


@dataclass(frozen=True, slots=True)
class LevelCount:
    """One memory cgroup at one moment."""

    folder: str
    limit_bytes: int | None
    """Smallest limit set on this group itself."""
    kills: int | None
    """Processes of this group that the kernel has killed for memory."""
    hits: int | None
    """How often a charge has failed at this group's limit."""
    peak_bytes: int | None


@dataclass(frozen=True, slots=True)
class KillCounts:
    """The counters of all levels, nearest first, and of the whole machine."""

    levels: tuple[LevelCount, ...]
    machine: int | None

    def record(self) -> dict[str, Any]:
        """Give the counters as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "KillCounts":
        """Read what :meth:`record` gave."""
        return cls(tuple(LevelCount(**level) for level in record["levels"]), record["machine"])


@dataclass(frozen=True, slots=True)
class Killer:
    """Which limit the kernel enforced."""

    kind: str
    """``own``, ``lowered`` (its own, made smaller meanwhile), ``container`` or ``machine``."""
    words: str
    is_certain: bool
    """False where the counter is shared with other processes, one of which may have been the one killed."""


def count_kills(groups: Sequence[MemoryGroup], root: Path = Path("/")) -> KillCounts:
    """Read the counters of these groups, nearest first, and of the machine."""
    return KillCounts(tuple(map(_level, groups)), read_table(root / "proc/vmstat").get("oom_kill"))


def again(before: KillCounts, root: Path = Path("/")) -> KillCounts:
    """Read the same counters once more."""
    version = {level.folder: 1 if Path(level.folder, "memory.oom_control").exists() else 2 for level in before.levels}
    groups = [MemoryGroup(version[level.folder], Path(level.folder), Path(level.folder)) for level in before.levels]
    return count_kills(groups, root)


def who_killed(
    before: KillCounts, after: KillCounts, *, has_own_group: bool, gone_bytes: int | None = None
) -> Killer | None:
    """Tell which limit a process died of that was ended by signal 9; None where no counter moved.

    ``gone_bytes`` is the limit of a group of its own that was removed before its counters could be read.

    The nearest counter that moved says that it was the kernel. Version 1 counts a kill in the victim's own group
    whoever's limit it was, so the limit is told from which one was reached: the stage's own, one around it, or none,
    and then it was the machine's memory. (The count of failed charges alone would not do: on Linux 6.18 it stays at 0
    for a limit that was reached by a group below.)
    """
    levels = list(zip(before.levels, after.levels, strict=True))
    for number, (was, now) in enumerate(levels):
        if _moved(was.kills, now.kills):
            return _whose_limit(levels, number, has_own_group=has_own_group, gone_bytes=gone_bytes)
    # A group of its own that counts and did not move is proof; without one the machine's counter is a strong hint.
    own_counts = has_own_group and levels and levels[0][1].kills is not None
    if not own_counts and _moved(before.machine, after.machine):
        return Killer("machine", "the machine ran out of memory: the kernel's own count of such kills moved", False)
    return None


def _whose_limit(
    levels: list[tuple[LevelCount, LevelCount]], number: int, *, has_own_group: bool, gone_bytes: int | None
) -> Killer:
    for place, (was, now) in enumerate(levels):
        if now.limit_bytes is None or not (_is_at_limit(now) or _moved(was.hits, now.hits)):
            continue
        if place == 0 and has_own_group:
            # Charges also fail at a limit that page cache has filled; then memory is taken back and nobody dies.
            if _is_at_limit(now) or not any(_is_at_limit(then) for _, then in levels[1:]):
                kind = "lowered" if _is_lowered(was, now) else "own"
                return Killer(kind, f"it reached the limit of its own memory cgroup ({_limits(was, now)})", True)
            continue
        words = f"the container around it was full: {now.folder} reached its limit of {_limits(was, now)}"
        return Killer("container", words, has_own_group)
    if has_own_group:
        return Killer("machine", "the machine ran out of memory: no limit around the stage was reached", True)
    moved = f"the kernel's count of such kills moved in {levels[number][1].folder}"
    if gone_bytes is not None:
        return Killer("own", f"{moved}, and the one limit near it was its own, {format_bytes(gone_bytes)}", False)
    return Killer("container", moved, False)


def _is_at_limit(level: LevelCount) -> bool:
    if level.limit_bytes is None or level.peak_bytes is None:
        return False
    return level.peak_bytes >= level.limit_bytes - _NEAR_BYTES


def _is_lowered(was: LevelCount, now: LevelCount) -> bool:
    return now.limit_bytes is not None and (was.limit_bytes is None or now.limit_bytes < was.limit_bytes)


def _limits(was: LevelCount, now: LevelCount) -> str:
    """Write a limit, and what it was before where it was made smaller meanwhile."""
    if not _is_lowered(was, now):
        return _limit(now)
    return f"{_limit(now)}, lowered from {_limit(was)} by somebody else while it ran"


def _limit(level: LevelCount) -> str:
    return "no limit" if level.limit_bytes is None else format_bytes(level.limit_bytes)


def _moved(before: int | None, after: int | None) -> bool:
    return after is not None and after > (before or 0)


def _level(group: MemoryGroup) -> LevelCount:
    limits = [limit for _, limit in group.limits_bytes()]
    if group.version == 1:
        # With swap off both limits are the same number, and the kernel tries the second one first.
        counts = [read_number(group.folder / name) for name in ("memory.failcnt", "memory.memsw.failcnt")]
        hits = None if counts[0] is None else sum(count or 0 for count in counts)
    else:
        # The local file counts what happened at this very limit; kernels before 5.12 have the other one only.
        local = read_table(group.folder / "memory.events.local") or read_table(group.folder / "memory.events")
        hits = local.get("oom")
    return LevelCount(str(group.folder), min(limits, default=None), group.oom_kills(), hits, group.peak_bytes())
