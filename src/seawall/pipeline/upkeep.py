"""Work on a panel store outside any run: append, compact, export, each in a child with a plan, a meter and a fence."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seawall.bridges.memory import RUN_KINDS, plan_export
from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.errors import ConfigError, StageError
from seawall.ingest.append_memory import plan_append
from seawall.ingest.compact_memory import plan_compact
from seawall.ingest.recipe import nothing_new, read_recipe
from seawall.ingest.sources import fresh_files
from seawall.pipeline.alone import Means, work_alone
from seawall.pipeline.config import RunConfig, load_config
from seawall.pipeline.lock import PanelLock, run_lock
from seawall.pipeline.look import look
from seawall.pipeline.manifest import open_folder
from seawall.pipeline.run import Listener
from seawall.pipeline.saved import SavedModels
from seawall.pipeline.scratch import scratch_folder
from seawall.pipeline.stages import parent_share_bytes
from seawall.pipeline.supervise import interrupted
from seawall.stores.shape import PanelShape, read_manifest, read_shape
from seawall.train.import_config import ModelsConfig
from seawall.train.memory import plan_import, plan_predict


@dataclass(frozen=True, slots=True)
class Upkeep:
    """One piece of work on a panel store."""

    stage: str
    panel: Path
    budget: Budget
    listener: Listener
    command: str
    """The user's own command, for messages that say how to continue."""


def append(upkeep: Upkeep, sources: Sequence[str]) -> dict[str, Any]:
    """Add the rows of tables to a panel as a segment; until it is done, a reader sees the panel as it was.

    Returns
    -------
    dict
        The record: ``summary`` of :func:`seawall.ingest.append.append`, projected and measured memory.

    Raises
    ------
    SeawallError
        With file, line and what to do; the panel is untouched.
    """
    panel, parent_bytes = upkeep.panel, parent_share_bytes()
    _check_panel(panel)
    manifest = read_manifest(panel)
    listed = [str(file) for file in fresh_files(list(sources), manifest["sources"])]
    if not listed:
        with PanelLock(panel) as lock:  # a command killed after its last write has left its lock file
            lock.read()
        return {"stage": "append", "summary": nothing_new(panel, str(manifest.get("content_key")))}

    def plan(scratch: Path) -> StagePlan:
        recipe = read_recipe(manifest, listed, str(panel))
        section = json.loads(recipe.config.model_dump_json())
        asked = {"output": str(scratch), "panel": str(panel), "ingest": section}
        new = PanelShape(**look("probe", asked, scratch, upkeep.budget.bytes, upkeep.command))
        shape, reach = read_shape(panel), recipe.reach(read_shape(panel).max_rows_per_entity)
        longest_rows = min(reach.back + reach.ahead + 1, shape.max_rows_per_entity) + new.max_rows_per_entity
        share_bytes = upkeep.budget.bytes - parent_bytes
        return plan_append(recipe.config, new, shape, longest_rows=longest_rows, budget_bytes=share_bytes)

    return _run(upkeep, plan, {"sources": listed}, writes=True)


def compact(upkeep: Upkeep) -> dict[str, Any]:
    """Make one segment of several; until it is done, a reader sees the panel as it was.

    Returns
    -------
    dict
        The record: ``summary`` of :func:`seawall.ingest.compact.compact`, projected and measured memory.
    """
    return _run(upkeep, lambda _: plan_compact(read_shape(upkeep.panel), upkeep.budget.bytes), {}, writes=True)


def source_of(path: Path, kind: str) -> tuple[Path, Path | None]:
    """Find the panel and, where the path is a run folder, the predictions to export.

    Raises
    ------
    ConfigError
        Where the kind needs predictions and the path is a panel.
    """
    if (path / "config.yaml").is_file():
        config = load_config(path / "config.yaml")
        panel = config.panel_path if config.panel_path.exists() else path / f"{config.name}.panel"
        return panel, path / "predictions"
    if kind in RUN_KINDS:
        raise ConfigError(f"export --to {kind}", "needs predictions", found=str(path), do="Name a run folder.")
    return path, None


