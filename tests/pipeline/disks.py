"""Small disks of their own, and how to fill them."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Path]:
    """Mount a small ext4 file system; the test is skipped, with the reason, where this process may not."""
    image, mounted = folder / "image", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(size_mib * 2**20)
    for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(mounted)]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip(f"no {command[0]} here")
        if done.returncode:
            pytest.skip(f"a loop mount is not permitted here: {done.stderr.strip()}")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=False)


def fill(path: Path, *, leave_bytes: int) -> None:
    """Take all the room but some."""
    with path.open("wb") as file:
        try:
            while shutil.disk_usage(path).free > leave_bytes:
                file.write(b"x" * 65_536)
                file.flush()
        except OSError:
            return
