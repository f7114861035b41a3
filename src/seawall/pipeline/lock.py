"""Who works on a run folder or a panel store now: kernel locks, and a record that tells how the last owner ended."""

import errno
import fcntl
import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

from seawall.errors import ResumeError

LOCK_SECONDS = 2.0
"""How long a lock is asked for: ``status`` holds it for a moment, and a killed owner's stage may still be dying."""

SIGN_SECONDS = 1.0
"""The owner touches its lock file at this pace: the only sign of life that is seen from another host."""

WATCH_SECONDS = 3.5
"""How long a lock file of another host is watched for a sign of life; no clock is compared with another."""

_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What flock says on a file system without locks."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that took a lock, told apart from a later one that was given the same number."""

    pid: int
    host: str = ""
    boot: str = ""
    """The kernel's name for its present life; a number of a process means nothing after a restart."""
    start_ticks: int = 0
    """When the process started, in ticks since the kernel did: no clock that can be set plays a part."""
    started: str = ""
    """The same for people, ISO 8601."""

    @classmethod
    def this_process(cls) -> "Owner":
        """Describe the caller."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(os.getpid(), platform.node(), _boot(), _start_ticks(os.getpid()), now)

    @property
    def is_elsewhere(self) -> bool:
        """Another host's process: its number says nothing here."""
        return bool(self.host) and self.host != platform.node()

    @property
    def is_alive(self) -> bool:
        """The very process still runs on this host."""
        if self.is_elsewhere or self.boot != _boot():
            return False
        return self.start_ticks == _start_ticks(self.pid) != 0

    def __str__(self) -> str:
        return f"process {self.pid}{f' on {self.host}' if self.is_elsewhere else ''}"


def _boot() -> str:
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _start_ticks(pid: int) -> int:
    """Read when a process started; 0 where there is none."""
    with suppress(OSError, ValueError, IndexError):
        return int(
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        )
    return 0


@contextmanager
def run_lock(folder: Path) -> Iterator[Owner | None]:
    """Hold the run folder for this process; a second run on it is refused with the owner's pid.

    A lock is the kernel's and ends with its process, whatever number or clock says otherwise. The record beside it is
    emptied by an owner that ends in order.

    Returns
    -------
    Owner, optional
        The owner before this one, where it was killed.

    Raises
    ------
    ResumeError
        Where another process holds it, or one on another host shows signs of life.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as file:
        left = _take(file, path, folder)
        _write(file, Owner.this_process())
        try:
            with _Sign(file):
                yield left
        finally:
            _write(file, None)


def _take(file: IO[str], path: Path, folder: Path) -> Owner | None:
    """Lock the file of a run folder; give the owner it was left by."""
    taken, left = _locked(file.fileno(), fcntl.LOCK_EX), _read(file)
    is_busy = taken == "busy" or not _is_still(path, file.fileno())
    if left is not None and not is_busy:
        is_busy = _shows_life(path) if left.is_elsewhere else taken == "no locks here" and left.is_alive
    if is_busy:
        where, do = f"run folder {folder}", "Wait for it, or choose another output."
        raise ResumeError(where, "another run is using it", found=_named(path, left), do=do)
    return left


def _named(path: Path, left: Owner | None) -> str:
    return ", ".join(f"process {pid}" for pid in _holders(path)) or str(left or "an unknown process")


def _locked(descriptor: int, kind: int) -> Literal["taken", "busy", "no locks here"]:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return "busy"
            time.sleep(0.05)
        except OSError as error:
            if error.errno in _NO_LOCKS_HERE:
                return "no locks here"
            raise
        else:
            return "taken"


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _read(file: IO[str]) -> Owner | None:
    """Read the record of an owner; None where it is empty or no record."""
    file.seek(0)
    try:
        return Owner(**json.loads(file.read(4096)))
    except (OSError, ValueError, TypeError):
        return None


def _write(file: IO[str], owner: Owner | None) -> None:
    with suppress(OSError):  # a full disk does not stop a run that would free it
        file.truncate(0)
        if owner is not None:
            file.write(json.dumps(asdict(owner)))
        file.flush()


def _shows_life(path: Path) -> bool:
    """Watch the file of an owner on another host; it is touched every second while that owner lives."""
    before, deadline = path.stat().st_mtime_ns, time.monotonic() + WATCH_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if path.stat().st_mtime_ns != before:
            return True
    return False


class _Sign:
    """Touch a file every second for as long as it is held."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._over = file, threading.Event()
        self._thread = threading.Thread(target=self._touch, name="seawall sign of life", daemon=True)

    def _touch(self) -> None:
        while not self._over.wait(SIGN_SECONDS):
            with suppress(OSError):
                os.utime(self._file.fileno())

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def _holders(path: Path) -> list[int]:
    """List the processes that hold a lock on a file, as the kernel tells; empty where it does not."""
    try:
        inode = path.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    fields = [line.split() for line in lines if "->" not in line]
    held = [(parts[4], parts[5]) for parts in fields if len(parts) > 5 and parts[1] == "FLOCK"]
    pids = {int(pid) for pid, place in held if place.rpartition(":")[2] == str(inode) and pid.isdigit()}
    return sorted(pids - {os.getpid(), 0})


