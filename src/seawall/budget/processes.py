"""What the processes of a run hold right now, read from /proc in some microseconds each."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from seawall.budget import portable
from seawall.units import KIB

_RESIDENT = re.compile(rb"RssAnon:\s*(\d+) kB\nRssFile:\s*(\d+) kB\nRssShmem:\s*(\d+) kB")
_STATUS_BYTES = 8192
"""A status file has some 1.5 KiB; one read takes all of it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory of a process tree at one moment.

    Pages that several processes of the tree share count once for each of them, so a sum is never too low.
    """

    private_bytes: int
    """Anonymous pages: heaps, arrays, stacks."""
    shared_bytes: int
    """Shared memory (tmpfs and shared anonymous pages)."""
    file_bytes: int
    """Pages of mapped files, which the kernel can take back."""

    @property
    def held_bytes(self) -> int:
        """What the kernel cannot take back, and what a budget is held against."""
        return self.private_bytes + self.shared_bytes


def sample_tree(pid: int) -> Sample:
    """Measure a process and all its descendants; a process that ends meanwhile counts as nothing.

    Where there is no /proc everything resident is reported as private, which is too much rather than too little.
    """
    if not _has_proc():
        return Sample(portable.tree_bytes(pid), 0, 0)
    private_kib = file_kib = shared_kib = 0
    for member in descendants(pid):
        anonymous, file, shared = _resident_kib(member)
        private_kib, file_kib, shared_kib = private_kib + anonymous, file_kib + file, shared_kib + shared
    return Sample(private_kib * KIB, shared_kib * KIB, file_kib * KIB)


def own_private_bytes() -> int:
    """Measure what this process alone holds and the kernel cannot take back."""
    if not _has_proc():
        return portable.own_private_bytes()
    anonymous_kib, _, shared_kib = _resident_kib(os.getpid())
    return (anonymous_kib + shared_kib) * KIB


def descendants(pid: int) -> list[int]:
    """List a process and everything it started, directly or not."""
    children_of = _children_of if _kernel_lists_children() else _children_by_scan()
    found, waiting = [], [pid]
    while waiting:
        member = waiting.pop()
        found.append(member)
        waiting.extend(children_of(member))
    return found


def _resident_kib(pid: int) -> tuple[int, int, int]:
    match = _RESIDENT.search(_read(f"/proc/{pid}/status"))
    return (int(match.group(1)), int(match.group(2)), int(match.group(3))) if match else (0, 0, 0)


def _children_of(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - a Path per thread costs more than the read
    except OSError:
        return []
    return [int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()]


def _children_by_scan() -> Callable[[int], list[int]]:
    """Look at every process of the machine once: for kernels built without the list of children."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - as above
        # The command in brackets may hold spaces and brackets itself: the fields after the last one are safe.
        fields = _read(f"/proc/{name}/stat").rpartition(b")")[2].split() if name.isdigit() else []
        if len(fields) > 1:
            children.setdefault(int(fields[1]), []).append(int(name))
    return lambda pid: children.get(pid, [])


def _read(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _STATUS_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


@cache
def _has_proc() -> bool:
    return b"RssAnon" in _read("/proc/self/status")


@cache
def _kernel_lists_children() -> bool:
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()
