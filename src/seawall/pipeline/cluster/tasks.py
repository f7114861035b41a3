"""The parent's side of a job of ``torchrun`` or ``srun``: units go to its tasks through files, without any engine."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seawall.errors import StageError
from seawall.pipeline.cluster.capsule import Capsule, capsules
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.pipeline.cluster.crew import CONNECT_SECONDS
from seawall.pipeline.cluster.gang import verdict, with_restarts
from seawall.pipeline.cluster.hand import BEAT_SECONDS, LOOK_SECONDS, STOP_SECONDS, Hand, Task, read, tasks_folder
from seawall.pipeline.stages import Unit
from seawall.stores.atomic import write_json
from seawall.train.gang import LAST_WORDS_SECONDS, MOST_RESTARTS

SILENT_SECONDS = 20.0
"""A task that has not changed its file for so long is lost: it does so every second."""

LEAVE_SECONDS = 5.0
"""What tasks get to see that all is over."""


@dataclass(slots=True)
class _Seen:
    """What is known of one task."""

    number: int
    told: dict[str, Any] = field(default_factory=dict)
    changed_seconds: float = 0.0
    """When its file was last seen to change; 0 where never, as the file may be an earlier job's."""
    busy_with: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether it has been seen to change lately."""
        return bool(self.changed_seconds) and time.monotonic() - self.changed_seconds < SILENT_SECONDS


@dataclass(slots=True)
class _Start:
    """One order, and the tasks that are at it, a rank each."""

    order: dict[str, Any]
    at: list[_Seen] = field(default_factory=list)
    ends: dict[int, dict[str, Any]] = field(default_factory=dict)
    num_starts: int = 0
    causes: list[str] = field(default_factory=list)
    deadline_seconds: float = float("inf")

    @property
    def num_ranks(self) -> int:
        """Tasks it takes at once."""
        return int(self.order["num_ranks"])

    @property
    def label(self) -> str:
        """Name of the present start among all."""
        return f"{self.order['name']}/{self.num_starts}"


@dataclass(slots=True)
class TaskCrew:
    """Speaks to the tasks of one job, this process being the first of them."""

    config: ClusterConfig
    run: Path
    """Run folder, on a file system that all tasks see."""
    nodes: list[dict[str, Any]] = field(default_factory=list)
    units_at_once: int | None = 1
    """A task does one unit at a time, with all of what ``--memory`` says."""
    _seen: list[_Seen] = field(default_factory=list)
    _starts: dict[str, _Start] = field(default_factory=dict)
    _own: "subprocess.Popen[bytes] | None" = None
    _num_beats: int = 0
    _next_beat: float = 0.0

    def __enter__(self) -> "TaskCrew":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Find this process's place in the job; raises ConfigError where it has none."""
        Task.here()

    def start(self) -> None:
        """Nothing is gained by being early: the tasks wait by themselves."""

    def connect(self, wait_seconds: float = CONNECT_SECONDS) -> None:
        """Start this machine's own hand, and wait until every task of the job was seen to live.

        Raises
        ------
        StageError
            Where some were not in time.
        """
        task = Task.here()
        tasks_folder(self.run).mkdir(parents=True, exist_ok=True)
        self._seen = [_Seen(number) for number in range(task.num_tasks)]
        self._own = subprocess.Popen(
            [sys.executable, "-P", "-m", "seawall.pipeline.cluster.tasks", str(os.getpid()), str(self.run)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + wait_seconds
        while not all(seen.is_alive for seen in self._seen):
            if time.monotonic() > deadline:
                missing = ", ".join(str(seen.number) for seen in self._seen if not seen.is_alive)
                what, do = f"tasks did not come within {wait_seconds:.0f} s", "Start the same command in every task."
                raise StageError("tasks", what, found=missing, do=do)
            self._look()
            time.sleep(LOOK_SECONDS)

    @property
    def is_alive(self) -> bool:
        """Tell whether the job's tasks were met."""
        return self._own is not None

    def order(self, order: dict[str, Any]) -> None:
        """Take an order; it begins once enough tasks are free."""
        if order["order"] == "begin":
            self._starts[order["name"]] = _Start(order)
        elif order["name"] in self._starts:
            self._release(self._starts.pop(order["name"]))

    def news(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Give what became of orders within some time."""
        deadline = time.monotonic() + seconds
        while True:
            if self._look():
                yield {"news": "nodes", "nodes": self.nodes}
            for name, start in list(self._starts.items()):
                if not start.at:
                    self._begin(start)
                elif (end := self._end(start)) is not None:
                    del self._starts[name]
                    yield {"news": "ended", "name": name, **end}
            if time.monotonic() >= deadline:
                return
            time.sleep(LOOK_SECONDS)

    def _look(self) -> bool:
        """Show that this process lives, see who else does, and hear how units ended; True where tasks came or went."""
        folder, now = tasks_folder(self.run), time.monotonic()
        if now >= self._next_beat:
            self._num_beats, self._next_beat = self._num_beats + 1, now + BEAT_SECONDS
            write_json(folder / "parent.json", {"beat": self._num_beats, "over": []})
        for seen in self._seen:
            told = read(folder / f"{seen.number}.json")
            if told and seen.told and told != seen.told:
                seen.changed_seconds = now
            seen.told = told or seen.told
            end = read(folder / f"{seen.number}.end.json")
            if end and (end["nonce"], end["name"]) == (seen.told.get("nonce"), seen.busy_with):
                self._heard(seen, end["end"])
        nodes = [
            {"id": str(seen.number), "address": seen.told["address"], "cpus": seen.told["cpus"], "gpus": 0.0,
             "memory_bytes": 1 << 62}
            for seen in self._seen if seen.is_alive
        ]  # fmt: skip
        is_news, self.nodes = nodes != self.nodes, nodes
        return is_news

    def _heard(self, seen: _Seen, end: dict[str, Any]) -> None:
        for start in self._starts.values():
            if seen in start.at and seen.busy_with == start.label:
                rank = start.at.index(seen)
                if rank not in start.ends:
                    start.ends[rank] = end

    def _begin(self, start: _Start) -> None:
        """Give an order to tasks that are free, as many as it has ranks; avoided ones only where there is no other."""
        free = [seen for seen in self._seen if seen.is_alive and not seen.busy_with]
        avoid = set(start.order["avoid"])
        free.sort(key=lambda seen: (seen.told["address"] in avoid, seen.number))
        if len(free) < start.num_ranks:
            return
        start.at, start.ends, start.deadline_seconds = free[: start.num_ranks], {}, float("inf")
        start.num_starts += 1
        assignment = dict(start.order["assignment"])
        if start.num_ranks > 1:
            node = {"address": start.at[0].told["address"]}
            assignment["capsule"] = str(Capsule(self.run.absolute(), Unit(**assignment["unit"])).take_over(node))
        for rank, seen in enumerate(start.at):
            seen.busy_with = start.label
            own = assignment | ({"rank": rank} if start.num_ranks > 1 else {})
            self._tell(seen, {"name": start.label, "assignment": own})

    def _end(self, start: _Start) -> dict[str, Any] | None:
        """Give how an order ended, or None while it runs; ranks of which one was lost are all begun again."""
        for rank, seen in enumerate(start.at):
            if not seen.is_alive and rank not in start.ends:
                start.ends[rank] = {"lost": f"task {seen.number} on {seen.told['address']} is silent"}
        now = time.monotonic()
        if any("record" not in end for end in start.ends.values()):
            start.deadline_seconds = min(start.deadline_seconds, now + LAST_WORDS_SECONDS)
        if len(start.ends) < start.num_ranks and now < start.deadline_seconds:
            return None
        end = start.ends[0] if start.num_ranks == 1 else verdict(start.ends, start.num_ranks)
        self._release(start)
        if "lost" in end and start.num_ranks > 1 and len(start.causes) < MOST_RESTARTS:
            start.causes.append(end["lost"])
            return None
        return with_restarts(end, [{"cause": cause} for cause in start.causes])

    def _release(self, start: _Start) -> None:
        for seen in start.at:
            seen.busy_with = ""
            self._tell(seen, {"name": ""})
        start.at = []

    def _tell(self, seen: _Seen, order: dict[str, Any]) -> None:
        path = tasks_folder(self.run) / f"{seen.number}.order.json"
        write_json(path, {"nonce": seen.told.get("nonce", ""), **order})

    def close(self, *, in_order: bool = True) -> None:
        """Let every task go home; units that run are ended first."""
        own, self._own = self._own, None
        if own is None:
            return
        over = [seen.told.get("nonce", "") for seen in self._seen]
        write_json(tasks_folder(self.run) / "parent.json", {"beat": self._num_beats + 1, "over": over})
        try:
            own.wait(STOP_SECONDS if in_order else 0.0)
        except subprocess.TimeoutExpired:
            own.kill()
            own.wait()
        deadline = time.monotonic() + LEAVE_SECONDS
        while list(tasks_folder(self.run).glob("[0-9]*.json")) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        shutil.rmtree(tasks_folder(self.run), ignore_errors=True)
        with suppress(OSError):
            capsules(self.run).rmdir()


def lend_a_hand(run: Path, config: ClusterConfig, task: Task) -> None:
    """Work for the first task until it ends; raises StageError where it is not seen for long."""
    Hand(run, task, config.wait_seconds).work()


def main(arguments: Sequence[str]) -> int:
    """Be the hand of the first task itself, as a process that ends with it."""
    from seawall.budget.beginning import die_with_parent

    die_with_parent(int(arguments[0]))
    lend_a_hand(Path(arguments[1]), ClusterConfig(), Task.here())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
