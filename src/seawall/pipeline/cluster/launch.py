"""Start and stop a node of Ray: with a token, a named address, a small object store, no dashboard, no statistics."""

import os
import secrets
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from seawall.budget.environment import available_cores
from seawall.errors import ConfigError, StageError
from seawall.pipeline.cluster.engine import OBJECT_STORE_BYTES, engine_environment, is_loopback, require_engine

PORT = 6379
LOOPBACK = "127.0.0.1"
START_SECONDS = 180.0
STOP_SECONDS = 10.0

RAY_PROCESSES = (
    "/ray/core/src/ray/",
    "/ray/_private/",
    "/ray/autoscaler/_private/",
    "/ray/dashboard/",
    " ray.util.client.server",
    "ray::",
)
"""What the command line of each process of a node holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine's part of a cluster."""

    bind: str = LOOPBACK
    """The address others reach it at; the loopback is reached by this machine alone."""
    memory_bytes: int
    """What units may ask of this node in all."""
    cpus: int | None = None
    token: Path
    port: int = PORT
    folder: Path | None = None
    """For Ray's logs and sockets; its path must be short."""


def make_token(path: Path) -> bool:
    """Make a token for a new cluster, readable by its owner alone; False where there is one, which is kept."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    return True


def start_head(node: Node) -> str:
    """Start a cluster's head, which is a node too; gives its address.

    Raises
    ------
    ConfigError
        Where Ray is not installed, or the address is not this machine's.
    StageError
        Where it does not come up.
    """
    _forget_dead_head(node)
    _start(node, ["--head", "--port", str(node.port), "--include-dashboard=false"])
    return f"{node.bind}:{node.port}"


def _forget_dead_head(node: Node) -> None:
    """Remove the note of a head that was killed here: Ray would not start another one beside it."""
    own = [] if node.folder is None else [node.folder]
    for folder in (*own, Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray")):
        noted = folder / "ray_current_cluster"
        with suppress(OSError):
            if noted.read_text(encoding="ascii").strip() == f"{node.bind}:{node.port}" and not _answers(node):
                noted.unlink()


def _answers(node: Node) -> bool:
    with suppress(OSError), socket.create_connection((node.bind, node.port), timeout=2):
        return True
    return False


def join_head(node: Node, head: str) -> None:
    """Start a node of an existing cluster; raises as :func:`start_head` does."""
    if is_loopback(node.bind):
        what, do = "a node that joins another machine needs an address that machine reaches", "Give --bind ADDRESS."
        raise ConfigError("--bind", what, found=node.bind, do=do)
    _start(node, ["--address", head])


def _start(node: Node, which: list[str]) -> None:
    require_engine()
    _require_own_address(node.bind)
    argv = [
        *(sys.executable, "-P", "-m", "ray.scripts.scripts", "start", *which),
        *("--node-ip-address", node.bind, "--num-cpus", str(node.cpus or available_cores())),
        *("--memory", str(node.memory_bytes), "--object-store-memory", str(OBJECT_STORE_BYTES)),
        *("--disable-usage-stats",),
        *(("--temp-dir", str(node.folder)) if node.folder is not None and "--head" in which else ()),
    ]
    environment = {**os.environ, **engine_environment(node.token, node.bind)}
    try:
        ended = subprocess.run(
            argv, env=environment, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        do = "Check that the head runs and that its address is right."
        raise StageError(f"node {node.bind}", f"did not come up within {START_SECONDS:.0f} s", do=do) from None
    if ended.returncode:
        lines = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
        raise StageError(f"node {node.bind}", "did not start", found=" / ".join(lines[-3:])[:400])


def _require_own_address(address: str) -> None:
    """Refuse an address that is not this machine's, or that stands for all of them."""
    allowed = "an address of one of this machine's interfaces"
    if address in ("0.0.0.0", "::", ""):  # refused, not bound to
        raise ConfigError("--bind", "names no interface", found=repr(address), allowed=allowed)
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((address, 0))
        return
    raise ConfigError("--bind", "not an address of this machine", found=repr(address), allowed=allowed)


def stop_node() -> int:
    """End every process of Ray of this user and this host, in order where they can; gives how many there were.

    A host is a network namespace, so that of several on one machine each is stopped by itself.
    """
    ours = [process for process in psutil.process_iter() if _is_of_ray(process)]
    for process in ours:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(ours, timeout=STOP_SECONDS)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=STOP_SECONDS)
    return len(ours)


def _is_of_ray(process: psutil.Process) -> bool:
    try:
        words = " ".join(process.cmdline())
        is_named = any(part in words for part in RAY_PROCESSES)
        is_here = Path(f"/proc/{process.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()
        return is_named and is_here and process.uids().real == os.getuid() and process.pid != os.getpid()
    except (psutil.Error, OSError):
        return False
