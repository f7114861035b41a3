"""A virtual machine with cgroup version 2 and a real service manager, made from the system it is started on.

Its disk holds this system's programs, this interpreter and this checkout; its kernel is given. Root is needed to fill
the disk. Without hardware help everything takes some fifteen times as long inside.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DISK_GIB = 12
MEMORY_MIB = 3072

PROCESSOR = "Haswell"
"""On the emulator's own ``max`` oneDNN's recurrent kernels crash."""

LARGE_BYTES = 300 * 2**20
"""Parts of the system larger than this are not needed to run Python and a service manager."""

NEEDED = ("x86_64-linux-gnu", "aarch64-linux-gnu", "systemd", "python3.11")
LEFT_OUT = ("ray", "playwright", "_polars_runtime_32", "material", "chromium", ".git", "site", "__pycache__")
USER = "quant"
USER_ID = 1234

_SERVICE = """
[Unit]
After=systemd-logind.service dbus.service user@{user_id}.service
[Service]
Type=oneshot
ExecStart=/bin/bash /judge.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
ExecStopPost=/sbin/poweroff -f
"""

_ANSWER = "judged: exit code "
_JUDGE = f"""
export PATH=/usr/bin:/bin:/usr/sbin:/sbin
{{}}
echo '{_ANSWER}'$?
sync
"""

_AS_ROOT = _JUDGE.format("echo $$ > /sys/fs/cgroup/cgroup.procs; HOME=/root bash /command.sh")
"""The root group is the one place where a version 2 group with processes hands memory down."""

_AS_USER = _JUDGE.format(f"HOME=/home/{USER} XDG_RUNTIME_DIR=/run/user/{USER_ID} su -p {USER} -s /bin/bash /command.sh")


@dataclass(frozen=True, slots=True)
class Machine:
    """A disk with a system on it, and the kernel that starts it."""

    disk: Path
    kernel: Path

    def run(self, command: str, *, as_root: bool, timeout: float) -> tuple[int, str]:
        """Start the machine, run a command in the checkout, and give its exit code and all that was printed."""
        with mounted(self.disk) as top:
            (top / "command.sh").write_text(f"cd {ROOT}\n{command}\n", encoding="utf-8")
            (top / "judge.sh").write_text(_AS_ROOT if as_root else _AS_USER, encoding="utf-8")
        drive = f"file={self.disk},format=raw,if=none,id=disk,cache=unsafe"
        options = "root=/dev/nvme0n1 rw console=ttyS0 panic=-1 quiet loglevel=3 systemd.show_status=0"
        argv = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR, "-smp", "2", "-m", str(MEMORY_MIB),
            "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-nic", "none",
            "-kernel", str(self.kernel), "-append", options, "-drive", drive, "-device", "nvme,drive=disk,serial=1",
        ]  # fmt: skip
        done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, timeout=timeout)
        _, found, code = done.stdout.rpartition(_ANSWER)
        return int(code.split()[0]) if found else -1, done.stdout + done.stderr


def make_machine(folder: Path, kernel: Path) -> Machine:
    """Write a disk that starts into a service which runs one command and turns the machine off."""
    disk = folder / "disk.img"
    with disk.open("wb") as file:
        file.truncate(DISK_GIB * 2**30)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(disk)], check=True)
    with mounted(disk) as top:
        for source in (Path("/usr"), Path("/etc"), Path(sys.base_prefix), ROOT, Path(sys.prefix)):
            _copy(source, top)
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_symlink():
                (top / name).symlink_to(Path("/", name).readlink())
        for name in ("proc", "sys", "dev", "run", "tmp", "root", "var/tmp", "var/log", "var/lib/systemd/linger"):
            (top / name).mkdir(parents=True, exist_ok=True)
        for name in ("tmp", "var/tmp"):
            (top / name).chmod(0o1777)
        _settle_in(top)
    return Machine(disk, kernel)


@contextmanager
def mounted(disk: Path) -> Iterator[Path]:
    """Mount a disk's file system beside it."""
    top = disk.with_suffix(".mounted")
    top.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(top)], check=True)
    try:
        yield top
    finally:
        subprocess.run(["umount", str(top)], check=True)


def _copy(source: Path, top: Path) -> None:
    """Copy a folder to the same place on the disk, without what is large and not needed."""
    if (top / source.relative_to("/")).exists():
        return
    left_out = [f"--exclude={name}" for name in LEFT_OUT]
    if source == Path("/usr"):
        left_out += [f"--exclude={path.relative_to('/')}" for path in _large_parts(source)]
    for above in reversed(source.parents):
        place = top / above.relative_to("/")
        place.mkdir(exist_ok=True)
        place.chmod(0o755)  # a home folder may be closed to others
    read = ["tar", "-C", "/", "-c", *left_out, str(source.relative_to("/"))]
    with subprocess.Popen(read, stdout=subprocess.PIPE) as reader:
        subprocess.run(["tar", "-C", str(top), "-x"], stdin=reader.stdout, check=True)


def _large_parts(usr: Path) -> Iterator[Path]:
    for part in (path for name in ("lib", "share", "local", "local/lib") for path in usr.glob(f"{name}/*")):
        if part.is_dir() and part.name not in NEEDED:
            told = subprocess.run(["du", "-sb", str(part)], capture_output=True, text=True, check=False).stdout
            if int(told.split()[0]) > LARGE_BYTES:
                yield part


def _settle_in(top: Path) -> None:
    """Start nothing but the judge, and a service manager for a user who is no administrator."""
    units = top / "etc/systemd/system"
    for wanted in units.glob("*.wants"):
        shutil.rmtree(wanted)
    (top / "etc/fstab").write_text("")
    (units / "judge.service").write_text(_SERVICE.format(user_id=USER_ID))
    wanted = units / "multi-user.target.wants"
    wanted.mkdir()
    (wanted / "judge.service").symlink_to("../judge.service")
    for name in ("systemd-logind.service", "dbus.socket"):
        (wanted / name).symlink_to(f"/lib/systemd/system/{name}")
    (units / "serial-getty@ttyS0.service").symlink_to("/dev/null")
    lines = {"passwd": f"{USER}:x:{USER_ID}:{USER_ID}::/home/{USER}:/bin/bash", "group": f"{USER}:x:{USER_ID}:"}
    for name, line in {**lines, "shadow": f"{USER}:*:19000::::::"}.items():
        with (top / "etc" / name).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    home = top / "home" / USER
    home.mkdir(parents=True)
    os.chown(home, USER_ID, USER_ID)
    (top / "var/lib/systemd/linger" / USER).touch()
