"""Run a config: plan everything, refuse what does not fit, then do every unit that is not done yet, in order."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seawall.budget.check import check_plans, check_temporary_folder
from seawall.budget.claims import StagePlan
from seawall.budget.limits import Budget
from seawall.budget.meter import Timeline
from seawall.errors import ConfigError, FormatError, ResumeError, SeawallError
from seawall.pipeline.aftermath import goes_on_from
from seawall.pipeline.attempt import end_attempt, unwritable, what_was_left
from seawall.pipeline.cluster.crews import crew_of
from seawall.pipeline.config import RunConfig, config_text
from seawall.pipeline.fan_out import fan_out
from seawall.pipeline.gpu_lock import GpuLock
from seawall.pipeline.journal import last_report, log_event, told
from seawall.pipeline.libraries import require_libraries
from seawall.pipeline.listener import Listener as Listener
from seawall.pipeline.listener import OneAtATime
from seawall.pipeline.listener import Silent as Silent
from seawall.pipeline.lock import Owner, PanelLock, run_lock
from seawall.pipeline.look import look
from seawall.pipeline.manifest import RunManifest, open_folder
from seawall.pipeline.outputs import remove_other_folds, remove_other_members
from seawall.pipeline.probe_model import with_measures, with_source
from seawall.pipeline.resolve import resolve
from seawall.pipeline.saved import with_saved_models
from seawall.pipeline.scratch import scratch_folder
from seawall.pipeline.side_by_side import side_folders
from seawall.pipeline.stages import (
    FOLD_STAGES,
    STAGES,
    Folds,
    Unit,
    check_stage,
    fold_units,
    parent_share_bytes,
    plan_unit,
    required_ingest,
    required_train,
    stages_of,
    unit_key,
    units_of,
)
from seawall.pipeline.supervise import interrupted
from seawall.pipeline.unit import UnitRun, with_ways_on
from seawall.search.memory import notes as search_notes
from seawall.stores.atomic import write_json, write_text
from seawall.stores.shape import NO_PANEL, PanelShape, read_shape

if TYPE_CHECKING:
    from seawall.pipeline.cluster.crew import Crew


@dataclass(frozen=True, slots=True)
class Order:
    """What to run: all stages, or some of them."""

    first: str | None = None
    """Do this stage and the later ones anew: their records are dropped first, so after a kill a plain run continues."""
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
    sizes: PanelShape | None = None
    """Estimated sizes of the panel that ingest will make, once somebody has looked."""
    manifest: RunManifest = field(init=False)
    parent_bytes: int = field(default_factory=parent_share_bytes)
    """What the waiting parent holds: a notebook kernel's own frames count against the budget."""
    panel_lock: PanelLock = field(init=False)
    gpu_lock: GpuLock = field(init=False)
    _scores: dict[str, Any] = field(default_factory=dict, init=False)
    resolved: dict[str, Any] = field(default_factory=dict, init=False)
    """What the plan chose where the config says ``auto``, and why."""
    _crew: "Crew | None" = field(default=None, init=False)
    """Speaks to the cluster, where folds are done on one."""
    num_run: int = field(default=0, init=False)
    """Units that were not done before."""

    def __post_init__(self) -> None:
        self.config = with_source(with_saved_models(self.config))
        self._crew = crew_of(self.config)

    def run(self) -> RunManifest:
        """Do what is not done.

        Raises
        ------
        SeawallError
            BudgetError before anything is written; else of the first unit that failed, and what was finished is kept.
        """
        try:
            return self._run()
        except KeyboardInterrupt as stop:
            raise self._told(interrupted(self.order.command, stop)) from None
        except OSError as error:
            raise self._told(unwritable(error, self.config.output, self.order.command)) from error

    def _run(self) -> RunManifest:
        folder, stages = self.config.output, self._chosen_stages()
        require_libraries(stages)
        if self._crew is not None:
            self._crew.check()
        plans = self.plan(stages)
        self.check(plans, stages)
        open_folder(folder)
        for place in {self._place(stage) for stage in stages}:
            check_temporary_folder(place)
        with (
            run_lock(folder) as killed,
            PanelLock(self.config.panel_path) as self.panel_lock,
            GpuLock() as self.gpu_lock,
        ):
            self.manifest = RunManifest(folder, self.config.name)
            self.manifest.begin()
            self._begin(killed)
            self.manifest.forget([name for name in self.manifest.units if self._is_forced(name.split("/")[0])])
            self._write_plan(plans)
            write_text(folder / "config.yaml", config_text(self.config))
            self.listener.planned(plans, self.budget)
            for text in search_notes(self.config.search) if self.config.search and "search" in stages else ():
                self.listener.noted(text)
            with Timeline(folder / "memory.csv") as timeline, self._crew or nullcontext():
                self._call_crew({stage for stage, _ in self._still_to_do(stages, plans)})
                for stage in stages:
                    self._run_stage(stage, timeline)
            if not self.num_run:
                self.listener.noted("nothing to do: every stage is done, with the same content")
            self._log("ended")
        return self.manifest

    def _begin(self, killed: Owner | None) -> None:
        """Say what the run before left where it was killed, and put down which command this is."""
        if killed is not None:
            left = last_report(self.config.output)
            self._log("found killed", str(left.get("unit", "")), error=str(killed))
            self.listener.noted(f"{killed}, which ran here before, was killed {told(left)}; what it finished is kept")
        where = str(Path.cwd())
        log_event(self.config.output, "began", command=self.order.command, where=where, pid=os.getpid())
        for place in (self.config.output, *side_folders(self.config.output)):
            before = what_was_left(place)
            if before is not None:
                log_event(self.config.output, "found", before.unit, before.headline, cause=before.cause)
                self.listener.noted(f"the last start ended in {before.screen()}")
                end_attempt(place, None)
            if place != self.config.output:
                shutil.rmtree(place, ignore_errors=True)

    def _call_crew(self, to_do: set[str]) -> None:
        """Begin to reach a cluster while other work is done, but not beside an ingest, which plans for all memory."""
        if self._crew is not None and "ingest" not in to_do and to_do & {*FOLD_STAGES, "search"}:
            self._crew.start()

    def _told(self, error: SeawallError) -> SeawallError:
        finished = list(self.manifest.units) if hasattr(self, "manifest") else []
        unit = str(last_report(self.config.output).get("unit", ""))
        unfinished = "" if unit in finished else goes_on_from(self.config.output, unit)
        return with_ways_on(error, finished, self.order.command, unfinished)

    def _chosen_stages(self) -> list[str]:
        for stage in filter(None, (self.order.first, self.order.only)):
            check_stage(stage, self.config)
        stages = stages_of(self.config)
        return [self.order.only] if self.order.only else stages

    def plan(self, stages: Sequence[str] | None = None) -> list[StagePlan]:
        """Plan every unit of the stages before any work, writing nothing into the run folder.

        Sizes come from the panel's header, or before ingest from a sample of the sources. Of the folds of a stage the
        largest plan is given.
        """
        self.manifest = RunManifest(self.config.output, self.config.name)
        stages = stages if stages is not None else stages_of(self.config)
        if self.order.only:
            self._require_inputs(self.order.only)
        shape = self._shape() if "ingest" in stages else self._panel_shape()
        folds = self._folds_or_guess(shape)
        share_bytes, plans = self.budget.bytes - self.parent_bytes, []
        self.config, measured = with_measures(self.config, shape, self.budget.bytes, share_bytes, self.order.command)
        self.config, resolved = resolve(self.config, shape, folds, share_bytes)
        self.resolved |= measured | resolved
        for stage in stages:
            units = units_of(stage, len(folds), self.config.train)
            of_stage = [plan_unit(unit, self.config, shape, folds, share_bytes) for unit in units]
            plans.append(max(of_stage, key=lambda plan: plan.projected_cgroup_bytes))
        return plans

    def check(self, plans: Sequence[StagePlan], stages: Sequence[str] | None = None) -> None:
        """Raise unless the planned stages that are still to be done fit the memory, and their files their disks.

        Raises
        ------
        BudgetError
            Naming the worst claim and what to change.
        """
        stages = stages if stages is not None else stages_of(self.config)
        to_do = list(self._still_to_do(stages, plans))
        check_plans([plan for _, plan in to_do], self.budget.bytes, parent_bytes=self.parent_bytes)
        by_disk: dict[int, tuple[Path, list[StagePlan]]] = {}
        for stage, plan in to_do:
            place = self._place(stage)
            by_disk.setdefault(_disk_of(place), (place, []))[1].append(plan)
        for place, pending in by_disk.values():
            check_plans(pending, self.budget.bytes, parent_bytes=self.parent_bytes, folder=place)

    def _still_to_do(self, stages: Sequence[str], plans: Sequence[StagePlan]) -> Iterator[tuple[str, StagePlan]]:
        """Give the stages from the first on that is not recorded with its present key."""
        is_pending = False
        for stage, plan in zip(stages, plans, strict=True):
            is_pending = is_pending or self._is_forced(stage) or not self._is_current(stage)
            if is_pending:
                yield stage, plan

    def _is_current(self, stage: str) -> bool:
        """Tell whether every unit of a stage is recorded with the key it has now; reads no output."""
        try:
            has_folds = stage in FOLD_STAGES and self.config.train is not None
            if has_folds and not self._is_current("folds"):
                return False
            num_folds = len(Folds.read(self.config.output / "folds.json")) if has_folds else 1
            wanted = units_of(stage, num_folds, self.config.train)
            units = [(self.manifest.units.get(unit.name), unit) for unit in wanted]
            return all(record and record["key"] == unit_key(unit, self.config, self.manifest) for record, unit in units)
        except FormatError:
            return False

    def _place(self, stage: str) -> Path:
        """Give the folder a stage works in: ingest sorts beside the store it writes."""
        return self.config.panel_path.parent if stage == "ingest" else self.config.output

    def _panel_shape(self) -> PanelShape:
        return read_shape(self.config.panel_path) if self.config.uses_panel else NO_PANEL

    def _shape(self) -> PanelShape:
        with suppress(FormatError):
            if self._is_current("ingest"):
                return read_shape(self.config.panel_path)
        return self._probe()

    def _folds_or_guess(self, shape: PanelShape) -> Folds:
        with suppress(FormatError):
            if self.config.train is not None and self._is_current("folds"):
                return Folds.read(self.config.output / "folds.json")
        folds = Folds.guess(shape, self.config.train)
        return replace(folds, outside=self._outside()) if self.config.predictions is not None else folds

    def _outside(self) -> dict[str, Any]:
        """Look at the tables of others' predictions, once."""
        if not self._scores:
            config = json.loads(self.config.model_dump_json())
            with scratch_folder() as scratch:
                self._scores = look("scores", config, scratch, self.budget.bytes, self.order.command)
        return self._scores

    def fold_layout(self) -> dict[str, Any] | None:
        """Say where the folds lie on the calendar, as folds.json does: from that file, or else cut by a child.

        None where the config has no folds, or its panel is not made yet.
        """
        if self.config.train is None:
            return None
        with suppress(FormatError, OSError, ValueError):
            if self._is_current("folds"):
                found: dict[str, Any] = json.loads((self.config.output / "folds.json").read_text(encoding="utf-8"))
                return found
        with suppress(FormatError):
            if self.config.ingest is not None and not self._is_current("ingest"):
                return None
            config = json.loads(self.config.model_dump_json())
            with scratch_folder() as scratch:
                return look("layout", config, scratch, self.budget.bytes, self.order.command)
        return None

    def _probe(self) -> PanelShape:
        required_ingest(self.config)
        if self.sizes is None:
            config = json.loads(self.config.model_dump_json())
            with scratch_folder() as scratch:
                found = look("probe", config, scratch, self.budget.bytes, self.order.command)
            self.sizes = PanelShape(**found)
        return self.sizes

    def _run_stage(self, stage: str, timeline: Timeline) -> None:
        if stage != "ingest" and self.config.uses_panel:
            self._read_panel()
        shape = self._shape() if stage == "ingest" else self._panel_shape()
        is_trained = stage in FOLD_STAGES and self.config.train is not None
        folds = Folds.read(self.config.output / "folds.json") if is_trained else self._folds_or_guess(shape)
        units = units_of(stage, len(folds), self.config.train)
        if stage in FOLD_STAGES:
            remove_other_folds(stage, len(folds), self.config.output)
            if stage == "train" and is_trained:
                remove_other_members(required_train(self.config), self.config.output)
            self.manifest.forget(set(fold_units(self.manifest, stage)) - {unit.name for unit in units})
        done_now = self._side_by_side(units, shape, folds, timeline) if is_trained else set()
        for unit in units:
            if unit not in done_now:
                self._run_unit(unit, shape, folds, timeline)

    def _side_by_side(self, units: Sequence[Unit], shape: PanelShape, folds: Folds, timeline: Timeline) -> set[Unit]:
        """Do the folds that are to be done, as many at once as fit, and give them; the others are left to be done."""
        keys = {unit: unit_key(unit, self.config, self.manifest) for unit in units}
        todo = [(unit, key) for unit, key in keys.items() if not self.manifest.is_done(unit.name, key)]
        if todo and self._crew is None:  # nodes have GPUs of their own
            self.gpu_lock.take(required_train(self.config))
        plan_for = partial(self._plan_now, shape=shape, folds=folds)
        listener = OneAtATime(self.listener)
        work = UnitRun(self.config, self.budget, listener, self.order.command, self.manifest, self.parent_bytes)
        done = fan_out(work, todo, plan_for, timeline, self._crew)
        self.num_run += len(done)
        return done

    def _read_panel(self) -> None:
        """Keep others from replacing the panel, which nobody must have done since this run ingested it.

        Raises
        ------
        ResumeError
            Where another run writes the panel, or has replaced it.
        """
        self.panel_lock.read()
        if self.config.ingest is not None and not self.manifest.still_has("ingest", "panel.json"):
            where, do = f"panel {self.config.panel_path}", "Run again to ingest it anew, or choose another panel."
            raise ResumeError(where, "another run has replaced it meanwhile", do=do)

    def _require_inputs(self, stage: str) -> None:
        """Check that what a single stage builds on is finished, every fold of it, for this config and panel."""
        needs = {"train": "folds", "predict": "train", "evaluate": "predict", "join": "predict", "backtest": "join"}
        if self.config.predictions is not None:
            needs.pop("predict")
        if self.config.models is not None:
            needs["predict"] = "folds"
        before = needs.get(stage, "ingest" if self.config.ingest is not None and stage != "ingest" else None)
        if before is None:
            return
        is_there = any(name.split("/")[0] == before for name in self.manifest.units)
        if is_there and (before == "ingest" or self._is_current(before)):
            return
        found = "one of another config or panel, or not of every fold" if is_there else ""
        raise ConfigError(
            f"stage {stage}",
            f"needs the stage {before} first",
            found=found,
            do=f"Run {before}, or run without --only.",
        )

    def _run_unit(self, unit: Unit, shape: PanelShape, folds: Folds, timeline: Timeline) -> None:
        key = unit_key(unit, self.config, self.manifest)
        if self.manifest.is_done(unit.name, key):
            return self.listener.skipped(unit, self.manifest.units[unit.name])
        if unit.stage == "ingest":
            self.panel_lock.write()
        self.num_run += 1
        work = UnitRun(self.config, self.budget, self.listener, self.order.command, self.manifest, self.parent_bytes)
        plan_for = partial(self._plan_now, shape=shape, folds=folds)
        if unit.stage != "search" or self._crew is None:
            return work.do(unit, key, partial(plan_for, unit), timeline)
        from seawall.pipeline.cluster.sweeps import search_in_parts

        on_nodes = partial(fan_out, plan_for=plan_for, timeline=timeline, crew=self._crew)
        return search_in_parts(work, (unit, key), plan_for, timeline, self._crew, on_nodes)

    def _plan_now(
        self, unit: Unit, share_bytes: int, micro_batches: int = 1, *, shape: PanelShape, folds: Folds
    ) -> StagePlan:
        return plan_unit(unit, self.config, shape, folds, share_bytes, micro_batches=micro_batches)

    def _is_forced(self, stage: str) -> bool:
        first = self.order.first
        return first is not None and stage in STAGES[STAGES.index(first) :]

    def _write_plan(self, plans: Sequence[StagePlan]) -> None:
        record = {
            "declared_bytes": self.budget.bytes,
            "rule": self.budget.rule,
            "parent_bytes": self.parent_bytes,
            "stages": {plan.stage: plan.record() for plan in plans},
            "resolved": self.resolved,
        }
        write_json(self.config.output / "plan.json", record)

    def _log(self, event: str, unit: str = "", error: str = "") -> None:
        log_event(self.config.output, event, unit, error)


def _disk_of(place: Path) -> int:
    return next(path for path in (place.absolute(), *place.absolute().parents) if path.exists()).stat().st_dev
