"""Folds side by side: as many at once as cores and budget allow, each in its own part of the budget."""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seawall.budget.causes import CAUSES
from seawall.budget.claims import StagePlan
from seawall.budget.environment import available_cores
from seawall.errors import SeawallError
from seawall.pipeline.config import RunConfig
from seawall.pipeline.executor import Todo
from seawall.pipeline.stages import Unit
from seawall.pipeline.unit import Done, Seat

LOOK_SECONDS = 0.1
"""How often the main thread, which signals reach, looks at the units."""

PlanFor = Callable[[Unit, int], StagePlan]
"""Plans a unit for a part of the budget."""


def seats_of(config: RunConfig, units: Sequence[Unit], plan_for: PlanFor, room_bytes: int) -> int:
    """Count the units that may be done at once: 1 where they have to follow one another.

    Each gets an equal part of the budget, and must be planned there as it would be with all of it: a fold that had to
    read its windows from disk for the sake of another would take longer than both in turn.
    """
    if config.train is None or config.train.warm_start or (config.train.device != "cpu" and _has_gpu()):
        return 1
    asked = config.folds_at_once
    each = config.train.threads * config.train.ranks
    most = min(len(units), available_cores() // each if asked == "auto" else asked)
    return most_that_fit(units, plan_for, room_bytes, most)


def most_that_fit(
    units: Sequence[Unit], plan_for: PlanFor, room_bytes: int, most: int, *, beside_bytes: int = 0
) -> int:
    """Count how many units fit a room in equal parts, ``most`` at most, each with ``beside_bytes`` of its own; or 1."""
    alone = [plan_for(unit, room_bytes - beside_bytes) for unit in units] if most > 1 else []
    for number in range(most, 1, -1):
        share_bytes = room_bytes // number - beside_bytes
        plans = [plan_for(unit, share_bytes) for unit in units]
        fits = all(plan.projected_cgroup_bytes <= share_bytes for plan in plans)
        if fits and all(plan.neutral == whole.neutral for plan, whole in zip(plans, alone, strict=True)):
            return number
    return 1


def _has_gpu() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


def side_folders(folder: Path) -> list[Path]:
    """List the folders of small files of units that ran beside another one."""
    return sorted(path for path in folder.glob(".side_[0-9]*") if path.is_dir() and not path.is_symlink())


@dataclass(slots=True)
class SideBySide:
    """Do units in threads of the parent, each of which watches one child; records are written by the main thread.

    A unit that fails keeps others from being begun, and those that run are finished: what they have learnt is kept.

    Parameters
    ----------
    folder
        Run folder; the first seat keeps its small files there, the others below it.
    do
        Does a unit in a seat, and raises as :meth:`seawall.pipeline.unit.UnitRun.tried` does.
    record
        Records a unit that was done.
    """

    folder: Path
    num_seats: int
    room_bytes: int
    do: Callable[[Unit, str, Seat], Done]
    record: Callable[[Done], None]
    _stop: KeyboardInterrupt | None = None
    _ended: list[tuple[Todo, Done | BaseException]] = field(default_factory=list)

    def run(self, todo: Sequence[Todo]) -> list[Todo]:
        """Do all units.

        Returns
        -------
        list
            Units that died of memory in their part of it: they are to be done alone.

        Raises
        ------
        SeawallError
            Of the first unit that failed in another way.
        KeyboardInterrupt
            Once every unit was stopped in order.
        """
        free, waiting = list(self._seats()), list(todo)
        running: dict[int, tuple[threading.Thread, Seat]] = {}
        again, errors = list[Todo](), list[BaseException]()
        try:
            while running or (waiting and not errors):
                while waiting and free and not errors:
                    seat, (unit, key) = free.pop(0), waiting.pop(0)
                    thread = threading.Thread(target=self._work, args=(unit, key, seat), name=unit.name)
                    running[id(thread)] = thread, seat
                    thread.start()
                next(iter(running.values()))[0].join(LOOK_SECONDS)
                over = [name for name, (thread, _) in running.items() if not thread.is_alive()]
                free += [running.pop(name)[1] for name in over]
                self._settle(again, errors)
        except KeyboardInterrupt as stop:
            self._stop = stop
            for thread, _ in running.values():
                thread.join()
            self._settle(again, errors)
            raise
        if errors:
            raise errors[0]  # what a failed unit printed stays in its folder, which the error names
        for path in side_folders(self.folder):
            shutil.rmtree(path, ignore_errors=True)
        return again

    def _seats(self) -> Iterator[Seat]:
        for number in range(self.num_seats):
            folder = self.folder if number == 0 else self.folder / f".side_{number}"
            folder.mkdir(exist_ok=True)
            yield Seat(folder, self.room_bytes // self.num_seats, lambda: self._stop)

    def _work(self, unit: Unit, key: str, seat: Seat) -> None:
        try:
            self._ended.append(((unit, key), self.do(unit, key, seat)))
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self._ended.append(((unit, key), error))

    def _settle(self, again: list[Todo], errors: list[BaseException]) -> None:
        """Record the units that were done, and sort out those that failed."""
        while self._ended:
            todo, end = self._ended.pop(0)
            if isinstance(end, Done):
                self.record(end)
            elif isinstance(end, SeawallError) and end.cause in CAUSES and CAUSES[end.cause].is_memory:
                again.append(todo)
            elif not (isinstance(end, KeyboardInterrupt) and self._stop is not None):
                errors.append(end)
