"""Start and stop a node of Ray: with a token, a named address, a small object store, no dashboard, no statistics."""

import os
import secrets
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seawall.budget.environment import available_cores
from seawall.errors import ConfigError, StageError
from seawall.pipeline.cluster.engine import OBJECT_STORE_BYTES, engine_environment, is_loopback, require_engine

PORT = 6379
LOOPBACK = "127.0.0.1"
START_SECONDS = 180.0


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
    _start(node, ["--head", "--port", str(node.port), "--include-dashboard=false"])
    return f"{node.bind}:{node.port}"


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


def stop_node(token: Path, bind: str) -> None:
    """End every process of Ray on this machine."""
    require_engine()
    environment = {**os.environ, **engine_environment(token, bind)}
    argv = [sys.executable, "-P", "-m", "ray.scripts.scripts", "stop"]
    subprocess.run(argv, env=environment, capture_output=True, check=False, timeout=START_SECONDS)
