"""A memory scope from the user's own service manager: a real cgroup for a stage where none may be made by hand."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from seawall.budget.cgroup import MemoryGroup, group_of, read_number
from seawall.units import MIB

PROBE_SECONDS = 5.0
"""A manager that answers does so within 0.1 s; one that does not must not hold up a run."""

_PROBE_BYTES = 64 * MIB
_NUMBERS = itertools.count()


def scope_command(limit_bytes: int) -> list[str]:
    """Give what stands before a command so that it runs, under its own pid, in a scope with a limit and no swap.

    ``systemd-run --scope`` makes the scope around itself and then becomes the command.
    """
    name = f"seawall-{os.getpid()}-{next(_NUMBERS)}.scope"
    limits = ("-p", f"MemoryMax={limit_bytes}", "-p", "MemorySwapMax=0")
    return ["systemd-run", "--user", "--scope", "--quiet", "--collect", f"--unit={name}", *limits, "--"]


def scope_of(pid: int, root: Path = Path("/")) -> MemoryGroup | None:
    """Find the scope a started process stands in; None while it is not in one of ours, or once it has ended."""
    group = group_of(str(pid), root)
    return group if group is not None and group.folder.name.startswith("seawall-") else None


def why_no_scope(root: Path = Path("/"), environment: Mapping[str, str] = os.environ) -> str:
    """Try a scope for real and say why there is none; empty where there is one whose limit the kernel shows.

    A manager to which memory was not handed down takes the limit and does nothing, so the kernel's own file is read.
    """
    if shutil.which("systemd-run", path=environment.get("PATH")) is None:
        return "there is no systemd-run"
    if not environment.get("XDG_RUNTIME_DIR") and not environment.get("DBUS_SESSION_BUS_ADDRESS"):
        return "this session has no service manager of its own (XDG_RUNTIME_DIR is not set)"
    return _why_not(root) if environment is os.environ else _try(root, environment)


@cache
def _why_not(root: Path) -> str:
    return _try(root, os.environ)


def _try(root: Path, environment: Mapping[str, str]) -> str:
    command = [*scope_command(_PROBE_BYTES), "/bin/sh", "-c", "cat /proc/self/cgroup"]
    ended = _run(command, environment)
    if isinstance(ended, str):
        return ended
    path = next((line.removeprefix("0::") for line in ended.stdout.splitlines() if line.startswith("0::")), "")
    # The scope is gone with its process; what was handed down to it stands in the group above.
    above = (root / "sys/fs/cgroup" / path.lstrip("/")).parent
    try:
        handed_down = (above / "cgroup.subtree_control").read_text(encoding="ascii").split()
    except OSError:
        handed_down = []
    if ".scope" not in path or "memory" not in handed_down:
        return "the service manager makes scopes, but memory is not handed down to it"
    return ""


def _run(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str] | str:
    """Run a command, or say in words why it cannot be."""
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PROBE_SECONDS, env=dict(environment)
        )
    except subprocess.TimeoutExpired:
        return f"the service manager did not answer within {PROBE_SECONDS:.0f} s"
    except OSError as error:
        return f"systemd-run cannot be started ({error.strerror})"
    if ended.returncode:
        said = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[0]
        return f"the service manager refuses ({said[:120]})"
    return ended


def limit_shown(group: MemoryGroup) -> int | None:
    """Read the limit the kernel holds a scope to; None where it holds it to none."""
    return read_number(group.folder / "memory.max")
