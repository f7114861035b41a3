"""Who else holds the machine's memory: names and sizes of the largest other processes, read when something died."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from seawall.budget.cgroup import read_meminfo
from seawall.budget.processes import held_and_name
from seawall.units import MIB, format_bytes

LEAST_BYTES = 16 * MIB
"""Smaller processes are not named: they decide nothing."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The largest other processes by private and shared memory, and what was still available."""

    processes: tuple[tuple[str, int], ...]
    available_bytes: int | None

    def words(self) -> str:
        """Name them in one line."""
        named = ", ".join(f"{name} {format_bytes(size)}" for name, size in self.processes)
        who = named or f"no other process that can be seen held more than {format_bytes(LEAST_BYTES)}"
        left = "" if self.available_bytes is None else f"; {format_bytes(self.available_bytes)} was available"
        return f"{who}{left}"


def neighbours(own: Collection[int] = (), *, count: int = 5) -> Neighbours:
    """Look at every process of the machine once, some 20 us each; ``own`` and this process are left out."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - a Path each costs more
    except OSError:
        return Neighbours((), None)
    mine = {os.getpid(), *own}
    found = [held_and_name(pid) for pid in pids if pid not in mine]
    large = sorted((pair for pair in found if pair[1] >= LEAST_BYTES), key=lambda pair: -pair[1])
    return Neighbours(tuple(large[:count]), read_meminfo(Path("/")).get("MemAvailable"))
