"""One piece of work outside a run folder: told, done in a child behind the fence, measured, recorded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seawall.budget.check import check_plans
from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.budget.meter import Timeline
from seawall.pipeline.listener import Listener
from seawall.pipeline.stages import Unit, parent_share_bytes
from seawall.pipeline.supervise import Job, run_job


@dataclass(frozen=True, slots=True)
class Means:
    """What a piece of work is done with."""

    budget: Budget
    listener: Listener
    command: str
    """The user's own command, for messages that say how to continue."""

    @property
    def share_bytes(self) -> int:
        """What the child may use."""
        return self.budget.bytes - parent_share_bytes()


def work_alone(
    name: str, request: dict[str, Any], plan: StagePlan, means: Means, scratch: Path, *, place: Path
) -> dict[str, Any]:
    """Check the plan, do the work in a child, and record what it needed.

    Parameters
    ----------
    request
        What the child is told beside the knobs of the plan.
    scratch
        Folder for the child's small files.
    place
        Folder whose disk the plan claims.

    Returns
    -------
    dict
        ``summary`` of the work, and what was projected and measured.

    Raises
    ------
    SeawallError
        BudgetError before anything is written; else the child's own error, or how it ended.
    """
    unit, parent_bytes = Unit(name), parent_share_bytes()
    check_plans([plan], means.budget.bytes, parent_bytes=parent_bytes, folder=place)
    means.listener.planned([plan], means.budget)
    means.listener.started(unit, plan)
    job = Job(
        name=name,
        request=request | {"knobs": plan.neutral, "budget_bytes": means.share_bytes},
        plan=plan,
        declared_bytes=means.budget.bytes,
        parent_bytes=parent_bytes,
        reserve_bytes=means.budget.reserve_bytes,
        command=means.command,
    )
    with Timeline(scratch / "memory.csv") as timeline:
        result = run_job(job, scratch, timeline, lambda beat, high: means.listener.sampled(unit, beat, high))
    refined = result["summary"].pop("plan", None) or plan.record()
    record = {key: value for key, value in result.items() if key not in ("ok", "outputs")} | {
        "stage": name,
        "projected_private_bytes": refined["projected_private_bytes"],
        "projected_cgroup_bytes": refined["projected_cgroup_bytes"],
        "declared_bytes": means.budget.bytes,
    }
    means.listener.finished(unit, record)
    return record
