"""What is mounted where, read from the kernel's table: needed to find memory cgroups and folders that lie in memory."""

import re
from dataclasses import dataclass
from pathlib import Path

_MEMORY_KINDS = frozenset({"tmpfs", "ramfs", "devtmpfs", "rootfs"})
_OCTAL_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of the mount table."""

    source: str
    """Folder inside the mounted file system that appears at ``point``."""
    point: str
    """Absolute path it appears at."""
    kind: str
    """File system type, such as ``ext4``, ``tmpfs``, ``cgroup`` or ``cgroup2``."""
    options: tuple[str, ...]
    """Options of the file system itself, such as the controllers of a version 1 cgroup."""


def read_mounts(root: Path = Path("/")) -> list[Mount]:
    """Read the mount table of this process, in mount order; empty where the system has none."""
    try:
        lines = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    return [mount for mount in map(_parse, lines) if mount is not None]


def _parse(line: str) -> Mount | None:
    place, separator, system = line.partition(" - ")
    left, right = place.split(" "), system.split(" ")
    if not separator or len(left) < 5 or len(right) < 3:
        return None
    return Mount(_unescape(left[3]), _unescape(left[4]), right[0], tuple(right[2].split(",")))


def _unescape(text: str) -> str:
    return _OCTAL_ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), text)


def is_memory_filesystem(path: Path, *, root: Path = Path("/")) -> bool:
    """Tell whether files at ``path`` lie in memory (tmpfs, ramfs, or an overlay that writes to one).

    Such files are charged to the container like private memory, so nothing may be spilled there. The path need not
    exist yet. Where the system has no mount table the answer is False.
    """
    return _lies_in_memory(path.resolve(), read_mounts(root), depth=0)


def _lies_in_memory(path: Path, mounts: list[Mount], *, depth: int) -> bool:
    holders = [mount for mount in mounts if path.is_relative_to(mount.point)]
    if not holders:
        return False
    # Of equally long mount points the later one covers the earlier.
    _, holder = max(enumerate(holders), key=lambda pair: (len(pair[1].point), pair[0]))
    if holder.kind != "overlay" or depth > len(mounts):
        return holder.kind in _MEMORY_KINDS
    # Inside a container the upper folder usually belongs to the host and is not visible; then it is taken for a disk.
    upper = [option.removeprefix("upperdir=") for option in holder.options if option.startswith("upperdir=")]
    return bool(upper) and Path(upper[0]).exists() and _lies_in_memory(Path(upper[0]), mounts, depth=depth + 1)