def export(upkeep: Upkeep, kind: str, output: Path, predictions: Path | None = None) -> dict[str, Any]:
    """Write a panel, or the predictions of a run, for other programs.

    Parameters
    ----------
    kind
        One of :data:`seawall.bridges.memory.KINDS`.
    predictions
        The ``predictions/`` folder of a run, for the kinds that need it.

    Returns
    -------
    dict
        The record: ``summary`` of the exporter, projected and measured memory.
    """
    arguments = {"to": kind, "output": str(output), "predictions": str(predictions) if predictions else ""}
    return _run(upkeep, lambda _: plan_export(kind, read_shape(upkeep.panel)), arguments, writes=False, place=output)


def import_models(upkeep: Upkeep, files: Sequence[Path], config: ModelsConfig, output: Path) -> dict[str, Any]:
    """Make models of a run of weights trained elsewhere.

    Returns
    -------
    dict
        The record: ``summary`` of :func:`seawall.train.importing.import_models`, projected and measured memory.
    """
    arguments = {"files": [str(f) for f in files], "config": config.model_dump(mode="json"), "output": str(output)}
    largest = max(file.stat().st_size for file in files)
    return _run(upkeep, lambda _: plan_import(config.train, read_shape(upkeep.panel), largest), arguments, writes=False)


def score_latest(upkeep: Upkeep, config: RunConfig, strategy: str, max_age: int | None) -> dict[str, Any]:
    """Score the dates after the last test with the newest model of a run, and write what a strategy would hold.

    Returns
    -------
    dict
        The record: ``summary`` of :func:`seawall.pipeline.latest_work.score_latest`, projected and measured memory.
    """
    models = config.models or config.output / "models"
    train, shape = SavedModels.read(models).train, read_shape(upkeep.panel)
    share_bytes = upkeep.budget.bytes - parent_share_bytes()
    plan = replace(plan_predict(train, shape, shape.max_rows_per_date, share_bytes), stage="latest")
    values = json.loads(config.model_dump_json())
    arguments = {"config": values, "models": str(models), "strategy": strategy, "max_age": max_age}
    open_folder(config.output)
    with run_lock(config.output):
        return _run(upkeep, lambda _: plan, arguments, writes=False, place=config.output)


def _run(
    upkeep: Upkeep,
    plan_in: Callable[[Path], StagePlan],
    arguments: dict[str, Any],
    *,
    writes: bool,
    place: Path | None = None,
) -> dict[str, Any]:
    """Plan, refuse what does not fit, then do the work in a child while the panel is held."""
    _check_panel(upkeep.panel)
    try:
        with PanelLock(upkeep.panel) as lock, scratch_folder() as scratch:
            if writes:
                lock.write()
            else:
                lock.read()
            request = {"stage": upkeep.stage, "panel": str(upkeep.panel), "arguments": arguments}
            means = Means(upkeep.budget, upkeep.listener, upkeep.command)
            disk = place or upkeep.panel.parent
            return work_alone(upkeep.stage, request, plan_in(scratch), means, scratch, place=disk)
    except KeyboardInterrupt as stop:
        raise interrupted(upkeep.command, stop, unit=upkeep.stage) from None
    except OSError as error:
        raise StageError(
            upkeep.stage,
            "a file cannot be read or written",
            found=f"{error.strerror or error}: {error.filename}" if error.filename else str(error),
            do=f"The panel is as it was. Continue with: {upkeep.command}",
        ) from error


def _check_panel(panel: Path) -> None:
    if not panel.is_dir():
        found = "no such folder" if not panel.exists() else "a file"
        raise ConfigError(f"panel {panel}", "not a panel store", found=found, do="Check the path.")
    read_manifest(panel)
