"""Folds of a stage beside one another: on this machine as many as fit, or on the nodes of a cluster."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from seawall.budget.meter import Timeline
from seawall.pipeline.cluster.config import CAPSULES
from seawall.pipeline.executor import Executor, Todo
from seawall.pipeline.side_by_side import PlanFor, SideBySide, seats_of
from seawall.pipeline.stages import Unit
from seawall.pipeline.unit import Done, Seat, UnitRun
from seawall.units import format_bytes

if TYPE_CHECKING:
    from seawall.pipeline.cluster.crew import Crew


def fan_out(
    work: UnitRun, todo: Sequence[Todo], plan_for: PlanFor, timeline: Timeline, crew: "Crew | None"
) -> set[Unit]:  # fmt: skip
    """Do what can be done beside one another, and give it; the rest is to be done in order, with all the memory.

    Parameters
    ----------
    work
        What every unit is done with; its listener is told by several threads.
    crew
        A cluster's; None: this machine's own processes.
    """
    was_on_nodes = (work.config.output / CAPSULES).is_dir()
    finished = {one[0] for one in todo if was_on_nodes and _was_finished(work, one)}
    todo = [one for one in todo if one[0] not in finished]
    units = [unit for unit, _ in todo]
    if not todo:
        return finished
    if crew is not None and work.config.train is not None and work.config.train.warm_start:
        work.listener.noted("cluster: folds that begin where the last one ended follow one another on this machine")
        crew = None
    executor = _local(work, units, plan_for, timeline) if crew is None else _on_cluster(work, plan_for, timeline, crew)
    if executor is None:
        return finished
    again = {unit for unit, _ in executor.run(todo)}
    if crew is not None:
        _remove_left(work, units[0].stage)
    for unit in again:
        work.listener.noted(f"{unit.name}: died beside others; done again alone, with the whole budget")
    return finished | set(units) - again


def _was_finished(work: UnitRun, one: Todo) -> bool:
    """Publish a unit that a node finished when nobody was there to hear it."""
    from seawall.pipeline.cluster.capsule import Capsule

    unit, key = one
    capsule = Capsule(work.config.output.absolute(), unit)
    record = capsule.finished(key)
    if record is None:
        return False
    capsule.publish(record, work.config.panel_path)
    work.keep(unit, record)
    capsule.remove()
    return True


def _local(work: UnitRun, units: Sequence[Unit], plan_for: PlanFor, timeline: Timeline) -> Executor | None:
    """Give the pool of this machine's processes; None where units have to follow one another."""
    if (work.config.output / CAPSULES).is_dir():
        from seawall.pipeline.cluster.capsule import give_back

        give_back(work.config.output.absolute(), units)
    room_bytes = work.budget.bytes - work.parent_bytes
    number = seats_of(work.config, units, plan_for, room_bytes)
    if number < 2:
        return None
    what = "folds" if len({unit.member for unit in units}) == 1 else "models"
    share = format_bytes(room_bytes // number)
    work.listener.noted(f"{units[0].stage}: {number} {what} side by side, {share} each")

    def do(unit: Unit, key: str, seat: Seat) -> Done:
        return work.tried(unit, key, partial(plan_for, unit), timeline, seat)

    return SideBySide(work.config.output, number, room_bytes, do, work.record)


def _on_cluster(work: UnitRun, plan_for: PlanFor, timeline: Timeline, crew: "Crew") -> Executor:
    from seawall.pipeline.cluster.pool import ClusterPool

    if not crew.is_alive:
        crew.connect()
    return ClusterPool(work, crew, timeline, plan_for)


def _remove_left(work: UnitRun, stage: str) -> None:
    """Remove what is left of starts that were given up, once every unit of the stage is done."""
    capsules = work.config.output / CAPSULES
    for path in capsules.glob(f"{stage}.*"):
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        capsules.rmdir()
