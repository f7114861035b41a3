"""How processes of this package speak to Ray: token always, no statistics sent, nothing printed."""

import os
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seawall.errors import ConfigError
from seawall.pipeline.cluster.config import ClusterConfig

OBJECT_STORE_BYTES = 75 * 1024 * 1024
"""The smallest that Ray takes: paths and small records travel, never arrays."""

WORKER_BYTES = 96 * 1024 * 1024
"""What a worker of Ray's holds beside a unit's process: 60 MiB measured with Ray imported, 15-20 of this package."""

DRIVER_BYTES = 64 * 1024 * 1024
"""The process that speaks to the cluster: 43 MiB measured, and the orders of a thousand units."""

INSTALL = "pip install 'seawall[cluster]'"


def ray_module(name: str = "ray") -> Any:  # noqa: ANN401 - types are checked whether Ray is installed or not
    """Import a module of Ray's: the driver and the workers alone ever call this."""
    return import_module(name)


def require_engine() -> None:
    """Find the engine without importing it.

    Raises
    ------
    ConfigError
        Where it is not installed, with the line that installs it.
    """
    if find_spec("ray") is None:
        raise ConfigError(
            "cluster", "the library this needs is not installed", found="no ray", do=f"Install it: {INSTALL}."
        )


def token_path(given: Path | None) -> Path:
    """Give the place of the token: as given, else where Ray is told to look, else where it keeps its own."""
    return (given or Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token"))).expanduser()


def token_of(config: ClusterConfig) -> Path:
    """Find the token of a cluster.

    Raises
    ------
    ConfigError
        Where there is none, it is empty, or others may read it.
    """
    path = token_path(config.token_file)
    do = "Copy it from the head's machine, or make one there: seawall cluster token."
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"token {path}", "cannot be read", found=found, do=do) from error
    if not text:
        raise ConfigError(f"token {path}", "is empty", do=do)
    if mode & 0o077:
        found, do = f"mode {mode & 0o777:03o}", f"chmod 600 {path}"
        raise ConfigError(f"token {path}", "others than its owner may read it", found=found, do=do)
    return path


def engine_environment(token: Path, address: str) -> dict[str, str]:
    """Give what the environment of a process that speaks to the engine, or starts a node of it, must hold.

    The memory monitor is off: it counts what other processes hold against ours and kills by a share of the machine;
    each unit has a fence and a meter of its own. Units have the priority they have without the engine, which would put
    them behind everything else on a machine that is shared.
    """
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token.absolute()),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_worker_niceness": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        # Ray keeps a node to the loopback with this switch alone, named after the systems it was made for.
        **({"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"} if is_loopback(address) else {}),
    }


def is_loopback(address: str) -> bool:
    """Tell whether an address, with a port or without, is this machine's alone."""
    host = address.rpartition(":")[0] if address.count(":") == 1 else address
    return host in ("127.0.0.1", "localhost", "::1")


def address_of(config: ClusterConfig) -> str:
    """Give the head's address; ``auto`` is the cluster that a node on this machine belongs to.

    Raises
    ------
    ConfigError
        Where no node runs here, or the address is none.
    """
    address = config.address or ""
    if address == "auto":
        noted = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
        with suppress(OSError, UnicodeDecodeError):
            address = os.environ.get("RAY_ADDRESS", "") or noted.read_text(encoding="ascii").strip()
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        return address
    if config.address == "auto":
        do = "Start one: seawall cluster head; or name the head: --cluster HOST:PORT."
        raise ConfigError("--cluster auto", "no node of a cluster runs on this machine", do=do)
    raise ConfigError("cluster.address", "not an address", found=repr(config.address), allowed="HOST:PORT or auto")
