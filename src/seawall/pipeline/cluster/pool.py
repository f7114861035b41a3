"""Units done on the nodes of a cluster, each from files alone, each published once: the local pool's counterpart."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from seawall.budget.causes import CAUSES
from seawall.budget.check import check_plans
from seawall.budget.claims import StagePlan
from seawall.budget.meter import Timeline
from seawall.errors import BudgetError, ConfigError, SeawallError, StageError
from seawall.pipeline.cluster.assignment import error_of
from seawall.pipeline.cluster.capsule import Capsule
from seawall.pipeline.cluster.crew import Crew
from seawall.pipeline.cluster.engine import WORKER_BYTES
from seawall.pipeline.cluster.follow import Follower
from seawall.pipeline.cluster.orders import Ask, Orders
from seawall.pipeline.executor import Todo
from seawall.pipeline.journal import log_event
from seawall.pipeline.side_by_side import most_that_fit
from seawall.pipeline.stages import FOLD_STAGES, Unit
from seawall.pipeline.unit import UnitRun

LOOK_SECONDS = 0.25
"""How often the small files of running units are looked at."""

SETTLE_SECONDS = 5.0
"""Between two starts of a unit that every node has been too full for."""

YOUNG_SECONDS = 60.0
"""A unit is not called slow before this: a median of short units says little."""

PlanFor = Callable[[Unit, int], StagePlan]


@dataclass(slots=True)
class Task:
    """One unit on its way."""

    unit: Unit
    key: str
    capsule: Capsule
    follower: Follower
    start: int = 0
    num_lost: int = 0
    is_whole: bool = False
    """It has a node to itself: it died of memory beside others."""
    avoid: set[str] = field(default_factory=set)
    begun_seconds: float = 0.0
    """When a node was first seen at it, in this start; 0 before."""
    not_before_seconds: float = 0.0
    is_out: bool = False
    """An order for it is with the cluster."""

    @property
    def name(self) -> str:
        """Name of this start."""
        return f"{self.unit.name}#{self.start}"


@dataclass(slots=True)
class ClusterPool:
    """Do units on a cluster; the main thread alone publishes and records."""

    work: UnitRun
    crew: Crew
    timeline: Timeline
    plan_for: PlanFor
    orders: Orders = field(init=False)
    _tasks: dict[str, Task] = field(default_factory=dict)
    _took: list[float] = field(default_factory=list)
    _last_life_seconds: float = field(default_factory=time.monotonic)

    def run(self, todo: Sequence[Todo]) -> list[Todo]:
        """Do all units; none is left over.

        Raises
        ------
        SeawallError
            Of the first unit that failed for a reason of its own; BudgetError where it fits no node; StageError where
            nodes were lost too often, or none is there any more.
        KeyboardInterrupt
            Once every unit was stopped in order; the caller closes the crew.
        """
        self.orders = self._share([unit for unit, _ in todo])
        for unit, key in todo:
            self._take(unit, key)
        errors: list[SeawallError] = []
        while self._tasks and not (errors and not self._runs()):
            try:
                self._turn(begins=not errors)
            except SeawallError as error:
                errors.append(error)
                self._withdraw()
        if errors:
            raise errors[0]
        return []

    def _share(self, units: Sequence[Unit]) -> Orders:
        """Say what a unit asks of a node: an equal part where several fit, as on one machine."""
        config, budget_bytes = self.work.config, self.work.budget.bytes
        train, stage = config.train, units[0].stage
        threads = train.threads if train is not None and stage in FOLD_STAGES else 1
        num_ranks = train.ranks if train is not None and stage == "train" else 1
        most_cpus = int(max(node["cpus"] for node in self.crew.nodes))
        if most_cpus < threads:
            what, do = "no node has the CPUs of one unit", "Start nodes with more, or set train.threads lower."
            raise ConfigError("cluster", what, found=f"{most_cpus} at most", allowed=f"{threads} or more", do=do)
        beside_bytes, asked = num_ranks * WORKER_BYTES, config.folds_at_once
        check_plans(
            [self.plan_for(unit, budget_bytes - beside_bytes) for unit in units],
            budget_bytes,
            parent_bytes=beside_bytes,
        )
        most = self.crew.units_at_once or max(1, most_cpus // (threads * num_ranks))
        most = min(most, len(units) if asked == "auto" else asked)
        seats = most_that_fit(units, self.plan_for, budget_bytes, most, beside_bytes=beside_bytes)
        orders = Orders(self.work, Ask(cpus=threads, num_ranks=num_ranks, seats=seats), self.crew.config)
        orders.require_room(self.crew.nodes)
        return orders

    def _take(self, unit: Unit, key: str) -> None:
        """Make the capsule of a unit."""
        capsule = Capsule(self.work.config.output.absolute(), unit)
        plan = self.plan_for(unit, self.orders.room_bytes())
        task = Task(unit, key, capsule, Follower(self.work, self.timeline, unit, capsule, plan))
        capsule.prepare()
        self._tasks[unit.name] = task

    def _turn(self, *, begins: bool) -> None:
        """Give orders, hear news, look at the files of units that run."""
        now = time.monotonic()
        for task in list(self._tasks.values()):
            if begins and not task.is_out and now >= task.not_before_seconds:
                self._begin(task)
        for news in self.crew.news(LOOK_SECONDS):
            if news["news"] == "nodes":
                self._note(f"cluster: {len(news['nodes'])} nodes")
            elif news["news"] == "ended":
                self._ended(news)
        if not self.crew.is_alive:
            self._reconnect()
        for task in self._tasks.values():
            self._follow(task)
        if self._runs():
            self._last_life_seconds = now
        elif now - self._last_life_seconds > self.crew.config.wait_seconds:
            what = f"no unit was begun for {self.crew.config.wait_seconds:.0f} s"
            raise StageError("cluster", what, found=f"{len(self.crew.nodes)} nodes", do=self.work.command)

    def _runs(self) -> bool:
        return any(task.is_out and task.begun_seconds for task in self._tasks.values())

    def _begin(self, task: Task) -> None:
        task.start += 1
        task.is_out, task.begun_seconds = True, 0.0
        task.follower.restart()
        log_event(self.work.config.output, "started", task.unit.name, change=f"start {task.start} on the cluster")
        self.crew.order(self.orders.begin(task.name, task.unit, task.key, task.avoid, is_whole=task.is_whole))

    def _ended(self, news: dict[str, Any]) -> None:
        task = self._tasks.get(news["name"].rpartition("#")[0])
        if task is None or news["name"] != task.name:
            return  # a start that was given up: its folder is another's now
        task.is_out = False
        if "record" in news:
            self._took.append(time.monotonic() - (task.begun_seconds or time.monotonic()))
            self._publish(task, news["record"])
            del self._tasks[task.unit.name]
        elif "error" in news:
            self._failed(task, error_of(news["error"]), news)
        elif "failed" in news:
            what = "failed on a node in a way that was not foreseen"
            raise StageError(task.unit.name, what, found=news["failed"], do=f"Continue with: {self.work.command}")
        else:
            self._again(task, f"was lost on {self._place(task)} ({news['lost']})")

    def _failed(self, task: Task, error: SeawallError, news: dict[str, Any]) -> None:
        is_memory = error.cause in CAUSES and CAUSES[error.cause].is_memory
        log_event(self.work.config.output, "failed", task.unit.name, str(error), cause=error.cause)
        if isinstance(error, BudgetError):
            task.avoid.add(news["node"])
            self._again(task, f"node {news['node']} has no room for it ({error.found})")
        elif error.cause in ("terminated", "parent-lost"):
            self._again(task, f"was ended on {self._place(task)}")
        elif is_memory and not task.is_whole and self.orders.can_be_whole:
            task.is_whole = True
            self._note(f"{task.unit.name}: died beside others; done again with a node to itself")
        else:
            raise error

    def _again(self, task: Task, why: str) -> None:
        """Begin a unit again, elsewhere where that is known to help.

        Raises
        ------
        StageError
            Where that was done often enough.
        """
        task.num_lost += 1
        task.begun_seconds = 0.0
        most = self.crew.config.retries
        if task.num_lost > most:
            do = f"What was finished is kept. Continue with: {self.work.command}"
            raise StageError(task.unit.name, f"{why}, the last of {task.num_lost} starts", do=do)
        if task.avoid >= {node["address"] for node in self.crew.nodes}:
            task.avoid.clear()
            task.not_before_seconds = time.monotonic() + SETTLE_SECONDS
        self._note(f"{task.unit.name}: {why}; begun again ({task.num_lost} of {most})")

    def _publish(self, task: Task, record: dict[str, Any]) -> None:
        """Move a finished unit's files to their places and record it: the one place where that is done."""
        task.follower.look()
        task.capsule.publish(record, self.work.config.panel_path)
        self.work.keep(task.unit, record)
        task.capsule.remove()

    def _follow(self, task: Task) -> None:
        if not task.is_out:
            return
        node, now = task.follower.look(), time.monotonic()
        if node and not task.begun_seconds:
            task.begun_seconds = now
        if not task.begun_seconds:
            return
        silent, limit = task.follower.silent_seconds, self.crew.config.silent_seconds
        if silent > limit:
            self._move(task, f"has told nothing for {silent:.0f} s on {self._place(task)}")
        elif self._is_slow(task, now):
            self._move(task, f"is slow on {self._place(task)}")

    def _is_slow(self, task: Task, now: float) -> bool:
        """Tell whether a unit takes far longer than others while another node stands idle."""
        if len(self._took) < 2 or any(not other.begun_seconds for other in self._tasks.values()):
            return False
        usual = max(YOUNG_SECONDS, self.crew.config.slow_factor * median(self._took))
        busy = {str(other.follower.node.get("address")) for other in self._tasks.values()}
        return now - task.begun_seconds > usual and any(node["address"] not in busy for node in self.crew.nodes)

    def _move(self, task: Task, why: str) -> None:
        self.crew.order({"order": "cancel", "name": task.name})
        task.avoid.add(str(task.follower.node.get("address")))
        task.is_out = False
        self._again(task, why)

    def _withdraw(self) -> None:
        """Take back what no node has begun: a unit has failed, those that run are finished."""
        for name, task in list(self._tasks.items()):
            if not task.begun_seconds or not task.is_out:
                self.crew.order({"order": "cancel", "name": task.name})
                del self._tasks[name]

    def _reconnect(self) -> None:
        """Reach the head again where it was lost; units that ran are begun again, and go on from their checkpoints."""
        self._note("cluster: the connection to its head was lost; waiting for it to come back")
        self.crew.close(in_order=False)
        self.crew.connect(self.crew.config.wait_seconds)
        self._last_life_seconds = time.monotonic()
        for name, task in list(self._tasks.items()):
            record = task.capsule.finished(task.key)
            if record is not None:
                self._publish(task, record)
                del self._tasks[name]
            elif task.is_out:
                task.is_out = False
                self._again(task, "was lost with the cluster's head")

    def _place(self, task: Task) -> str:
        return f"node {task.follower.node.get('address', 'unknown')}"

    def _note(self, text: str) -> None:
        log_event(self.work.config.output, "noted", error=text)
        self.work.listener.noted(text)
