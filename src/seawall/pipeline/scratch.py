"""Short-lived folders in the temporary folder, and the sweep of those whose process was killed."""

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp

PREFIX = "seawall-"
LOCK_NAME = ".lock"

YOUNG_SECONDS = 60.0
"""A folder without a lock file has just been made, or its maker was killed in that moment; after this it was."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Give a folder of this process alone; those that killed runs of this user have left are swept first.

    It is held by a kernel lock, which ends with the process, whatever becomes of its number.
    """
    for left in dead_folders():
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(mkdtemp(prefix=PREFIX))
    try:
        with (folder / LOCK_NAME).open("w") as held:
            with suppress(OSError):
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def dead_folders() -> list[Path]:
    """List the folders of killed runs of this user; never a link, and nothing of anybody else."""
    return sorted(path for path in Path(gettempdir()).glob(f"{PREFIX}*") if _is_dead(path))


def _is_dead(path: Path) -> bool:
    try:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return False
        descriptor = os.open(path / LOCK_NAME, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return _is_empty(path) and time.time() - status.st_mtime > YOUNG_SECONDS
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _is_empty(path: Path) -> bool:
    try:
        return next(path.iterdir(), None) is None
    except OSError:
        return False
