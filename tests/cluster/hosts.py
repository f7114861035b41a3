"""Two hosts on one machine: network namespaces joined by a veth pair, a node of Ray in each, nothing beyond them."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from seawall.pipeline.cluster.engine import OBJECT_STORE_BYTES, engine_environment

PORT = 6379
START_SECONDS = 120


@dataclass(slots=True)
class Host:
    """A network namespace with one address; what runs in it reaches the other host and nothing else."""

    name: str
    address: str
    folder: Path
    token: Path
    cores: "CoreQuota | None" = None
    more_environment: dict[str, str] = field(default_factory=dict)
    sees_groups: bool = False
    """Whether what runs here can look at its control groups, which ``ip netns exec`` hides."""

    def environment(self) -> dict[str, str]:
        """Give the environment of everything that runs here."""
        ours = engine_environment(self.token, self.address)
        return {**os.environ, **ours, "RAY_TMPDIR": str(self.folder), **self.more_environment}

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """Give the command that runs another one here."""
        enter = ["nsenter", f"--net=/run/netns/{self.name}"] if self.sees_groups else ["ip", "netns", "exec", self.name]
        inside = [*enter, *map(str, argv)]
        return inside if self.cores is None else self.cores.command(inside)

    def start_node(self, head: str = "", *, cpus: int = 1, memory_bytes: int = 2 << 30) -> None:
        """Start a node of Ray as ``seawall cluster`` does; ``head`` is the host to join, none makes this the head."""
        which = ["join", f"{head}:{PORT}"] if head else ["head", "--port", str(PORT)]
        options = [
            "--bind",
            self.address,
            "--memory",
            f"{memory_bytes >> 20}MiB",
            "--cpus",
            str(cpus),
            "--token",
            str(self.token),
        ]
        argv = [sys.executable, "-m", "seawall", "cluster", *which, *options, "--folder", str(self.folder)]
        ended = subprocess.run(
            self.command(argv),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def run(self, argv: Sequence[str | Path], timeout: float = 600) -> "subprocess.CompletedProcess[str]":
        """Run a command here to its end."""
        return subprocess.run(
            self.command(argv), env=self.environment(), capture_output=True, text=True, timeout=timeout, check=False
        )

    def popen(self, argv: Sequence[str | Path]) -> "subprocess.Popen[str]":
        """Start a command here."""
        return subprocess.Popen(
            self.command(argv), env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def processes(self, part: str = "") -> list[int]:
        """List what runs here whose command line holds a text."""
        pids = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False).stdout
        return [int(pid) for pid in pids.split() if part in _command_line(int(pid))]

    def kill(self, part: str = "") -> None:
        """Kill -9 what runs here: all of it, or what holds a text."""
        for _ in range(50):
            left = self.processes(part)
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not left:
                return
            time.sleep(0.1)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


@dataclass(slots=True)
class CoreQuota:
    """A CPU control group that holds a host to a number of cores."""

    folder: Path

    def command(self, argv: list[str]) -> list[str]:
        """Give the command that runs another one in the group."""
        return ["/bin/sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh", *argv]

    def hold(self, pids: Sequence[int]) -> None:
        """Put processes that run, and all they start, into the group."""
        put_into(self.folder, pids)

    @property
    def pids(self) -> set[int]:
        """Who is in the group."""
        return {int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()}


def put_into(group: Path, pids: Sequence[int]) -> None:
    """Put processes that run, and all they start, into a control group; one that has ended meanwhile is left out."""
    for pid in pids:
        with suppress(OSError):
            (group / "cgroup.procs").write_text(str(pid))


@contextmanager
def core_quota(name: str, cores: float) -> Iterator[CoreQuota]:
    """Make a CPU group (version 1) with a quota; the test is skipped, with the reason, where that is not allowed."""
    folder, period = Path("/sys/fs/cgroup/cpu", name), 100_000
    try:
        folder.mkdir()
        (folder / "cpu.cfs_period_us").write_text(str(period))
        (folder / "cpu.cfs_quota_us").write_text(str(int(cores * period)))
        (folder / "cpu.shares").write_text("16384")  # what else the machine does must not decide
    except OSError as error:
        pytest.skip(f"no CPU control group can be made: {error}")
    try:
        yield CoreQuota(folder)
    finally:
        for _ in range(50):
            put_into(folder.parent, sorted(CoreQuota(folder).pids))
            with suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.1)


@dataclass(slots=True)
class Pair:
    """The two hosts; the first one is where the head and the run's parent are."""

    first: Host
    second: Host
    hosts: list[Host] = field(init=False)

    def __post_init__(self) -> None:
        self.hosts = [self.first, self.second]


def require_hosts() -> None:
    """Skip, with the reason, where hosts cannot be made."""
    reason = ""
    if find_spec("ray") is None:
        reason = "Ray is not installed: pip install 'seawall[cluster]'"
    elif os.geteuid() != 0 or shutil.which("ip") is None:
        reason = "network namespaces need root and iproute2"
    if reason and os.environ.get("REQUIRE_HOSTS"):
        pytest.fail(reason)  # make test-cluster: what was not tested must not look well
    if reason:
        pytest.skip(reason)


@contextmanager
def two_hosts(folder: Path, network: str = "10.231.7") -> Iterator[Pair]:
    """Make two namespaces joined by a veth pair, without nodes; removed with everything that runs there."""
    require_hosts()
    tag = secrets.token_hex(2)
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    names, links = [f"sw{tag}{side}" for side in "ab"], [f"v{tag}{side}" for side in "ab"]
    addresses = [f"{network}.1", f"{network}.2"]
    made = [Path(f"/tmp/sw{tag}{side}") for side in "ab"]  # short: Ray's sockets are files, whose paths are bounded
    try:
        for name in names:
            _ip("netns", "add", name)
        _ip("link", "add", links[0], "netns", names[0], "type", "veth", "peer", "name", links[1], "netns", names[1])
        for name, link, address in zip(names, links, addresses, strict=True):
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", link)
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", link, "up")
        for place in made:
            place.mkdir()
        pair = Pair(*(Host(*host, token) for host in zip(names, addresses, made, strict=True)))
        try:
            yield pair
        finally:
            for host in pair.hosts:
                host.kill()
    finally:
        for name, place in zip(names, made, strict=True):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
            shutil.rmtree(place, ignore_errors=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


__all__ = ["OBJECT_STORE_BYTES", "Host", "Pair", "core_quota", "put_into", "require_hosts", "two_hosts"]
