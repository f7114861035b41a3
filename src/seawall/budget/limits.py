"""How much memory this run may use, and which rule said so."""

import re
from dataclasses import dataclass
from pathlib import Path

from seawall.budget import portable
from seawall.budget.cgroup import MemoryGroup, own_group
from seawall.units import KIB, format_bytes, parse_bytes

_AVAILABLE_SHARE = 0.8
"""Of memory nobody has set a limit on, a fifth is left to everybody else."""


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


def find_budget(declared: str | int | None, *, config_value: str | int | None = None, root: Path = Path("/")) -> Budget:
    """Find the budget: the flag, else the config, else the container's room or 80 % of available memory.

    Without a declared size the smaller of the last two counts. The container's room is the smallest, over this
    process's memory cgroup and every visible ancestor, of the limit less what is charged there and cannot be reclaimed
    (this process included). A declared budget is taken as it is; one that is larger than the room gets a warning.

    Parameters
    ----------
    declared, config_value
        Sizes as the user wrote them on the command line and in the config, or None.
    root
        Where ``proc`` and ``sys`` are looked for: another folder in tests.

    Raises
    ------
    ConfigError
        Where a declared size cannot be read.
    """
    container = _container_room(own_group(root))
    available_bytes = _available_bytes(root)
    found = [*container, ("80 % of available memory", int(available_bytes * _AVAILABLE_SHARE))]
    named = [
        (rule, parse_bytes(text, where=rule))
        for rule, text in (("--memory", declared), ("memory.budget", config_value))
        if text is not None
    ]
    if not named:
        rule, budget_bytes = min(found, key=lambda candidate: candidate[1])
        return Budget(budget_bytes, rule, tuple(found))
    rule, budget_bytes = named[0]
    warning = _warn(budget_bytes, [*container, ("available memory", available_bytes)])
    return Budget(budget_bytes, rule, (*named, *found), warning)


def _container_room(group: MemoryGroup | None) -> list[tuple[str, int]]:
    if group is None:
        return []
    room = []
    for member in group.with_ancestors():
        for name, limit_bytes in member.limits_bytes():
            held_bytes = member.held_bytes()
            limit = f"container limit {format_bytes(limit_bytes)} ({name} of {_name(member)})"
            room.append((f"{limit} less {format_bytes(held_bytes)} held there", max(limit_bytes - held_bytes, 0)))
    return room


def _name(group: MemoryGroup) -> str:
    inside = group.folder.relative_to(group.top)
    return f"/{inside}" if inside.parts else "/"


def _available_bytes(root: Path) -> int:
    try:
        text = (root / "proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return portable.available_bytes()
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match.group(1)) * KIB if match else portable.available_bytes()


def _warn(budget_bytes: int, room: list[tuple[str, int]]) -> str:
    rule, room_bytes = min(room, key=lambda candidate: candidate[1])
    if budget_bytes <= room_bytes:
        return ""
    return (
        f"the declared {format_bytes(budget_bytes)} is more than the {format_bytes(room_bytes)} there is room for"
        f" ({rule}): the kernel may kill the run before it reaches its budget"
    )
