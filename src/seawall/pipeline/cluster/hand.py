"""One task of ``torchrun`` or ``srun`` that lends a hand: it takes units from files in the run folder, one at a time.

The run's parent and the tasks share nothing but that folder: no port is opened but those of the ranks themselves.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seawall.budget.beginning import die_with_parent
from seawall.budget.environment import available_cores
from seawall.errors import ConfigError, StageError
from seawall.pipeline.cluster.capsule import capsules
from seawall.pipeline.cluster.node import do_assignment
from seawall.stores.atomic import write_json

LOOK_SECONDS = 0.1
BEAT_SECONDS = 1.0
STOP_SECONDS = 25.0
"""What a unit gets to end in order: its child is given 20 seconds."""


@dataclass(frozen=True, slots=True)
class Task:
    """The place of this process among the tasks of a job."""

    number: int
    num_tasks: int
    address: str
    """Of this machine, as the others reach it."""

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> "Task":
        """Read it from what ``torchrun`` or ``srun`` has set.

        Raises
        ------
        ConfigError
            Where neither has started this process.
        """
        for number, total, first in (
            ("RANK", "WORLD_SIZE", "MASTER_ADDR"),
            ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LAUNCH_NODE_IPADDR"),
        ):
            if number in environment and total in environment:
                return cls(int(environment[number]), int(environment[total]), address_towards(environment.get(first)))
        do = "Start it with torchrun or srun, as docs/guide/cluster.md shows."
        raise ConfigError(
            "--cluster tasks", "this process is no task of a job", found="no RANK, no SLURM_PROCID", do=do
        )


def address_towards(host: str | None) -> str:
    """Give the address of the interface from which packets to a host would leave; none is sent."""
    if host is not None:
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
    return socket.gethostbyname(socket.gethostname())


def tasks_folder(run: Path) -> Path:
    """Give the folder through which the tasks of a job talk."""
    return capsules(run) / "tasks"


@dataclass(slots=True)
class Hand:
    """Takes orders of the run's parent until it says that all is over."""

    run: Path
    task: Task
    wait_seconds: float
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))
    """Told apart from a task of the same number in an earlier job."""
    _name: str = ""
    _worker: "subprocess.Popen[bytes] | None" = None
    _num_beats: int = 0

    def work(self) -> None:
        """Work until the parent ends.

        Raises
        ------
        StageError
            Where nothing has been seen of the parent for longer than is waited.
        """
        folder, next_beat = tasks_folder(self.run), 0.0
        seen, seen_seconds = -1, time.monotonic()
        while True:
            now = time.monotonic()
            if now >= next_beat:
                self._beat(folder)
                next_beat = now + BEAT_SECONDS
            parent = read(folder / "parent.json")
            if parent.get("beat", -1) != seen:
                seen, seen_seconds = parent.get("beat", -1), now
            if self.nonce in parent.get("over", ()):
                self._drop()
                for own in ("json", "order.json", "end.json"):
                    (folder / f"{self.task.number}.{own}").unlink(missing_ok=True)
                return
            if now - seen_seconds > self.wait_seconds:
                self._drop()
                raise StageError(
                    f"task {self.task.number}", f"nothing was seen of task 0 for {self.wait_seconds:.0f} s"
                )
            self._obey(read(folder / f"{self.task.number}.order.json"))
            self._look(folder)
            time.sleep(LOOK_SECONDS)

    def _beat(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._num_beats += 1
        told = {"nonce": self.nonce, "beat": self._num_beats, "address": self.task.address, "cpus": available_cores()}
        write_json(folder / f"{self.task.number}.json", told)

    def _obey(self, order: dict[str, Any]) -> None:
        name = str(order.get("name", "")) if order.get("nonce") == self.nonce else ""
        if name == self._name:
            return
        self._drop()
        self._name = name
        if name:
            self._worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "seawall.pipeline.cluster.hand", str(os.getpid()), self.task.address],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            if self._worker.stdin is not None:
                self._worker.stdin.write(json.dumps(order["assignment"]).encode())
                self._worker.stdin.close()

    def _look(self, folder: Path) -> None:
        """Tell how the unit ended, once it has."""
        worker = self._worker
        if worker is None or worker.poll() is None or worker.stdout is None:
            return
        lines = worker.stdout.read().splitlines()
        end = json.loads(lines[-1]) if lines and not worker.returncode else None
        self._worker = None
        told = end or {"lost": f"its process ended with {worker.returncode}"}
        write_json(folder / f"{self.task.number}.end.json", {"nonce": self.nonce, "name": self._name, "end": told})

    def _drop(self) -> None:
        """End the unit that runs, in order where it can."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            worker.send_signal(signal.SIGINT)
            worker.wait(STOP_SECONDS)
        worker.kill()
        worker.wait()


def read(path: Path) -> dict[str, Any]:
    """Read a small JSON file that another process replaces; empty where there is none."""
    with suppress(OSError, ValueError):
        loaded = json.loads(path.read_text(encoding="utf-8"))
        return loaded if isinstance(loaded, dict) else {}
    return {}


def main() -> int:
    """Do the assignment on standard input; how it ended goes to standard output."""
    die_with_parent(int(sys.argv[1]))
    says = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not come between
    try:
        end = do_assignment(json.loads(sys.stdin.read()), sys.argv[2])
    except KeyboardInterrupt:
        end = {"lost": "stopped"}
    with os.fdopen(says, "w", encoding="utf-8") as out:
        out.write(json.dumps(end) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
