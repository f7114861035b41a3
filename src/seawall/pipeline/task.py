"""Work outside a run folder, on tables that are not ours: the same plan, child, fence and meter as a stage."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.budget.check import check_temporary_folder
from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.pipeline.alone import Means, work_alone
from seawall.pipeline.lock import run_lock
from seawall.pipeline.look import look_for_task
from seawall.pipeline.manifest import open_folder
from seawall.pipeline.run import Listener
from seawall.pipeline.supervise import interrupted


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
    means = Means(budget, listener, command)
    check_temporary_folder(task.folder)
    open_folder(task.folder)
    with run_lock(task.folder):
        try:
            found = look_for_task(f"look {task.name}", task.settings, task.folder, budget.bytes, command)
            plan = task.plan(found, means.share_bytes)
            request = {"task": task.name, "settings": task.settings, "run": str(task.folder)}
            return work_alone(task.name, request, plan, means, task.folder, place=task.folder)
        except KeyboardInterrupt as stop:
            raise interrupted(command, stop) from None
        finally:
            shutil.rmtree(task.folder, ignore_errors=True)
