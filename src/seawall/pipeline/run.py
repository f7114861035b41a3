"""Run a config: plan everything, refuse what does not fit, then do every unit that is not done yet, in order."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from seawall import __version__
from seawall.budget.check import check_plans, check_temporary_folder
from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.budget.meter import HighWater, Timeline
from seawall.errors import ConfigError, FormatError, SeawallError
from seawall.pipeline.config import RunConfig, config_text
from seawall.pipeline.look import look
from seawall.pipeline.manifest import RunManifest, open_folder, run_lock
from seawall.pipeline.stages import (
    PARENT_BYTES,
    STAGES,
    Folds,
    Unit,
    check_stage,
    fold_units,
    output_files,
    plan_unit,
    required_ingest,
    stages_of,
    unit_key,
    units_of,
)
from seawall.pipeline.supervise import Job, interrupted, run_job
from seawall.stores.atomic import write_json, write_text
from seawall.stores.shape import PanelShape, read_shape


class Listener(Protocol):
    """What a display hears of a run."""

    def planned(self, plans: Sequence[StagePlan], budget: Budget) -> None:
        """Hear that all stages fit."""

    def started(self, unit: Unit, plan: StagePlan) -> None:
        """Hear that a child was started."""

    def sampled(self, unit: Unit, heartbeat: dict[str, float | str], high: HighWater) -> None:
        """Hear what the child holds."""

    def finished(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hear that a unit is done."""

    def skipped(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hear that a unit was done before, with the same content."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: all stages, or some of them."""

    first: str | None = None
    """Do this stage and the later ones anew."""
    only: str | None = None
    """Do this stage alone, from what is there."""
    command: str = "seawall run"
    """The user's own command, for messages that say how to continue."""


@dataclass(slots=True)
class Runner:
    """One run of a config in its folder.

    The parent that holds this imports no torch, DuckDB, pandas or Arrow; each unit runs in a child.
    """

    config: RunConfig
    budget: Budget
    listener: Listener
    order: Order = Order()
    manifest: RunManifest = field(init=False)

    def run(self) -> RunManifest:
        """Do what is not done.

        Raises
        ------
        SeawallError
            BudgetError before anything is written; else of the first unit that failed, and what was finished is kept.
        """
        folder, stages = self.config.output, self._chosen_stages()
        _require_libraries(stages)
        plans = self.plan(stages)
        check_plans(plans, self.budget.bytes, parent_bytes=PARENT_BYTES, folder=folder)
        open_folder(folder)
        check_temporary_folder(folder)
        with run_lock(folder):
            self.manifest = RunManifest(folder, self.config.name)
            self._write_plan(plans)
            write_text(folder / "config.yaml", config_text(self.config))
            self.listener.planned(plans, self.budget)
            with Timeline(folder / "memory.csv") as timeline:
                for stage in stages:
                    self._run_stage(stage, timeline)
        return self.manifest

    def _chosen_stages(self) -> list[str]:
        for stage in (self.order.first, self.order.only):
            if stage is not None:
                check_stage(stage, self.config)
        stages = stages_of(self.config)
        return [self.order.only] if self.order.only else stages

    def plan(self, stages: Sequence[str] | None = None) -> list[StagePlan]:
        """Plan every unit of the stages before any work, writing nothing into the run folder.

        Sizes come from the panel's header, or before ingest from a sample of the sources. Of the folds of a stage the
        largest plan is given.
        """
        self.manifest = RunManifest(self.config.output, self.config.name)
        shape = self._shape()
        folds = self._folds(shape)
        plans = []
        for stage in stages if stages is not None else stages_of(self.config):
            units = units_of(stage, len(folds))
            of_stage = [plan_unit(unit, self.config, shape, folds, self.budget.bytes) for unit in units]
            plans.append(max(of_stage, key=lambda plan: plan.projected_cgroup_bytes))
        return plans

    def _shape(self) -> PanelShape:
        if self.config.ingest is None:
            return read_shape(self.config.panel_path)
        try:
            return read_shape(self.config.panel_path) if self._is_ingested() else self._probe()
        except FormatError:
            return self._probe()

    def _is_ingested(self) -> bool:
        record = self.manifest.units.get("ingest")
        return record is not None and record["key"] == unit_key(Unit("ingest"), self.config, self.manifest)

    def _folds(self, shape: PanelShape) -> Folds:
        path = self.config.output / "folds.json"
        record = self.manifest.units.get("folds")
        if self.config.train is None or record is None or not path.exists() or not self.config.panel_path.exists():
            return Folds.guess(shape)
        is_current = record["key"] == unit_key(Unit("folds"), self.config, self.manifest)
        return Folds.read(path) if is_current else Folds.guess(shape)

    def _probe(self) -> PanelShape:
        required_ingest(self.config)
        config = json.loads(self.config.model_dump_json())
        with TemporaryDirectory(prefix="seawall-") as scratch:
            return PanelShape(**look("probe", config, Path(scratch), self.budget.bytes, self.order.command))

    def _run_stage(self, stage: str, timeline: Timeline) -> None:
        self._require_inputs(stage)
        shape = self._shape() if stage == "ingest" else read_shape(self.config.panel_path)
        folds = self._folds(shape)
        units = units_of(stage, len(folds))
        for unit in units:
            self._run_unit(unit, shape, folds, timeline)
        for name in set(fold_units(self.manifest, stage)) - {unit.name for unit in units}:
            self._drop(name)

    def _require_inputs(self, stage: str) -> None:
        """Check that the stages a single stage builds on are finished."""
        needs = {"train": "folds", "predict": "train", "evaluate": "predict", "join": "predict", "backtest": "join"}
        before = needs.get(stage, "ingest" if self.config.ingest is not None and stage != "ingest" else None)
        if before and not any(name.split("/")[0] == before for name in self.manifest.units):
            raise ConfigError(
                f"stage {stage}", f"needs the stage {before} first", do=f"Run {before}, or run without --only."
            )

    def _run_unit(self, unit: Unit, shape: PanelShape, folds: Folds, timeline: Timeline) -> None:
        key = unit_key(unit, self.config, self.manifest)
        if not self._is_forced(unit) and self.manifest.is_done(unit.name, key):
            self.listener.skipped(unit, self.manifest.units[unit.name])
            return
        plan = plan_unit(unit, self.config, shape, folds, self.budget.bytes)
        check_plans([plan], self.budget.bytes, parent_bytes=PARENT_BYTES)
        self.listener.started(unit, plan)
        self._log("started", unit.name)
        job = Job(
            name=unit.name,
            request=self._request(unit) | {"knobs": plan.neutral},
            plan=plan,
            declared_bytes=self.budget.bytes,
            parent_bytes=PARENT_BYTES,
            command=self.order.command,
            reuses_buffers=unit.stage in ("train", "predict"),
        )
        try:
            result = run_job(
                job, self.config.output, timeline, lambda beat, high: self.listener.sampled(unit, beat, high)
            )
        except KeyboardInterrupt:
            self._log("interrupted", unit.name)
            raise interrupted(self.order.command) from None
        except SeawallError as error:
            self._log("failed", unit.name, error=str(error))
            raise
        record = self._record(unit, key, plan, result)
        self.manifest.finish(unit.name, record)
        self._log("finished", unit.name)
        self.listener.finished(unit, record)

    def _is_forced(self, unit: Unit) -> bool:
        first = self.order.first
        return first is not None and STAGES.index(unit.stage) >= STAGES.index(first)

    def _request(self, unit: Unit) -> dict[str, Any]:
        return {
            "stage": unit.stage,
            "fold": unit.fold,
            "run": str(self.config.output),
            "config": json.loads(self.config.model_dump_json()),
            "budget_bytes": self.budget.bytes - PARENT_BYTES,
        }

    def _record(self, unit: Unit, key: str, plan: StagePlan, result: dict[str, Any]) -> dict[str, Any]:
        refined = result["summary"].pop("plan", None) or plan.record()
        kept = ("outputs", "summary", "cpu_seconds", "wall_seconds", "fence", "cgroup_peak_bytes")
        measured = ("measured_private_bytes", "measured_file_bytes", "parent_private_bytes")
        return {
            "stage": unit.stage,
            "fold": unit.fold,
            "key": key,
            "version": __version__,
            "projected_private_bytes": refined["projected_private_bytes"],
            "projected_cgroup_bytes": refined["projected_cgroup_bytes"],
            "declared_bytes": self.budget.bytes,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **{name: result[name] for name in (*kept, *measured)},
        }

    def _write_plan(self, plans: Sequence[StagePlan]) -> None:
        record = {
            "declared_bytes": self.budget.bytes,
            "rule": self.budget.rule,
            "parent_bytes": PARENT_BYTES,
            "stages": {plan.stage: plan.record() for plan in plans},
        }
        write_json(self.config.output / "plan.json", record)

    def _drop(self, name: str) -> None:
        """Remove what an earlier config left: a fold that no longer exists must not be read by later stages."""
        stage, _, fold = name.partition("/fold_")
        for path in output_files(Unit(stage, int(fold)), self.config.output, self.config.panel_path):
            path.unlink(missing_ok=True)
        self.manifest.forget(name)

    def _log(self, event: str, unit: str, **more: str) -> None:
        entry = {"time": datetime.now(UTC).isoformat(), "event": event, "unit": unit, **more}
        with (self.config.output / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _require_libraries(stages: Sequence[str]) -> None:
    """Find a missing extra before the first stage, not hours later; nothing is imported."""
    for stage, library, extra in (
        ("train", "torch", "train"),
        ("train", "safetensors", "train"),
        ("report", "plotly", "report"),
    ):
        if stage in stages and find_spec(library) is None:
            raise ConfigError(
                stage,
                "a library this stage needs is not installed",
                found=f"no {library}",
                do=f"pip install 'seawall[{extra}]'.",
            )


class Silent:
    """A listener that shows nothing."""

    def planned(self, plans: Sequence[StagePlan], budget: Budget) -> None:
        """Hear that all stages fit."""

    def started(self, unit: Unit, plan: StagePlan) -> None:
        """Hear that a child was started."""

    def sampled(self, unit: Unit, heartbeat: dict[str, float | str], high: HighWater) -> None:
        """Hear what the child holds."""

    def finished(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hear that a unit is done."""

    def skipped(self, unit: Unit, record: dict[str, Any]) -> None:
        """Hear that a unit was done before."""
