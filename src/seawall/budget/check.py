"""Refuse, before any work, a run that does not fit its memory or its disk, and say what would make it fit."""

import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from seawall.budget.claims import Claim, StagePlan
from seawall.budget.mounts import is_memory_filesystem
from seawall.budget.neighbours import neighbours
from seawall.errors import BudgetError
from seawall.units import GIB, MIB, format_apart, format_bytes


def check_plans(
    plans: Sequence[StagePlan], budget_bytes: int, *, parent_bytes: int, folder: Path | None = None
) -> None:
    """Raise unless every stage, with the parent beside it, fits the budget, and the run's files fit ``folder``.

    Parameters
    ----------
    plans
        One plan for each stage (or fold) still to run, in order.
    budget_bytes
        Declared memory.
    parent_bytes
        What the waiting parent holds while a stage runs.
    folder
        Run folder, which need not exist yet; None checks memory alone.

    Raises
    ------
    BudgetError
        Naming the worst stage, its largest claim, the smallest budget that would do and what to change.
    """
    over = [plan for plan in plans if plan.projected_cgroup_bytes + parent_bytes > budget_bytes]
    if over:
        raise _memory_refusal(over, budget_bytes, parent_bytes)
    if folder is not None:
        _check_disk(plans, folder)


def no_room(plan: StagePlan, rule: str, room_bytes: int, command: str) -> BudgetError:
    """Refuse a stage for whose private memory others have left no room, and say who holds it."""
    needed, found = format_bytes(plan.projected_private_bytes), format_bytes(room_bytes)
    who = neighbours().words()
    error = BudgetError(
        plan.stage,
        f"needs {needed} of private memory, but others have left less",
        found=f"room for {found} ({rule})",
        do=f"Who holds memory: {who}. What was finished is kept. Run again when there is room: {command}",
    )
    rows = (
        ("What happened", f"{needed} of private memory are planned, there is room for {found} ({rule})"),
        ("Largest claim", f"{plan.worst.purpose} ({format_bytes(plan.worst.bytes)}: {plan.worst.formula})"),
        ("Other processes", who),
        ("What to change", "End something else, lower --reserve, or wait: the run continues where it is."),
    )
    return error.tell(f"{plan.stage}: not started, because other processes have left too little memory", rows)


def smallest_budget_bytes(plans: Sequence[StagePlan], *, parent_bytes: int) -> int:
    """Compute the smallest budget all plans fit: the largest stage, for stages never run together, and the parent."""
    return max((plan.projected_cgroup_bytes for plan in plans), default=0) + parent_bytes


def projected_disk_bytes(plans: Sequence[StagePlan]) -> int:
    """Compute the bytes on disk at the worst moment: what earlier stages leave, and all that the stage then writes."""
    left_bytes = worst_bytes = 0
    for plan in plans:
        worst_bytes = max(worst_bytes, left_bytes + plan.projected_disk_bytes)
        left_bytes += sum(claim.bytes for claim in plan.disk if not claim.temporary)
    return worst_bytes


def free_disk_bytes(path: Path) -> int:
    """Read the free bytes of the file system that ``path`` is on, or will be on once it is made."""
    return shutil.disk_usage(_nearest_existing(path)).free


def check_temporary_folder(folder: Path) -> None:
    """Raise where a folder for spilled files lies in memory: what is spilled there would count as private memory.

    Raises
    ------
    BudgetError
        Naming the folder.
    """
    if is_memory_filesystem(_nearest_existing(folder)):
        raise BudgetError(
            str(folder),
            "temporary files would lie in memory",
            found="a tmpfs or ramfs file system",
            allowed="a folder on a disk",
            do="Choose an output folder on a disk.",
        )


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _memory_refusal(over: Sequence[StagePlan], budget_bytes: int, parent_bytes: int) -> BudgetError:
    ranked = sorted(over, key=lambda plan: plan.projected_cgroup_bytes, reverse=True)
    worst = ranked[0]
    needed_bytes = smallest_budget_bytes(over, parent_bytes=parent_bytes)
    needs, found = format_apart(needed_bytes, budget_bytes)
    lower = "".join(f" or lower {knob}" for knob in _knobs_of(worst))
    do = f"{_describe(_worst_claim(worst))} Declare --memory {size_to_declare(needed_bytes)}{lower}."
    if len(ranked) > 1:
        others = [f"{plan.stage} ({format_bytes(plan.projected_cgroup_bytes + parent_bytes)})" for plan in ranked[1:6]]
        do += f" Also too large: {', '.join(others)}{', ...' if len(ranked) > 6 else ''}."
    return BudgetError(
        worst.stage,
        f"needs {needs} ({format_bytes(parent_bytes)} of it for the waiting parent)",
        found=f"a budget of {found}",
        do=do,
    )


def _check_disk(plans: Sequence[StagePlan], folder: Path) -> None:
    needed_bytes, free_bytes = projected_disk_bytes(plans), free_disk_bytes(folder)
    if needed_bytes <= free_bytes:
        return
    needs, found = format_apart(needed_bytes, free_bytes)
    worst = max((claim for plan in plans for claim in plan.disk), key=lambda claim: claim.bytes)
    raise BudgetError(
        str(folder),
        f"the run needs {needs} of disk",
        found=f"{found} free",
        do=f"{_describe(worst)} Free some space or choose another output folder.",
    )


def _worst_claim(plan: StagePlan) -> Claim:
    return max((*plan.private, *plan.cache), key=lambda claim: claim.bytes)


def _describe(claim: Claim) -> str:
    return f"The largest claim is {claim.purpose} ({format_bytes(claim.bytes)}: {claim.formula})."


def _knobs_of(plan: StagePlan) -> list[str]:
    """Name the user's own choices that the formula of the largest claim speaks of."""
    words = set(re.findall(r"[a-z]+(?:_[a-z]+)*", _worst_claim(plan).formula.lower()))
    stage = plan.stage.split()[0]
    return [f"{stage}.{knob}" for knob in plan.semantic if knob in words or knob.split("_")[0] in words]


def size_to_declare(size_bytes: int) -> str:
    """Write a size as a user would declare it, rounded up: in tenths of a GiB above one, else in whole MiB."""
    if size_bytes > GIB:
        return f"{math.ceil(size_bytes * 10 / GIB) / 10:g}GiB"
    return f"{max(math.ceil(size_bytes / MIB), 1)}MiB"
