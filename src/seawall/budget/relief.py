"""The child's side of pressure: give back what was freed but is still held, and count what that brought."""

import contextlib
import ctypes
import gc
import sys
from pathlib import Path

from seawall.budget.processes import own_private_bytes


class Relief:
    """Answer the parent's requests to shrink.

    The parent writes the number of its requests so far into a small file. The stage looks at it when it reports
    progress, so a request is met between two units of work and never inside one.

    Parameters
    ----------
    path
        The parent's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.num_requests = 0
        self.released_bytes = 0

    def answer(self) -> bool:
        """Look for a new request and give back what can be; tell whether there was one."""
        asked = read_requests(self._path)
        if asked <= self.num_requests:
            return False
        self.num_requests = asked
        before_bytes = own_private_bytes()
        release_freed_memory()
        self.released_bytes += max(0, before_bytes - own_private_bytes())
        return True


def read_requests(path: Path) -> int:
    """Read how often the parent has asked; 0 where it has not."""
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return 0
    return int(text) if text.isdigit() else 0


def write_requests(path: Path, num_requests: int) -> None:
    """Ask, from the parent's side; a reader sees the old number or the new one."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(str(num_requests), encoding="ascii")
    temporary.replace(path)


def release_freed_memory() -> None:
    """Drop unreachable objects and hand freed pages back: Python's, Arrow's, torch's on a GPU, the C library's."""
    gc.collect()
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # other C libraries than glibc have no such call
            ctypes.CDLL(None).malloc_trim(0)


def holders() -> dict[str, int]:
    """Say cheaply what holds this process's memory: live Arrow buffers, and live objects of Python itself."""
    numbers = {"python_blocks": sys.getallocatedblocks()}
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        numbers["arrow_bytes"] = int(arrow.total_allocated_bytes())
    return numbers
