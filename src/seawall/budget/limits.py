"""How much memory this run may use, and which rule said so."""

import re
from dataclasses import dataclass
from pathlib import Path

from seawall.budget import portable
from seawall.budget.cgroup import MemoryGroup, own_group, read_meminfo
from seawall.units import KIB, MIB, format_apart, format_bytes, parse_bytes

_AVAILABLE_SHARE = 0.8
"""Of memory nobody has set a limit on, a fifth is left to everybody else."""

_SLACK_BYTES = 2 * MIB
"""A shell that waits in the same container is no reason to warn: plans claim more than this for the kernel alone."""


@dataclass(frozen=True, slots=True)
class Budget:
    """The declared memory of a run."""

    bytes: int
    rule: str
    """The rule that won, in words."""
    candidates: tuple[tuple[str, int], ...]
    """Every rule that had something to say, with its figure in bytes."""
    warning: str = ""
    """Why a declared budget may be more than there is; empty where it is not."""
    reserve_bytes: int = 0
    """Available memory that is left to other processes, now and before every stage."""
    own_bytes: int = 0
    """What this process itself holds of it: only memory nobody has declared is measured."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Room to leave to other processes, as the user wrote it."""

    flag: str | None = None
    config_value: str | None = None

    @property
    def bytes(self) -> int:
        """Give the flag's size, else the config's, else 0.

        Raises
        ------
        ConfigError
            Where it is not a size.
        """
        if self.flag is not None:
            return parse_bytes(self.flag, where="--reserve")
        return parse_bytes(self.config_value, where="memory.reserve") if self.config_value is not None else 0


def find_budget(
    declared: str | int | None,
    *,
    config_value: str | int | None = None,
    reserve: Reserve = Reserve(),
    root: Path = Path("/"),
) -> Budget:
    """Find the budget: the flag, else the config, else the container's room or 80 % of available memory.

    Without a declared size the smaller of the last two counts. The container's room is the smallest, over this
    process's memory cgroup and every visible ancestor, of the limit less what others hold there for good.
    What this process holds is part of it, as it is part of a declared budget: whoever plans stages beside it takes that
    off, once. A declared budget is taken as it is; one that is larger than the room gets a warning.

    Parameters
    ----------
    declared, config_value
        Sizes as the user wrote them on the command line and in the config, or None.
    reserve
        Room to leave to other processes: no budget is larger than available memory less this.
    root
        Where ``proc`` and ``sys`` are looked for: another folder in tests.

    Raises
    ------
    ConfigError
        Where a declared size cannot be read.
    """
    own_bytes = _own_bytes(root)
    container = _container_room(own_group(root), own_bytes)
    available_bytes = _available_bytes(root)
    found = [*container, ("80 % of available memory", int(available_bytes * _AVAILABLE_SHARE))]
    reserve_bytes = reserve.bytes
    if reserve_bytes:
        rule = f"available memory less a reserve of {format_bytes(reserve_bytes)}"
        found.append((rule, max(available_bytes - reserve_bytes, 0)))
    named = [
        (rule, parse_bytes(text, where=rule))
        for rule, text in (("--memory", declared), ("memory.budget", config_value))
        if text is not None
    ]
    if not named:
        rule, budget_bytes = min(found, key=lambda candidate: candidate[1])
        own_bytes = own_bytes if rule in dict(container) else 0
        return Budget(budget_bytes, rule, tuple(found), reserve_bytes=reserve_bytes, own_bytes=own_bytes)
    rule, budget_bytes = min([named[0], *(found[-1:] if reserve_bytes else [])], key=lambda candidate: candidate[1])
    warning = _warn(budget_bytes, [*container, ("available memory", available_bytes)])
    return Budget(budget_bytes, rule, (*named, *found), warning, reserve_bytes)


def room_now(reserve_bytes: int, own_bytes: int, *, root: Path = Path("/")) -> tuple[str, int]:
    """Find what this run may hold at this moment, its own memory included, and which limit says so.

    Unlike the budget this counts only what processes hold: file pages and the kernel's caches give way. It is looked at
    before every stage, because others may have grown since the run began.

    Parameters
    ----------
    reserve_bytes
        Available memory to leave to others.
    own_bytes
        What this run holds already, which is neither available nor somebody else's.
    """
    room = [("available memory less the reserve" if reserve_bytes else "available memory", _available_bytes(root))]
    room = [(rule, max(available_bytes - reserve_bytes, 0) + own_bytes) for rule, available_bytes in room]
    group = own_group(root)
    for member in group.with_ancestors() if group is not None else []:
        for name, limit_bytes in member.limits_bytes():
            free_bytes = max(limit_bytes - member.processes_bytes(), 0)
            room.append((f"{name} of the container {_name(member)}", free_bytes + own_bytes))
    return min(room, key=lambda candidate: candidate[1])


def _container_room(group: MemoryGroup | None, own_bytes: int) -> list[tuple[str, int]]:
    if group is None:
        return []
    room = []
    for member in group.with_ancestors():
        for name, limit_bytes in member.limits_bytes():
            held_bytes = max(member.held_bytes() - own_bytes, 0)
            limit = f"container limit {format_bytes(limit_bytes)} ({name} of {_name(member)})"
            room.append(
                (f"{limit} less {format_bytes(held_bytes)} held there by others", max(limit_bytes - held_bytes, 0))
            )
    return room


def _own_bytes(root: Path) -> int:
    """Sum private and shared memory of this process; 0 where the kernel does not tell."""
    try:
        text = (root / "proc/self/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return sum(int(found) for found in re.findall(r"^Rss(?:Anon|Shmem):\s*(\d+) kB$", text, re.MULTILINE)) * KIB


def _name(group: MemoryGroup) -> str:
    inside = group.folder.relative_to(group.top)
    return f"/{inside}" if inside.parts else "/"


def _available_bytes(root: Path) -> int:
    available_bytes = read_meminfo(root).get("MemAvailable")
    return portable.available_bytes() if available_bytes is None else available_bytes


def _warn(budget_bytes: int, room: list[tuple[str, int]]) -> str:
    rule, room_bytes = min(room, key=lambda candidate: candidate[1])
    if budget_bytes <= room_bytes + _SLACK_BYTES:
        return ""
    declared, room_for = format_apart(budget_bytes, room_bytes)
    return (
        f"the declared {declared} is more than the {room_for} there is room for"
        f" ({rule}): the kernel may kill the run before it reaches its budget"
    )
