"""What the processes of a run hold right now, read from /proc in some microseconds each."""

import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from seawall.budget import portable
from seawall.units import KIB

_NAME = re.compile(rb"Name:\t(.*)\n")
_READ_BYTES = re.compile(rb"read_bytes: (\d+)")
_STATUS_BYTES = 8192
"""A status file has some 1.5 KiB; one read takes all of it."""

_PAGE_KIB = os.sysconf("SC_PAGESIZE") // KIB
_SHARED_SLACK_PAGES = 64
"""Where file and shared pages have moved by less together, 256 KiB, they are not told apart anew."""

_RESIDENT_BYTES = 96
"""The three lines of resident memory have at most this much together; to search the whole file would cost more."""


class Sample(NamedTuple):
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


def read_bytes(pid: int) -> int | None:
    """Sum what a process and its descendants have really read from disk; None where the kernel does not say.

    Reads of a descendant that has ended are its parent's from then on.
    """
    return _sum_of_reads(descendants(pid))


def _sum_of_reads(pids: Iterable[int]) -> int | None:
    found = [_READ_BYTES.search(_read(f"/proc/{pid}/io")) for pid in pids]
    counted = [int(match.group(1)) for match in found if match]
    return sum(counted) if counted else None


def held_and_name(pid: int) -> tuple[str, int]:
    """Give a process's name and what it holds that the kernel cannot take back; 0 for one that has ended."""
    text = _read(f"/proc/{pid}/status")
    name, (anonymous_kib, _, shared_kib) = _NAME.match(text), _resident_of(text)
    return (name.group(1).decode("utf-8", "replace") if name else "?"), (anonymous_kib + shared_kib) * KIB


class TreeReader:
    """Measure one process tree again and again: files stay open, and who belongs to it is looked up now and then.

    Opening a file of /proc costs more than reading it, and a stage starts processes rarely.

    Parameters
    ----------
    pid
        The tree's first process.
    members_seconds
        Time between two looks for new processes.
    """

    def __init__(self, pid: int, *, members_seconds: float = 0.45) -> None:
        self._pid, self._members_seconds = pid, members_seconds
        self._members: dict[int, _Member] = {}
        self._own = _Member("/proc/self") if _has_proc() else None
        self._next_look_seconds = 0.0

    def sample(self) -> Sample:
        """Measure the tree now."""
        if not _has_proc():
            return sample_tree(self._pid)
        now = time.monotonic()
        if now >= self._next_look_seconds or not self._members:
            self._next_look_seconds = now + self._members_seconds
            self._look_for_members()
        private_kib = file_kib = shared_kib = 0
        for member in self._members.values():
            anonymous, file, shared = member.resident_kib()
            private_kib, file_kib, shared_kib = private_kib + anonymous, file_kib + file, shared_kib + shared
        return Sample(private_kib * KIB, shared_kib * KIB, file_kib * KIB)

    def own_private_bytes(self) -> int:
        """Measure the measuring process."""
        if self._own is None:
            return own_private_bytes()
        anonymous_kib, _, shared_kib = self._own.resident_kib()
        return (anonymous_kib + shared_kib) * KIB

    def read_bytes(self) -> int | None:
        """Sum what the tree has really read from disk, as :func:`read_bytes` does."""
        return _sum_of_reads(self._members) if _has_proc() else read_bytes(self._pid)

    def close(self) -> None:
        """Close the files."""
        for member in self._members.values():
            member.close()
        if self._own is not None:
            self._own.close()
        self._members, self._own = {}, None

    def _look_for_members(self) -> None:
        members = descendants(self._pid)
        for ended in self._members.keys() - set(members):
            self._members.pop(ended).close()
        for pid in set(members) - self._members.keys():
            with suppress(OSError):  # it has ended meanwhile
                self._members[pid] = _Member(f"/proc/{pid}")


class _Member:
    """One process of a tree: ``statm`` takes the kernel a third of ``status``, which alone tells files from shared."""

    def __init__(self, folder: str) -> None:
        self._short = os.open(f"{folder}/statm", os.O_RDONLY)
        try:
            self._status = os.open(f"{folder}/status", os.O_RDONLY)
        except OSError:
            os.close(self._short)
            raise
        self._shared_pages = -_SHARED_SLACK_PAGES
        self._file_kib = self._shared_kib = 0

    def resident_kib(self) -> tuple[int, int, int]:
        """Give private, file and shared memory; nothing where the process has ended."""
        fields = _read_again(self._short).split()
        resident, shared = (int(fields[1]), int(fields[2])) if fields else (0, 0)
        if abs(shared - self._shared_pages) < _SHARED_SLACK_PAGES and resident:
            return (resident - shared) * _PAGE_KIB, self._file_kib, self._shared_kib
        found = _resident_of(_read_again(self._status))
        self._shared_pages, (_, self._file_kib, self._shared_kib) = shared, found
        return found

    def close(self) -> None:
        """Close the files."""
        os.close(self._status)
        os.close(self._short)


def _resident_kib(pid: int) -> tuple[int, int, int]:
    return _resident_of(_read(f"/proc/{pid}/status"))


def _resident_of(status: bytes) -> tuple[int, int, int]:
    """Give RssAnon, RssFile and RssShmem, which follow one another; nothing where the process has ended."""
    start = status.find(b"\nRssAnon:") + 1
    if not start:
        return 0, 0, 0
    fields = status[start : start + _RESIDENT_BYTES].split()
    return int(fields[1]), int(fields[4]), int(fields[7])


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
    descriptor = _open(path)
    if descriptor is None:
        return b""
    try:
        return _read_again(descriptor)
    finally:
        os.close(descriptor)


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY)
    except OSError:
        return None


def _read_again(descriptor: int) -> bytes:
    """Read a file of /proc from its start; empty once its process has ended."""
    try:
        return os.pread(descriptor, _STATUS_BYTES, 0)
    except OSError:
        return b""


@cache
def _has_proc() -> bool:
    return b"RssAnon" in _read("/proc/self/status")


@cache
def _kernel_lists_children() -> bool:
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()
