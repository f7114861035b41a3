"""One unit done, whatever it takes: planned for the memory there is now, and tried another way if it dies of memory."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from seawall import __version__
from seawall.budget.causes import CAUSES
from seawall.budget.check import check_plans, no_room
from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget, room_now
from seawall.budget.meter import Timeline
from seawall.budget.processes import own_private_bytes
from seawall.errors import SeawallError
from seawall.pipeline.aftermath import goes_on_from, place_of
from seawall.pipeline.config import RunConfig
from seawall.pipeline.journal import log_event
from seawall.pipeline.listener import Listener
from seawall.pipeline.manifest import RunManifest
from seawall.pipeline.stages import FOLD_STAGES, Unit
from seawall.pipeline.supervise import Job, run_job
from seawall.pipeline.tries import ROUNDING, Try, tries

PlanUnit = Callable[[int, int], StagePlan]
"""Plans the unit for a share of the budget and a number of micro-batches."""


def with_ways_on(error: SeawallError, finished: Iterable[str], command: str, unfinished: str = "") -> SeawallError:
    """Add what is finished, what goes on from where, and how to go on, to what is shown of an error."""
    finished = sorted(finished, key=lambda name: (place_of(name.split("/")[0]), name))
    named = ", ".join(finished[:12]) + (f" and {len(finished) - 12} more" if len(finished) > 12 else "")
    safe = f"{len(finished)} units are safe: {named}" if finished else "no unit yet; nothing that was there is lost"
    progress = (("Unfinished", unfinished),) if unfinished else ()
    rows = (*error.rows, ("Finished", safe), *progress, ("Continue with:", command))
    return error.tell(error.headline or f"{error.where}: {error.what}", rows)


def never_stopped() -> KeyboardInterrupt | None:
    """Watch a unit in the main thread, which a signal reaches by itself."""
    return None


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a unit is done: the folder of its small files, its part of the budget, and who may stop it."""

    folder: Path
    room_bytes: int
    asked_to_stop: Callable[[], KeyboardInterrupt | None] = never_stopped


@dataclass(frozen=True, slots=True)
class Done:
    """A unit that was done, and how."""

    unit: Unit
    key: str
    way: Try
    result: dict[str, Any]