def lock_owner(folder: Path) -> int | None:
    """Give the process that holds the run folder now, or None."""
    owner = _owner(folder / ".lock")
    return owner.pid if owner is not None and owner.is_holding else None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at a lock tells."""

    pid: int
    started: str
    is_holding: bool
    """False: it was killed, for it did not empty its record."""


def _owner(path: Path) -> Seen | None:
    try:
        with path.open("r", encoding="utf-8") as file:
            left, is_holding = _read(file), False
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                is_holding = True
            except OSError:
                is_holding = left is not None and left.is_alive
    except OSError:  # never locked, or not ours to look at
        return None
    pid = next(iter(_holders(path)), left.pid if left else 0) if is_holding else left.pid if left else 0
    return Seen(pid, left.started if left else "", is_holding) if pid else None


def last_owner(folder: Path) -> Seen | None:
    """Give the owner of a run folder that holds it now, or was killed; None where the last one ended in order."""
    return _owner(folder / ".lock")


@contextmanager
def try_hold(path: Path) -> Iterator[bool]:
    """Hold a lock file, if there is one, without a word in it: True where nobody else does."""
    try:
        file = path.open("r+", encoding="utf-8")
    except FileNotFoundError:
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError:
            left = _read(file)
            yield not (left and left.is_alive)
        else:
            yield True


def holders(path: Path) -> str:
    """Name the processes that hold a lock file, for a message."""
    return _named(path, None)


class PanelLock:
    """The lock beside a panel store: any number of runs may read it, or one may write it.

    Parameters
    ----------
    panel
        The ``NAME.panel`` folder, which need not exist. Where nothing can be written beside it, nobody can replace it
        either, and reading needs no lock.
    """

    def __init__(self, panel: Path) -> None:
        self._panel, self._path = panel, panel.with_name(f".{panel.name}.lock")
        self._file: IO[str] | None = None

    def read(self) -> None:
        """Hold the panel so that nobody replaces it.

        Raises
        ------
        ResumeError
            Where a run is writing it.
        """
        self._hold(fcntl.LOCK_SH, "another run is writing it", "Wait for it, or choose another panel.")

    def write(self) -> None:
        """Hold the panel alone.

        Raises
        ------
        ResumeError
            Where another run is reading or writing it.
        """
        do = "Wait for it, choose another panel, or leave out the ingest section to share this one."
        self._hold(fcntl.LOCK_EX, "another run is using it", do)

    def _hold(self, kind: int, what: str, do: str) -> None:
        if self._file is None and not self._open(kind):
            return
        while self._file is not None:
            if _locked(self._file.fileno(), kind) == "busy":
                raise ResumeError(f"panel {self._panel}", what, found=_named(self._path, None), do=do)
            if _is_still(self._path, self._file.fileno()):
                return
            self._file.close()  # its last reader removed it while it was waited for
            self._open(kind)

    def _open(self, kind: int) -> bool:
        try:
            self._file = self._path.open("a+", encoding="utf-8")
        except OSError:
            if kind == fcntl.LOCK_EX:
                raise
            return False
        return True

    def __enter__(self) -> "PanelLock":
        return self

    def __exit__(self, *_: object) -> None:
        """Let go; the last one out removes the file."""
        if self._file is None:
            return
        with self._file as file, suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(self._path, file.fileno()):
                self._path.unlink()
        self._file = None
