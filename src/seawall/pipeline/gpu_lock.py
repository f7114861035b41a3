"""One run a GPU: two that share one run out of its memory; the second is refused with the pid of the first."""

import errno
import fcntl
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from seawall.errors import ResumeError
from seawall.pipeline.lock import holders
from seawall.train.config import TrainConfig

_DEVICE = re.compile(r"nvidia([0-9]+)")


def visible_gpus(devices: Path, environment: Mapping[str, str]) -> list[str]:
    """Name the GPUs a process may use: all of them, or those of ``CUDA_VISIBLE_DEVICES`` in its order."""
    found = sorted(int(match[1]) for path in devices.glob("nvidia*") if (match := _DEVICE.fullmatch(path.name)))
    present, asked = [str(number) for number in found], environment.get("CUDA_VISIBLE_DEVICES")
    if asked is None or not present:
        return present
    names = [name.strip() for name in asked.split(",")]
    return [name for name in names if name in present or name[:1].isalpha()]


class GpuLock:
    """The locks of the GPUs a run trains on, held until the run ends; the kernel lets go of them where it is killed.

    Parameters
    ----------
    devices
        Where the kernel lists devices.
    folder
        Where the lock files are: one for all users of the machine.
    environment
        Says which GPUs this run may see.
    """

    def __init__(
        self, devices: Path = Path("/dev"), folder: Path | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._devices, self._folder, self._environment = devices, folder, environment
        self._held: dict[str, int] = {}

    def take(self, train: TrainConfig) -> None:
        """Lock the GPUs this training will use, one a rank; nothing on a machine without, or with ``device: cpu``.

        Raises
        ------
        ResumeError
            Where another run holds one, with its pid.
        """
        if train.device == "cpu":
            return
        for name in visible_gpus(self._devices, self._environment)[: train.ranks]:
            if name not in self._held:
                self._held[name] = self._locked(name)

    def _locked(self, name: str) -> int:
        path = (self._folder or Path(tempfile.gettempdir())) / f"seawall-gpu-{re.sub('[^A-Za-z0-9-]', '_', name)}.lock"
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            do = "Wait for it, name another GPU in CUDA_VISIBLE_DEVICES, or set train.device: cpu."
            raise ResumeError(f"GPU {name}", "another run is using it", found=holders(path), do=do) from None
        return descriptor

    def __enter__(self) -> "GpuLock":
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()


def _open(path: Path) -> int:
    """Open a lock file, which another user may have made; a link is not followed."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        what, found = "a link where a lock file belongs", str(path.readlink())
        raise ResumeError(f"lock {path}", what, found=found, do="Remove it.") from None
