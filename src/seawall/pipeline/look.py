"""A short look at the sources before anything is planned, in a child of its own: the parent imports no parser."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from seawall.budget.check import check_plans
from seawall.budget.claims import Claim, StagePlan, container_claims
from seawall.budget.meter import Timeline
from seawall.errors import StageError
from seawall.pipeline.stages import parent_share_bytes
from seawall.pipeline.supervise import Job, interrupted, run_job
from seawall.tables.memory import LIBRARY_TEXT_BYTES as TABLES_TEXT_BYTES
from seawall.units import MIB

LOOK_PLAN = StagePlan(
    stage="look at the sources",
    private=(
        Claim("interpreter and libraries", 46 * MIB, "Python, NumPy, pyarrow imported"),
        Claim("parser", 26 * MIB, "three pieces of 256 KiB, or the first MiB"),
    ),
    cache=container_claims(dirty_bytes=MIB),
)

TABLES_LOOK_PLAN = replace(LOOK_PLAN, cache=container_claims(dirty_bytes=MIB, library_text_bytes=TABLES_TEXT_BYTES))
"""Tables that are not ours are looked at with NumPy and pyarrow alone."""

OUTSIDE = ("look evaluate", "look join")


def look(
    what: str,
    config: dict[str, Any],
    scratch: Path,
    budget_bytes: int,
    command: str,
    *,
    features: Mapping[str, str] | Sequence[str] | None = None,
) -> dict[str, Any]:
    """Look at the sources of a config in a child.

    Parameters
    ----------
    what
        ``probe`` (estimated sizes), ``columns`` (names of number columns, and sizes of the panel they make), or
        ``layout`` (folds on the calendar).
    scratch
        Folder for the child's small files.
    features
        What ``columns`` completes the section with.

    Returns
    -------
    dict
        What was found.

    Raises
    ------
    SeawallError
        BudgetError where not even a look fits; ConfigError or DataError for bad sources.
    """
    request = {"stage": what, "fold": None, "config": config, "budget_bytes": budget_bytes, "features": features}
    return _look(what, request, scratch, budget_bytes, command)


def look_for_task(
    name: str, settings: dict[str, Any], scratch: Path, budget_bytes: int, command: str
) -> dict[str, Any]:
    """Look at the sources of a task in a child; returns and raises as :func:`look` does."""
    request = {"task": name, "settings": settings, "knobs": {}}
    return _look(name, request, scratch, budget_bytes, command)


def _look(what: str, request: dict[str, Any], scratch: Path, budget_bytes: int, command: str) -> dict[str, Any]:
    plan = TABLES_LOOK_PLAN if what in OUTSIDE else LOOK_PLAN
    return look_under_plan(what, plan, request, scratch, budget_bytes, command)


def look_under_plan(
    what: str, plan: StagePlan, request: dict[str, Any], scratch: Path, budget_bytes: int, command: str
) -> dict[str, Any]:
    """Look in a child with a plan of its own; returns and raises as :func:`look` does."""
    parent_bytes = parent_share_bytes()
    check_plans([plan], budget_bytes, parent_bytes=parent_bytes)
    job = Job(
        name=what,
        request=request | {"run": str(scratch)},
        plan=plan,
        declared_bytes=budget_bytes,
        parent_bytes=parent_bytes,
        command=command,
    )
    timeline_path = scratch / f".{what}.csv"
    try:
        with Timeline(timeline_path) as timeline:
            found: dict[str, Any] = run_job(job, scratch, timeline, lambda heartbeat, high: None)["summary"]
    except KeyboardInterrupt as stop:
        raise interrupted(command, stop) from None
    except StageError as error:
        raise error.tell(error.headline, (*error.rows, ("Continue with:", command)), cause=error.cause) from error
    finally:
        timeline_path.unlink(missing_ok=True)
    return found
