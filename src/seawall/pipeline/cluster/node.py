"""What a worker of the engine does on a node: begin a start of a unit in its capsule, and do it in a child of our own.

The child has the fence, the meter and the explanation of its end that a unit has on one machine. Ray's request for
memory only decides where it runs. This process imports nothing heavy beside Ray.
"""

import os
import platform
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from seawall import __version__
from seawall.budget.claims import Claim, StagePlan
from seawall.budget.limits import Budget
from seawall.budget.meter import Timeline
from seawall.errors import ConfigError, SeawallError
from seawall.pipeline.cluster.assignment import THREAD_VARIABLES, Assignment, error_record
from seawall.pipeline.cluster.capsule import Capsule, mark_done
from seawall.pipeline.cluster.panels import held_panel
from seawall.pipeline.config import RunConfig, parse_config
from seawall.pipeline.listener import Silent
from seawall.pipeline.manifest import RunManifest
from seawall.pipeline.stages import FOLD_STAGES, Folds, Unit, parent_share_bytes, plan_unit
from seawall.pipeline.unit import Seat, UnitRun
from seawall.stores.shape import NO_PANEL, read_shape
from seawall.train.meeting import MEETING


def begin(record: dict[str, Any], node: str) -> str:
    """Begin a start of a unit for all its ranks; returns the folder of the start."""
    assignment = Assignment.of(record)
    return str(Capsule(Path(assignment.run), Unit(**assignment.unit)).take_over(describe_node(node)))


def do_assignment(record: dict[str, Any], node: str) -> dict[str, Any]:
    """Do a unit on this node, or one rank's part of it.

    Parameters
    ----------
    record
        An :class:`Assignment`, as plain values.
    node
        Address of this node.

    Returns
    -------
    dict
        ``record`` of the finished unit, also in its capsule; or ``error``, and whether only this node is to blame.
    """
    assignment = Assignment.of(record)
    try:
        _require_same_version(assignment)
        _take_environment(assignment)
        return {"record": _do(assignment, node)}
    except SeawallError as error:
        return {"error": error_record(error), "is_full": type(error).__name__ == "BudgetError", "node": node}


def _do(assignment: Assignment, node: str) -> dict[str, Any]:
    unit, described = Unit(**assignment.unit), describe_node(node)
    capsule = Path(assignment.capsule or Capsule(Path(assignment.run), unit).take_over(described))
    with nullcontext() if assignment.panels is None else held_panel(assignment.panels) as panel:
        return _do_with(assignment, unit, capsule, described, _config_here(assignment, unit, capsule, panel))


def _do_with(
    assignment: Assignment, unit: Unit, capsule: Path, described: dict[str, Any], config: RunConfig
) -> dict[str, Any]:
    parent_bytes = parent_share_bytes()
    budget = Budget(
        assignment.node_bytes + parent_bytes,
        "budget of a node of the cluster",
        (),
        reserve_bytes=assignment.reserve_bytes,
    )
    manifest = RunManifest(Path(assignment.run), config.name)
    join = _join(assignment, capsule, described["address"])
    work = UnitRun(
        config, budget, Silent(), assignment.command, manifest, parent_bytes, join=join, shards=assignment.shards
    )
    seat = Seat(_small_files(assignment, capsule), assignment.room_bytes)
    with Timeline(seat.folder / "memory.csv") as timeline:
        done = work.tried(unit, assignment.key, _planner(assignment, unit, config, capsule), timeline, seat)
    finished = work.record_of(done) | {"node": described}
    if not assignment.rank:
        mark_done(capsule, assignment.key, finished)
    return finished


def _config_here(assignment: Assignment, unit: Unit, capsule: Path, panel: Path | None) -> RunConfig:
    """Give the config whose run folder is the capsule, and whose panel is the one this node reads."""
    config, run = parse_config(assignment.config, "assignment"), Path(assignment.run)
    changes: dict[str, Any] = {"output": capsule, "panel": panel or config.panel_path}
    if unit.stage == "predict":
        changes["models"] = config.models or run / "models"
        if config.train is not None:  # one process predicts the same bytes as several
            changes["train"] = config.train.model_copy(update={"ranks": 1})
    return config.model_copy(update=changes)


def _planner(assignment: Assignment, unit: Unit, config: RunConfig, capsule: Path) -> Callable[[int, int], StagePlan]:
    is_fold = unit.stage in FOLD_STAGES
    shape = read_shape(config.panel_path) if is_fold else NO_PANEL
    folds = Folds.read(capsule / "folds.json") if is_fold else Folds((), ())

    def plan(share_bytes: int, micro_batches: int) -> StagePlan:
        planned = plan_unit(unit, config, shape, folds, share_bytes, micro_batches=micro_batches)
        return planned if assignment.rank is None or config.train is None else of_one_rank(planned, config.train.ranks)

    return plan


def of_one_rank(plan: StagePlan, num_ranks: int) -> StagePlan:
    """Give the part of a plan for several ranks that one of them needs."""
    claims = [Claim(own.purpose, -(-own.bytes // num_ranks), f"one of: {own.formula}") for own in plan.private]
    return replace(plan, private=tuple(claims))


def _join(assignment: Assignment, capsule: Path, node: str) -> dict[str, Any] | None:
    if assignment.rank is None:
        return None
    return {"rank": assignment.rank, "store": str(capsule / MEETING), "address": node}


def _small_files(assignment: Assignment, capsule: Path) -> Path:
    folder = capsule if assignment.rank is None else capsule / f".rank_{assignment.rank}"
    folder.mkdir(exist_ok=True)
    return folder


def describe_node(address: str) -> dict[str, Any]:
    """Say which machine this is."""
    return {"address": address, "host": platform.node(), "cpu": cpu_model(), "cores": os.cpu_count()}


def cpu_model() -> str:
    """Name the CPU: results are the same to the last bit on machines of one model."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _require_same_version(assignment: Assignment) -> None:
    if assignment.version != __version__:
        what, do = "a node has another version of seawall", "Install the same on every node."
        raise ConfigError(f"node {platform.node()}", what, found=__version__, allowed=assignment.version, do=do)


def _take_environment(assignment: Assignment) -> None:
    for name in THREAD_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(assignment.environment)