@dataclass(frozen=True, slots=True)
class UnitRun:
    """What every unit of a run is done with."""

    config: RunConfig
    budget: Budget
    listener: Listener
    command: str
    manifest: RunManifest
    parent_bytes: int
    join: dict[str, Any] | None = None
    """Where this unit is one rank among others, in processes that others have started."""
    shards: dict[str, Any] | None = None
    """Of a search: how many parts of a sweep others may sum. Of such a part: which ones there are."""

    @property
    def whole(self) -> Seat:
        """The one seat there is where units follow one another."""
        return Seat(self.config.output, self.budget.bytes - self.parent_bytes)

    def do(self, unit: Unit, key: str, plan_for: PlanUnit, timeline: Timeline) -> None:
        """Do a unit and record it; raises what :meth:`tried` does."""
        self.record(self.tried(unit, key, plan_for, timeline, self.whole))

    def tried(self, unit: Unit, key: str, plan_for: PlanUnit, timeline: Timeline, seat: Seat) -> Done:
        """Do a unit, one way or another; nothing is recorded yet.

        Raises
        ------
        SeawallError
            The child's own error; an explanation of its death once every way has died; BudgetError where others have
            left no room.
        """

        def replan(smallest: bool, micro_batches: int) -> StagePlan:
            return plan_for(0 if smallest else self._room_bytes(seat), micro_batches)

        died: list[dict[str, Any]] = []
        ways = tries(replan, can_split_batches=unit.stage in FOLD_STAGES)
        if seat != self.whole:  # what dies beside others is first done again alone, which changes no result
            ways = islice(ways, 1)
        for way in ways:
            try:
                self._check_room(way.plan, seat)
                result = self._run_once(unit, way, timeline, seat)
            except SeawallError as error:
                last = self._note_death(unit, way, error, died)
                continue
            return Done(unit, key, way, result | {"tries": died})
        raise last

    def _room_bytes(self, seat: Seat) -> int:
        now_bytes = room_now(self.budget.reserve_bytes, own_private_bytes())[1]
        return min(seat.room_bytes, now_bytes - self.parent_bytes)

    def _check_room(self, plan: StagePlan, seat: Seat) -> None:
        """Raise where a plan does not fit the budget, or even its private memory not what others have left."""
        check_plans([plan], self.parent_bytes + seat.room_bytes, parent_bytes=self.parent_bytes)
        rule, room_bytes = room_now(self.budget.reserve_bytes, own_private_bytes())
        if plan.projected_private_bytes + own_private_bytes() > room_bytes:
            raise no_room(plan, rule, room_bytes, self.command)

    def _note_death(self, unit: Unit, way: Try, error: SeawallError, died: list[dict[str, Any]]) -> SeawallError:
        """Put down a way that died of memory, so that another is tried; anything else is raised as it is."""
        log_event(self.config.output, "failed", unit.name, str(error), cause=error.cause)
        rows = [("Tried", f"{number}: {one['change']}: {one['cause']}") for number, one in enumerate(died, 1)]
        error = error.tell(error.headline, [*error.rows, *rows]) if rows else error
        unfinished = goes_on_from(self.config.output, unit.name)
        told = with_ways_on(error, self.manifest.units, self.command, unfinished) if error.rows else error
        if error.cause not in CAUSES or not CAUSES[error.cause].is_memory:
            raise told from None
        died.append(way.record(error.cause, error.headline or str(error)))
        self.listener.noted(f"{error.headline or error}; trying another way, if there is one")
        return told

    def _run_once(self, unit: Unit, way: Try, timeline: Timeline, seat: Seat) -> dict[str, Any]:
        self.listener.started(unit, way.plan)
        if way.change:
            self.listener.noted(f"{unit.name}: again, {way.change}")
        log_event(self.config.output, "started", unit.name, change=way.change)
        job = Job(
            name=unit.name,
            request=self._request(unit, way, seat),
            plan=way.plan,
            declared_bytes=self.budget.bytes,
            parent_bytes=self.parent_bytes,
            room_bytes=seat.room_bytes,
            asked_to_stop=seat.asked_to_stop,
            reserve_bytes=self.budget.reserve_bytes,
            command=self.command,
            reuses_buffers=unit.stage in ("ingest", "train", "predict"),
            one_arena=unit.stage == "ingest",
        )
        try:
            return run_job(job, seat.folder, timeline, lambda beat, high: self.listener.sampled(unit, beat, high))
        except KeyboardInterrupt:
            log_event(self.config.output, "interrupted", unit.name)
            raise

    def record(self, done: Done) -> None:
        """Write the record of a unit that was done: from here on it is finished."""
        self.keep(done.unit, self.record_of(done))

    def keep(self, unit: Unit, record: dict[str, Any]) -> None:
        """Write a record into run.json; a part of a sweep has none, as it is soon part of the search's files."""
        if unit.stage != "sweep":
            self.manifest.finish(unit.name, record)
        log_event(self.config.output, "finished", unit.name)
        self.listener.finished(unit, record)

    def _request(self, unit: Unit, way: Try, seat: Seat) -> dict[str, Any]:
        return {
            "stage": unit.stage,
            "fold": unit.fold,
            "member": unit.member,
            "run": str(self.config.output),
            "config": json.loads(self.config.model_dump_json()),
            "budget_bytes": seat.room_bytes,
            "knobs": way.plan.neutral,
            "knob_bytes": 0 if way.smallest_knobs else self._room_bytes(seat),
            "micro_batches": way.micro_batches,
            "gpu_budget_bytes": self.config.memory.gpu_budget_bytes,
            "join": self.join,
            "shards": self.shards,
        }

    def record_of(self, done: Done) -> dict[str, Any]:
        """Give the record of a unit that was done."""
        unit, way, result = done.unit, done.way, done.result
        refined = result["summary"].pop("plan", None) or way.plan.record()
        kept = (
            "outputs",
            "summary",
            "cpu_seconds",
            "wall_seconds",
            "fence",
            "cgroup_peak_bytes",
            "num_shrinks",
            "read_bytes",
            "tries",
        )
        measured = ("measured_private_bytes", "measured_file_bytes", "parent_private_bytes")
        return {
            "stage": unit.stage,
            "fold": unit.fold,
            **({"member": unit.member} if unit.member else {}),
            "key": done.key,
            "version": __version__,
            "projected_private_bytes": refined["projected_private_bytes"],
            "projected_cgroup_bytes": refined["projected_cgroup_bytes"],
            "declared_bytes": self.budget.bytes,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **{name: result.get(name) for name in (*kept, *measured)},
            **({"micro_batches": way.micro_batches, "equality": ROUNDING} if way.micro_batches > 1 else {}),
        }
