"""Work outside a run folder, on tables that are not ours: the same plan, child, fence and meter as a stage."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.budget.check import check_plans, check_temporary_folder
from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.budget.meter import Timeline
from seawall.errors import SeawallError, StageError
from seawall.pipeline.lock import run_lock
from seawall.pipeline.look import look_for_task
from seawall.pipeline.manifest import open_folder
from seawall.pipeline.run import Listener
from seawall.pipeline.stages import Unit, parent_share_bytes
from seawall.pipeline.supervise import Job, interrupted, run_job


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work: what the child is told, and how it is planned."""

    name: str
    """A name of :mod:`seawall.pipeline.tasks`."""
    settings: dict[str, Any]
    """Plain JSON values."""
    folder: Path
    """Scratch folder on a real disk; locked while the task runs; left only where the same command can go on from it."""
    plan: Callable[[dict[str, Any], int], StagePlan]
    """From what a look at the sources found, and the bytes the child may use."""


def run_task(task: Task, budget: Budget, listener: Listener, command: str) -> dict[str, Any]:
    """Look, plan, refuse or run.

    Returns
    -------
    dict
        ``summary`` of the work, and what was projected and measured.

    Raises
    ------
    SeawallError
        BudgetError before anything is written; else the child's own error, or how it ended.
    """
    parent_bytes = parent_share_bytes()
    share_bytes = budget.bytes - parent_bytes
    check_temporary_folder(task.folder)
    open_folder(task.folder)
    with run_lock(task.folder):
        try:
            found = look_for_task(f"look {task.name}", task.settings, task.folder, budget.bytes, command)
            plan = task.plan(found, share_bytes)
            check_plans([plan], budget.bytes, parent_bytes=parent_bytes, folder=task.folder)
            listener.planned([plan], budget)
            unit = Unit(task.name, None)
            listener.started(unit, plan)
            job = Job(
                name=task.name,
                request={"task": task.name, "settings": task.settings, "run": str(task.folder), "knobs": plan.neutral},
                plan=plan,
                declared_bytes=budget.bytes,
                parent_bytes=parent_bytes,
                command=command,
            )
            with Timeline(task.folder / "memory.csv") as timeline:
                result = run_job(job, task.folder, timeline, lambda beat, high: listener.sampled(unit, beat, high))
        except KeyboardInterrupt as stop:
            raise interrupted(command, stop) from None
        except StageError:
            raise  # a killed child: what it has sorted is kept, for the same command to go on from
        except SeawallError:
            shutil.rmtree(task.folder, ignore_errors=True)
            raise
        shutil.rmtree(task.folder, ignore_errors=True)
    record = result | {
        "stage": task.name,
        "declared_bytes": budget.bytes,
        "projected_private_bytes": plan.projected_private_bytes,
        "projected_cgroup_bytes": plan.projected_cgroup_bytes,
    }
    listener.finished(unit, record)
    return record
